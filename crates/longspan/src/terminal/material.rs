//! The parts of the API's answers that are drawn. What else an answer has is left alone.

use serde::{Deserialize, Deserializer};

/// Nanoseconds in a decimal string.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Status {
    pub(crate) code: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Link {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Span {
    /// Absent in a trace's own answer.
    #[serde(default)]
    pub(crate) trace_id: String,
    #[serde(rename = "span_id")]
    pub(crate) id: String,
    #[serde(rename = "parent_span_id")]
    pub(crate) parent_id: Option<String>,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    #[serde(deserialize_with = "instant")]
    pub(crate) start_unix_nano: u64,
    pub(crate) duration_ns: u64,
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) links: Vec<Link>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SpansPage {
    pub(crate) items: Vec<Span>,
    pub(crate) next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TraceAnswer {
    pub(crate) trace_id: String,
    #[serde(deserialize_with = "instant")]
    pub(crate) start_unix_nano: u64,
    pub(crate) duration_ns: u64,
    pub(crate) answer_ns: u64,
    pub(crate) last_effect_ns: u64,
    pub(crate) root_span_id: Option<String>,
    pub(crate) total_span_count: u64,
    pub(crate) truncated: bool,
    pub(crate) spans: Vec<Span>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct End {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub(crate) struct Destination {
    pub(crate) system: String,
    pub(crate) name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Hop {
    pub(crate) from: End,
    pub(crate) to: Option<End>,
    pub(crate) destination: Destination,
    pub(crate) consumer_group: Option<String>,
    pub(crate) message_id: Option<String>,
    pub(crate) queue_wait_ns: Option<u64>,
    pub(crate) attempt: u32,
    pub(crate) state: String,
    pub(crate) clock_skew: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Root {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) service: String,
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FlowTrace {
    pub(crate) span_count: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Segment {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) kind: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FlowAnswer {
    pub(crate) root: Root,
    #[serde(deserialize_with = "instant")]
    pub(crate) start_unix_nano: u64,
    #[serde(deserialize_with = "instant")]
    pub(crate) answered_unix_nano: u64,
    #[serde(deserialize_with = "instant")]
    pub(crate) last_effect_unix_nano: u64,
    pub(crate) working_ns: u64,
    pub(crate) waiting_ns: u64,
    pub(crate) traces: Vec<FlowTrace>,
    pub(crate) hops: Vec<Hop>,
    pub(crate) critical_path: Vec<Segment>,
    pub(crate) not_received: Vec<Link>,
    pub(crate) batch_siblings: Vec<Link>,
    pub(crate) truncated: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SummaryRoot {
    pub(crate) service: String,
    pub(crate) name: String,
}

/// A trace that a search found.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Summary {
    pub(crate) trace_id: String,
    pub(crate) root: Option<SummaryRoot>,
    #[serde(deserialize_with = "instant")]
    pub(crate) start_unix_nano: u64,
    pub(crate) answer_ns: u64,
    pub(crate) last_effect_ns: u64,
    pub(crate) span_count: u64,
    pub(crate) error_count: u64,
    pub(crate) service_count: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SummaryPage {
    pub(crate) items: Vec<Summary>,
}
