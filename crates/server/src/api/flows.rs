//! `/api/flows`: a flow from its root to its last effect, and its spans by page.
//!
//! A flow is put together anew for every question: it may have grown since the one before. The cursor of a page names a place
//! in time, not a number, so that pages go on where they were.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use flow::cone::Node;
use flow::destination::DestinationKey;
use flow::hop::{Hop, HopEnd};
use flow::summary::Flow;
use model::{SpanId, SpanKey, TraceId};
use query::flow::{FlowLimits, FlowQuery};
use query::{LocalStore, QueryError, SpanStore};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ErrorBody};
use super::params::{IdParam, LimitParam, Strict, text_parameter};
use super::shapes::{FlowSpansAnswer, FlowSpansShape};
use super::stream;
use super::traces::trace_id;
use crate::app::App;

/// Which span of the trace the flow is opened at.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FlowParams {
    /// Open the flow at this span; else at the root of the trace.
    #[param(value_type = Option<String>)]
    span_id: Option<IdParam<SpanId>>,
}

/// The root of a flow.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowRoot {
    trace_id: String,
    span_id: String,
    service: String,
    name: String,
}

/// A trace's part in a flow.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowTrace {
    trace_id: String,
    /// `root`: it has the root. `cause`: between the root and the span the flow was opened at. `child`: a message led to it. `batch`: only
    /// a part of it belongs, it took other messages too. `link`: only links without messages lead to it.
    relation: &'static str,
    /// The earliest start of its spans in the flow.
    start_unix_nano: String,
    /// Their latest end.
    end_unix_nano: String,
    /// How many of its spans belong.
    span_count: usize,
}

/// A span at an end of a hop.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlowHopEnd)]
pub struct HopEndShape {
    trace_id: String,
    span_id: String,
    /// Null if the span has not arrived.
    service: Option<String>,
}

/// Where messages are sent to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlowDestinationKey)]
pub struct DestinationShape {
    system: String,
    name: String,
}

/// A message's way from the span that sent it to the span that received it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowHop {
    from: HopEndShape,
    /// Null if nobody is known to have received it.
    to: Option<HopEndShape>,
    destination: DestinationShape,
    consumer_group: Option<String>,
    message_id: Option<String>,
    /// `parent`, `link`, `broker`, `message_id`, `offset`, `conversation_id` or `business_key`; null without a receiver.
    evidence: Option<&'static str>,
    /// From the end of sending, or of the attempt before, to the start of receiving; null if clocks disagree.
    queue_wait_ns: Option<u64>,
    /// `broker`, `header`, `attribute` or `spans`.
    wait_source: Option<&'static str>,
    /// Which delivery of the message to this group it is, from 1.
    attempt: u32,
    /// What became of the message in this group: `pending`, `consumed`, `late`, `lost`, `dead_lettered` or `unknown`.
    state: &'static str,
    /// It was received before it was sent: clocks disagree.
    clock_skew: bool,
}

/// A service's part in a flow.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowService {
    name: String,
    spans: usize,
    errors: usize,
}

/// A destination's part in a flow; a message counts once for every group that it goes to.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowDestination {
    system: String,
    name: String,
    messages: usize,
    consumed: usize,
    dead_lettered: usize,
    pending: usize,
    late: usize,
    lost: usize,
    unknown: usize,
    retries: usize,
}

/// A span's share of the critical path.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowSegment {
    trace_id: String,
    span_id: String,
    self_ns: u64,
    /// `working`, or `waiting` for a message.
    kind: &'static str,
}

/// A span that was pointed at and has not arrived.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotReceived {
    trace_id: String,
    span_id: String,
}

/// A message of another flow that was taken together with one of this flow.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowSibling {
    trace_id: String,
    span_id: String,
    destination: DestinationShape,
    message_id: Option<String>,
}

/// A root span and everything it caused.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlowAnswer {
    /// The same from whichever span of the flow it is opened.
    flow_id: String,
    root: FlowRoot,
    /// The start of the root.
    start_unix_nano: String,
    /// The end of the root: when the caller had its answer.
    answered_unix_nano: String,
    /// The latest end of any span.
    last_effect_unix_nano: String,
    /// How long something was worked on.
    working_ns: u64,
    /// How long nothing was worked on while a message waited.
    waiting_ns: u64,
    traces: Vec<FlowTrace>,
    hops: Vec<FlowHop>,
    services: Vec<FlowService>,
    destinations: Vec<FlowDestination>,
    critical_path: Vec<FlowSegment>,
    not_received: Vec<NotReceived>,
    batch_siblings: Vec<FlowSibling>,
    /// Whether something was left out because a limit was reached.
    truncated: bool,
}

impl FlowAnswer {
    fn of(flow: &Flow) -> FlowAnswer {
        let root = flow.cone.span(flow.root);
        let trace = |trace: &flow::summary::FlowTrace| FlowTrace {
            trace_id: trace.trace_id.to_string(),
            relation: trace.relation.name(),
            start_unix_nano: trace.start_unix_nano.to_string(),
            end_unix_nano: trace.end_unix_nano.to_string(),
            span_count: trace.span_count,
        };
        let not_received = |&(trace_id, span_id): &(TraceId, SpanId)| NotReceived {
            trace_id: trace_id.to_string(),
            span_id: span_id.to_string(),
        };
        FlowAnswer {
            flow_id: flow.id(),
            root: FlowRoot {
                trace_id: root.trace_id().to_string(),
                span_id: root.span_id().to_string(),
                service: root.service_name().to_owned(),
                name: root.name().to_owned(),
            },
            start_unix_nano: flow.start_unix_nano.to_string(),
            answered_unix_nano: flow.answered_unix_nano.to_string(),
            last_effect_unix_nano: flow.last_effect_unix_nano.to_string(),
            working_ns: flow.working_ns,
            waiting_ns: flow.waiting_ns,
            traces: flow.traces.iter().map(trace).collect(),
            hops: flow.hops.iter().map(FlowHop::of).collect(),
            services: flow.services.iter().map(FlowService::of).collect(),
            destinations: flow.destinations.iter().map(FlowDestination::of).collect(),
            critical_path: flow.critical_path.iter().map(|segment| FlowSegment::of(flow, segment)).collect(),
            not_received: flow.not_received.iter().map(not_received).collect(),
            batch_siblings: flow.batch_siblings.iter().map(FlowSibling::of).collect(),
            truncated: flow.truncated,
        }
    }
}

impl FlowHop {
    fn of(hop: &Hop) -> FlowHop {
        FlowHop {
            from: HopEndShape::of(&hop.from),
            to: hop.to.as_ref().map(HopEndShape::of),
            destination: DestinationShape::of(&hop.destination),
            consumer_group: hop.consumer_group.clone(),
            message_id: hop.message_id.clone(),
            evidence: hop.evidence.map(flow::cone::Evidence::name),
            queue_wait_ns: hop.queue_wait_ns,
            wait_source: hop.wait_source.map(flow::hop::WaitSource::name),
            attempt: hop.attempt,
            state: hop.state.name(),
            clock_skew: hop.clock_skew,
        }
    }
}

impl HopEndShape {
    fn of(end: &HopEnd) -> HopEndShape {
        let (trace_id, span_id) = (end.trace_id.to_string(), end.span_id.to_string());
        HopEndShape { trace_id, span_id, service: end.service.clone() }
    }
}

impl DestinationShape {
    fn of(destination: &DestinationKey) -> DestinationShape {
        DestinationShape { system: destination.system.clone(), name: destination.name.clone() }
    }
}

impl FlowService {
    fn of(service: &flow::summary::FlowService) -> FlowService {
        FlowService { name: service.name.clone(), spans: service.spans, errors: service.errors }
    }
}

impl FlowDestination {
    fn of(entry: &flow::summary::FlowDestination) -> FlowDestination {
        FlowDestination {
            system: entry.destination.system.clone(),
            name: entry.destination.name.clone(),
            messages: entry.messages,
            consumed: entry.consumed,
            dead_lettered: entry.dead_lettered,
            pending: entry.pending,
            late: entry.late,
            lost: entry.lost,
            unknown: entry.unknown,
            retries: entry.retries,
        }
    }
}

impl FlowSegment {
    fn of(flow: &Flow, segment: &flow::critical_path::Segment) -> FlowSegment {
        let span = flow.cone.span(segment.node);
        FlowSegment {
            trace_id: span.trace_id().to_string(),
            span_id: span.span_id().to_string(),
            self_ns: segment.self_ns,
            kind: segment.kind.name(),
        }
    }
}

impl FlowSibling {
    fn of(sibling: &flow::summary::BatchSibling) -> FlowSibling {
        FlowSibling {
            trace_id: sibling.trace_id.to_string(),
            span_id: sibling.span_id.to_string(),
            destination: DestinationShape::of(&sibling.destination),
            message_id: sibling.message_id.clone(),
        }
    }
}

/// The flow that a trace, or one of its spans, belongs to: up to the root cause and down to the last effect, through every hop.
#[utoipa::path(get, path = "/api/flows/{trace_id}", tag = "flows", params(
        ("trace_id" = String, Path, description = "The trace's id in hex; leading zeros may be left out"), FlowParams),
    responses((status = 200, body = FlowAnswer), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub async fn flow(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Strict(params): Strict<FlowParams>,
) -> Result<Response, ApiError> {
    let answer = find(&app, trace_id(&id)?, params.span_id.map(|id| id.0), |flow| FlowAnswer::of(&flow)).await?;
    Ok(stream::json(answer).await)
}

/// Asks for a flow, and makes an answer of it beside the store.
pub(super) async fn find<T: Send + 'static>(
    app: &Arc<App>,
    trace_id: TraceId,
    span_id: Option<SpanId>,
    answer: impl FnOnce(Flow) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let correlate = app.options.correlate.clone();
    let lookout = app.lookout().ok_or_else(ApiError::not_ready)?;
    let question = move |store: &LocalStore| {
        let bindings = Arc::new(lookout.engine().bindings().clone());
        let query = FlowQuery { trace_id, span_id, correlate, limits: FlowLimits::default(), bindings };
        let mut flow = store.flow(&query)?;
        if let Some(flow) = &mut flow {
            let engine = lookout.engine();
            flow.expect(|trace_id, span_id| engine.missing_of(trace_id, span_id));
        }
        Ok::<_, QueryError>(flow.map(answer))
    };
    let found = app.search("flow", question).await?;
    found.ok_or_else(|| match span_id {
        Some(span_id) => ApiError::not_found(format!("no span {span_id} of trace {trace_id} is stored")),
        None => ApiError::not_found(format!("no span of trace {trace_id} is stored")),
    })
}

/// Which spans of a flow.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FlowSpansParams {
    /// Open the flow at this span; else at the root of the trace.
    #[param(value_type = Option<String>)]
    span_id: Option<IdParam<SpanId>>,
    /// At most so many spans.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 50_000)]
    limit: LimitParam<1_000, 50_000>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<SpanPlace>,
}

/// The place of a span in a flow: by start, then by what tells spans apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpanPlace(u64, SpanKey);
text_parameter!(SpanPlace);

impl fmt::Display for SpanPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SpanPlace(start, (trace_id, span_id, kind)) = self;
        write!(f, "{start}.{trace_id}.{span_id}.{kind}")
    }
}

impl FromStr for SpanPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let place = if let [start, trace_id, span_id, kind] = parts[..] {
            let key = (trace_id.parse().ok(), span_id.parse().ok(), kind.parse().ok());
            start.parse().ok().zip(key.0).zip(key.1).zip(key.2)
        } else {
            None
        };
        let place = place.map(|(((start, trace_id), span_id), kind)| SpanPlace(start, (trace_id, span_id, kind)));
        place.ok_or_else(|| format!("{text:?} is not a cursor; pass `next_cursor` as it came"))
    }
}

/// The spans of a flow, earliest first, with everything they own.
#[utoipa::path(get, path = "/api/flows/{trace_id}/spans", tag = "flows", params(
        ("trace_id" = String, Path, description = "The trace's id in hex; leading zeros may be left out"), FlowSpansParams),
    responses((status = 200, body = FlowSpansShape<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub async fn spans(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Strict(params): Strict<FlowSpansParams>,
) -> Result<Response, ApiError> {
    let (after, limit) = (params.cursor, params.limit.0);
    let answer =
        find(&app, trace_id(&id)?, params.span_id.map(|id| id.0), move |flow| page(&flow, after, limit)).await?;
    Ok(stream::json(answer).await)
}

/// The spans after a place.
fn page(flow: &Flow, after: Option<SpanPlace>, limit: usize) -> FlowSpansAnswer {
    let place = |node: Node| {
        let span = flow.cone.span(node);
        SpanPlace(span.start_unix_nano(), span.key())
    };
    let nodes = flow.spans();
    let first = after.map_or(0, |after| nodes.partition_point(|&node| place(node) <= after));
    let end = nodes.len().min(first + limit);
    let next = (end < nodes.len()).then(|| place(nodes[end - 1]).to_string());
    FlowSpansAnswer { flow_id: flow.id(), spans: flow.cone.batch(&nodes[first..end]), next_cursor: next }
}
