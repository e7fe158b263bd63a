//! A segment document into spans: itself and everything within it.

use model::{Level, Link, SpanId, SpanKind, SpanRow, StatusCode, TraceId};
use serde_json::Value as Json;

use super::said::{Said, attribute};
use super::{aws, ids};
use crate::report::Reason;
use crate::sink::{AttributeCount, Sink};

/// Origins of segments, as OpenTelemetry names the platforms.
const PLATFORMS: [(&str, &str); 6] = [
    ("AWS::Lambda", "aws_lambda"),
    ("AWS::EC2", "aws_ec2"),
    ("AWS::ECS", "aws_ecs"),
    ("AWS::EKS", "aws_eks"),
    ("AWS::ElasticBeanstalk", "aws_elastic_beanstalk"),
    ("AWS::AppRunner", "aws_app_runner"),
];

/// The largest document that is read; X-Ray itself takes 64 KB. The tree that it is read into may take a hundred times its bytes.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// Of which resource and trace a span is, and below which other span.
#[derive(Debug, Clone, Copy)]
struct Place {
    trace_id: TraceId,
    parent_span_id: SpanId,
    scope: u32,
    is_segment: bool,
}

/// Reads a document; an error is what is wrong with it as a whole.
pub(super) fn read(sink: &mut Sink<'_>, text: &[u8]) -> Result<(), String> {
    let bytes_max = sink.limits.span_bytes_max.min(DOCUMENT_BYTES_MAX);
    if text.len() > bytes_max {
        sink.begin_span();
        let problem = format_args!("{} bytes, at most {bytes_max} are accepted", text.len());
        sink.refuse_span(Reason::SpanTooLarge, problem);
        return Ok(());
    }
    let document: Json =
        serde_json::from_slice(text).map_err(|error| format!("a segment that is not JSON: {error}"))?;
    if !document.is_object() {
        return Err("a segment that is no object".to_owned());
    }
    let Some(trace_id) = document["trace_id"].as_str().and_then(ids::trace_id) else {
        sink.begin_span();
        let problem = format_args!("the trace_id must be like 1-67891234-0123456789abcdef01234567");
        sink.refuse_span(Reason::InvalidTraceId, problem);
        return Ok(());
    };
    let is_segment = document["type"] != "subsegment";
    let mut open = sink.open_resource();
    if is_segment {
        let mut said = Said { sink: &mut *sink, count: open.attributes };
        resource(&mut said, &document);
        open.attributes = said.count;
    }
    let scope = sink.open_scope();
    let parent_span_id = parent(sink, &document);
    let place = Place { trace_id, parent_span_id, scope: sink.current_scope(), is_segment };
    segment(sink, &document, place);
    sink.close_scope(&scope);
    sink.close_resource(&open);
    Ok(())
}

fn parent(sink: &mut Sink<'_>, document: &Json) -> SpanId {
    let Some(text) = document["parent_id"].as_str().filter(|text| !text.is_empty()) else { return SpanId::ZERO };
    ids::span_id(text).unwrap_or_else(|| {
        sink.report.add(Reason::InvalidParentSpanId);
        SpanId::ZERO
    })
}

/// Says what a segment tells of the service.
fn resource(said: &mut Said<'_, '_>, segment: &Json) {
    said.text("service.name", segment["name"].as_str().unwrap_or_default());
    said.field("service.version", &segment["service"], "version");
    said.field("aws.xray.service.compiler", &segment["service"], "compiler");
    said.field("aws.xray.service.compiler_version", &segment["service"], "compiler_version");
    let origin = segment["origin"].as_str().unwrap_or_default();
    said.text("aws.xray.origin", origin);
    if let Some((_, platform)) = PLATFORMS.iter().find(|(name, _)| origin.starts_with(name)) {
        said.text("cloud.provider", "aws");
        said.text("cloud.platform", platform);
    }
    said.field("cloud.resource_id", segment, "resource_arn");
    let Json::Object(fields) = &segment["aws"] else { return };
    for (field, value) in fields {
        match field.as_str() {
            "account_id" => said.value("cloud.account.id", value),
            "region" => said.value("cloud.region", value),
            "xray" => sdk(said, value),
            "ec2" => {
                said.field("host.id", value, "instance_id");
                said.field("host.type", value, "instance_size");
                said.field("host.image.id", value, "ami_id");
                said.field("cloud.availability_zone", value, "availability_zone");
            }
            "ecs" => {
                said.field("container.name", value, "container");
                said.field("container.id", value, "container_id");
                said.field("aws.ecs.container.arn", value, "container_arn");
            }
            "eks" => {
                said.field("k8s.cluster.name", value, "cluster_name");
                said.field("k8s.pod.name", value, "pod");
                said.field("container.id", value, "container_id");
            }
            // These are the span's.
            "operation" | "request_id" | "retries" => {}
            other => said.value(&format!("aws.{other}"), value),
        }
    }
}

fn sdk(said: &mut Said<'_, '_>, xray: &Json) {
    said.field("telemetry.sdk.name", xray, "sdk");
    said.field("telemetry.sdk.version", xray, "sdk_version");
    said.field("telemetry.auto_instrumentation", xray, "auto_instrumentation");
}

/// Adds the span of a segment or subsegment, and then those of the subsegments within it.
fn segment(sink: &mut Sink<'_>, segment: &Json, place: Place) {
    sink.begin_span();
    if sink.is_overfull() {
        return;
    }
    let Some(span_id) = segment["id"].as_str().and_then(ids::span_id) else {
        sink.refuse_span(Reason::InvalidSpanId, format_args!("the id must be 16 hex digits, not all zero"));
        return;
    };
    let name = segment["name"].as_str().unwrap_or_default();
    let start_unix_nano = unix_nano(&segment["start_time"]);
    let end_unix_nano = unix_nano(&segment["end_time"]).max(start_unix_nano);
    let mut said = Said::new(sink, Level::Span);
    attributes(&mut said, name, segment, place.is_segment);
    let dropped_attributes_count = said.dropped();
    let (dropped_events_count, message) = exceptions(sink, segment, end_unix_nano);
    let dropped_links_count = links(sink, &segment["links"]);
    let failed = ["fault", "error", "throttle"].iter().any(|flag| segment[*flag] == true);
    let row = SpanRow {
        trace_id: place.trace_id,
        span_id,
        parent_span_id: place.parent_span_id,
        start_unix_nano,
        end_unix_nano,
        name: sink.text(name.as_bytes()),
        kind: if place.is_segment { SpanKind::SERVER.0 } else { aws::kind(name, segment) },
        status_code: if failed { StatusCode::ERROR.0 } else { 0 },
        status_message: sink.text(if failed { message.as_bytes() } else { &[] }),
        dropped_attributes_count,
        dropped_events_count,
        dropped_links_count,
        scope: place.scope,
        ..SpanRow::default()
    };
    sink.batch.push_span(row);
    let below = Place { parent_span_id: span_id, is_segment: false, ..place };
    for inner in segment["subsegments"].as_array().into_iter().flatten() {
        self::segment(sink, inner, below);
    }
}

/// Seconds with a fraction; what is behind the microseconds is rounding.
fn unix_nano(seconds: &Json) -> u64 {
    let seconds = seconds.as_f64().unwrap_or(0.0).max(0.0);
    let micros = ((seconds - seconds.floor()) * 1e6).round() as u64;
    (seconds.floor() as u64).saturating_mul(1_000_000_000).saturating_add(micros * 1000)
}

fn attributes(said: &mut Said<'_, '_>, name: &str, segment: &Json, is_segment: bool) {
    http(said, &segment["http"]);
    sql(said, &segment["sql"]);
    if is_segment {
        for (key, field) in [("rpc.method", "operation"), ("aws.request_id", "request_id"), ("aws.retries", "retries")]
        {
            said.field(key, &segment["aws"], field);
        }
    } else {
        aws::attributes(said, name, segment);
    }
    for flag in ["fault", "error", "throttle", "in_progress"] {
        if segment[flag] == true {
            said.field(&format!("aws.xray.{flag}"), segment, flag);
        }
    }
    said.field("enduser.id", segment, "user");
    for field in ["namespace", "precursor_ids", "traced"] {
        said.field(&format!("aws.xray.{field}"), segment, field);
    }
    // A text is the id of an exception that another subsegment has.
    if segment["cause"].is_string() {
        said.field("aws.xray.cause", segment, "cause");
    }
    said.field("aws.xray.cause.working_directory", &segment["cause"], "working_directory");
    said.field("aws.xray.cause.paths", &segment["cause"], "paths");
    for (key, value) in segment["annotations"].as_object().into_iter().flatten() {
        said.value(key, value);
    }
    for (namespace, value) in segment["metadata"].as_object().into_iter().flatten() {
        said.value(&format!("aws.xray.metadata.{namespace}"), value);
    }
}

fn http(said: &mut Said<'_, '_>, http: &Json) {
    let (request, response) = (&http["request"], &http["response"]);
    said.field("http.request.method", request, "method");
    said.field("url.full", request, "url");
    said.field("user_agent.original", request, "user_agent");
    said.field("client.address", request, "client_ip");
    said.field("aws.xray.x_forwarded_for", request, "x_forwarded_for");
    said.field("http.response.status_code", response, "status");
    said.field("http.response.body.size", response, "content_length");
}

fn sql(said: &mut Said<'_, '_>, sql: &Json) {
    let fields = [
        ("db.system.name", "database_type"),
        ("db.query.text", "sanitized_query"),
        ("db.user", "user"),
        ("db.connection_string", "connection_string"),
        ("aws.xray.sql.url", "url"),
        ("aws.xray.sql.database_version", "database_version"),
        ("aws.xray.sql.driver_version", "driver_version"),
        ("aws.xray.sql.preparation", "preparation"),
    ];
    for (key, field) in fields {
        said.field(key, sql, field);
    }
}

/// Adds the exceptions as events; answers how many the limits dropped, and what the first one says.
fn exceptions<'d>(sink: &mut Sink<'_>, segment: &'d Json, time_unix_nano: u64) -> (u32, &'d str) {
    let mut dropped = 0;
    let mut message = "";
    for exception in segment["cause"]["exceptions"].as_array().into_iter().flatten() {
        if message.is_empty() {
            message = exception["message"].as_str().unwrap_or_default();
        }
        if !sink.event_fits() {
            dropped += 1;
            continue;
        }
        let mut said = Said::new(sink, Level::Event);
        said.field("exception.type", exception, "type");
        said.field("exception.message", exception, "message");
        said.text("exception.stacktrace", &stack(exception));
        for field in ["id", "cause", "remote", "truncated", "skipped"] {
            said.field(&format!("aws.xray.exception.{field}"), exception, field);
        }
        let attributes_dropped = said.dropped();
        let name = sink.text(b"exception");
        sink.batch.events.push(time_unix_nano, name, attributes_dropped);
    }
    (dropped, message)
}

/// A stack as people read it, the innermost call first as X-Ray has it.
fn stack(exception: &Json) -> String {
    let frames = exception["stack"].as_array().into_iter().flatten();
    let line = |frame: &Json| {
        let label = frame["label"].as_str().unwrap_or_default();
        let path = frame["path"].as_str().unwrap_or_default();
        let number = frame["line"].as_i64().map_or_else(String::new, |number| format!(":{number}"));
        format!("  at {label} ({path}{number})")
    };
    frames.map(line).collect::<Vec<_>>().join("\n")
}

/// Adds links to other traces; answers how many were dropped.
fn links(sink: &mut Sink<'_>, links: &Json) -> u32 {
    let mut dropped = 0;
    for link in links.as_array().into_iter().flatten() {
        if !sink.link_fits() {
            dropped += 1;
            continue;
        }
        let trace_id = link["trace_id"].as_str().and_then(ids::trace_id);
        let span_id = link["id"].as_str().and_then(ids::span_id);
        let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else {
            sink.report.add(Reason::InvalidLinkId);
            dropped += 1;
            continue;
        };
        let mut count = AttributeCount::new(Level::Link);
        for (key, value) in link["attributes"].as_object().into_iter().flatten() {
            attribute(sink, &mut count, key, value);
        }
        let dropped_attributes_count = count.dropped;
        sink.batch.links.push(Link { trace_id, span_id, dropped_attributes_count, ..Link::default() });
    }
    dropped
}
