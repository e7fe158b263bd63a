//! A flow as text, in the words of the story that it is of.

use std::fmt::Write;
use std::sync::Arc;

use ::flow::Flow;
use ::flow::hop::{Hop, HopEnd};
use model::SpanBatch;
use query::FlowQuery;
use query::flow::{FlowLimits, flow};
use testkit::story::{self, START_UNIX_NANO};

use crate::memory::Memory;

/// Opens the flow of a span.
pub(crate) fn open(memory: &Memory, span: &str, correlate: &[&str]) -> Flow {
    let (trace_id, span_id) = story::ids(span);
    let correlate = correlate.iter().map(|&key| key.to_owned()).collect();
    let query = FlowQuery {
        trace_id,
        span_id: Some(span_id),
        correlate,
        limits: FlowLimits::default(),
        bindings: Arc::default(),
    };
    flow(memory, &query).expect("memory can be read").unwrap_or_else(|| panic!("{span} is not stored"))
}

/// What is told of a flow from whichever span it is opened. How traces came in is left out: which of them lie between the root and the
/// opened span depends on the latter.
pub(crate) fn show(flow: &Flow) -> String {
    let relations = ["root", "cause", "batch", "link", "child"];
    let is_relation = |word: &str| relations.contains(&word);
    let without = |line: &str| {
        line.split(' ').filter(|word| !line.starts_with("trace") || !is_relation(word)).collect::<Vec<_>>().join(" ")
            + "\n"
    };
    show_whole(flow).lines().map(without).collect()
}

/// What is told of a flow.
pub(crate) fn show_whole(flow: &Flow) -> String {
    let mut text = String::new();
    let root = flow.cone.span(flow.root);
    let of_root = (story::name(root.trace_id(), root.span_id()), root.service_name(), root.name());
    line(&mut text, &format!("{} {:?} of {}", of_root.0, of_root.2, of_root.1));
    let (start, answered, last) = (flow.start_unix_nano, flow.answered_unix_nano, flow.last_effect_unix_nano);
    let head = [
        ("answered", answered - start),
        ("last effect", last - start),
        ("working", flow.working_ns),
        ("waiting", flow.waiting_ns),
    ];
    line(&mut text, &head.map(|(what, ns)| format!("{what} {}", ms(ns))).join(", "));
    for trace in &flow.traces {
        let relation = trace.relation.name();
        let (start, end) = (at(trace.start_unix_nano), at(trace.end_unix_nano));
        line(
            &mut text,
            &format!(
                "trace {} {relation} {start}..{end} spans {}",
                story::trace_name(trace.trace_id),
                trace.span_count
            ),
        );
    }
    for hop in &flow.hops {
        line(&mut text, &show_hop(hop));
    }
    for entry in &flow.destinations {
        let counts = (entry.messages, entry.consumed, entry.dead_lettered, entry.unknown, entry.retries);
        let to = format!("{}:{}", entry.destination.system, entry.destination.name);
        line(
            &mut text,
            &format!(
                "destination {to} messages {} consumed {} dead {} unknown {} retries {}",
                counts.0, counts.1, counts.2, counts.3, counts.4
            ),
        );
    }
    for segment in &flow.critical_path {
        let span = flow.cone.span(segment.node);
        let name = story::name(span.trace_id(), span.span_id());
        line(&mut text, &format!("critical {name} {} {}", segment.kind.name(), ms(segment.self_ns)));
    }
    for (trace_id, span_id) in &flow.not_received {
        line(&mut text, &format!("not received {}", story::name(*trace_id, *span_id)));
    }
    for sibling in &flow.batch_siblings {
        let id = sibling.message_id.as_deref().unwrap_or("-");
        line(
            &mut text,
            &format!("sibling {} {} {id}", story::name(sibling.trace_id, sibling.span_id), sibling.destination.name),
        );
    }
    if flow.truncated {
        line(&mut text, "truncated");
    }
    text
}

fn show_hop(hop: &Hop) -> String {
    let end = |end: &HopEnd| {
        let service = end.service.as_deref().unwrap_or("not received");
        format!("{} ({service})", story::name(end.trace_id, end.span_id))
    };
    let to = hop.to.as_ref().map_or("nobody".to_owned(), end);
    let mut text = format!("hop {} -> {to} {}:{}", end(&hop.from), hop.destination.system, hop.destination.name);
    let optional = [
        ("group", hop.consumer_group.clone()),
        ("id", hop.message_id.clone()),
        ("by", hop.evidence.map(|evidence| evidence.name().to_owned())),
        ("wait", hop.queue_wait_ns.map(|ns| ms(ns).to_string())),
        ("from", hop.wait_source.map(|source| source.name().to_owned())),
        ("attempt", (hop.attempt != 1 || hop.is_retry).then(|| hop.attempt.to_string())),
    ];
    for (what, value) in optional.into_iter().filter_map(|(what, value)| Some((what, value?))) {
        write!(text, " {what} {value}").expect("writing to a string");
    }
    write!(text, " {}{}", hop.state.name(), if hop.clock_skew { " skewed" } else { "" }).expect("writing to a string");
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn at(unix_nano: u64) -> f64 {
    (unix_nano as i128 - i128::from(START_UNIX_NANO)) as f64 / 1e6
}

/// The names of the spans of batches.
pub(crate) fn names(batches: &[SpanBatch]) -> Vec<String> {
    let spans = batches.iter().flat_map(SpanBatch::spans);
    spans.map(|span| story::name(span.trace_id(), span.span_id())).collect()
}
