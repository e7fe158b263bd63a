//! The few protobuf messages of OTLP's answers: `ExportTraceServiceResponse` and `google.rpc.Status`, in both encodings.

use prost::Message;
use serde_json::json;
use wire::Report;

use crate::intake::Refusal;

/// gRPC's numbers of the codes we answer with.
pub mod code {
    /// `INVALID_ARGUMENT`: the sender must not repeat it.
    pub const INVALID_ARGUMENT: i32 = 3;
    /// `RESOURCE_EXHAUSTED`: without RetryInfo, the sender must not repeat it.
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    /// `UNIMPLEMENTED`: there is nothing here that takes it.
    pub const UNIMPLEMENTED: i32 = 12;
    /// `UNAVAILABLE`: the sender should repeat it.
    pub const UNAVAILABLE: i32 = 14;
}

/// What a retryable refusal asks the sender to wait.
pub const RETRY_AFTER_SECONDS: i64 = 1;

/// `opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct ExportResponse {
    /// Set only when something was refused or there is something to say.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// `opentelemetry.proto.collector.trace.v1.ExportTracePartialSuccess`.
#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    /// Spans that were not stored and must not be sent again.
    #[prost(int64, tag = "1")]
    pub rejected_spans: i64,
    /// Why, for a person.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// gRPC's number of the code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For a person.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Typed details.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// Which message.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message, encoded.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct RetryInfo {
    /// How long to wait.
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Delay {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// The rest.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

const RETRY_INFO_URL: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl RetryInfo {
    /// Asks for [`RETRY_AFTER_SECONDS`].
    pub fn usual() -> RetryInfo {
        RetryInfo { retry_delay: Some(Delay { seconds: RETRY_AFTER_SECONDS, nanos: 0 }) }
    }
}

impl ExportResponse {
    /// The answer to a request that was stored, wholly or in part.
    pub fn of(report: &Report) -> ExportResponse {
        ExportResponse::of_things(report, "spans")
    }

    /// The same, for log records: the messages differ in the names of fields only.
    pub fn of_logs(report: &Report) -> ExportResponse {
        ExportResponse::of_things(report, "log records")
    }

    fn of_things(report: &Report, things: &str) -> ExportResponse {
        let reasons: Vec<String> = report.reasons().map(|(reason, count)| format!("{reason}: {count}")).collect();
        if reasons.is_empty() {
            return ExportResponse { partial_success: None };
        }
        let rejected = report.rejected_spans();
        let kept = match rejected {
            0 => format!("all {things} were kept, some not as sent"),
            _ => format!("some {things} were refused"),
        };
        let first = report.first_problem.as_deref().map_or(String::new(), |problem| format!("; first: {problem}"));
        let error_message = format!("{kept} ({}){first}", reasons.join(", "));
        ExportResponse { partial_success: Some(PartialSuccess { rejected_spans: rejected as i64, error_message }) }
    }

    /// As OTLP's JSON encoding writes it, which calls the number of what was refused `rejected`.
    pub fn to_json(&self, rejected: &str) -> serde_json::Value {
        match &self.partial_success {
            None => json!({}),
            Some(partial) => json!({ "partialSuccess": {
                rejected: partial.rejected_spans.to_string(),
                "errorMessage": partial.error_message,
            }}),
        }
    }
}

impl Status {
    /// A status with a message and nothing else.
    pub fn new(code: i32, message: impl Into<String>) -> Status {
        Status { code, message: message.into(), details: Vec::new() }
    }

    /// The status that tells a sender of a refusal.
    pub fn of(refusal: &Refusal) -> Status {
        let code = match refusal {
            Refusal::TooLarge { .. } | Refusal::TooMuch { .. } => code::RESOURCE_EXHAUSTED,
            Refusal::UnsupportedEncoding(_) => code::UNIMPLEMENTED,
            Refusal::Malformed(_) | Refusal::Incomplete(_) | Refusal::UnsupportedType(_) => code::INVALID_ARGUMENT,
            Refusal::Full(_) | Refusal::NotReady(_) | Refusal::Disk(_) => code::UNAVAILABLE,
        };
        let mut status = Status::new(code, refusal.to_string());
        if refusal.is_retryable() {
            let value = RetryInfo::usual().encode_to_vec();
            status.details.push(Any { type_url: RETRY_INFO_URL.to_owned(), value });
        }
        status
    }

    /// As protobuf's JSON mapping writes it.
    pub fn to_json(&self) -> serde_json::Value {
        let retry = || json!([{ "@type": RETRY_INFO_URL, "retryDelay": format!("{RETRY_AFTER_SECONDS}s") }]);
        let mut status = json!({ "code": self.code, "message": self.message });
        if !self.details.is_empty() {
            status["details"] = retry();
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_heal_asks_for_a_retry() {
        // Guarantees that RetryInfo goes with every retryable refusal and with no other: senders decide by it.
        let full = Status::of(&Refusal::Full("no room".into()));
        assert_eq!((full.code, full.details.len()), (code::UNAVAILABLE, 1));
        assert_eq!(full.to_json()["details"][0]["retryDelay"], "1s");
        let large = Status::of(&Refusal::TooLarge { limit_bytes: 9 });
        assert_eq!((large.code, large.details.len()), (code::RESOURCE_EXHAUSTED, 0));
        let bad = Status::of(&Refusal::Malformed("cut".into()));
        assert_eq!((bad.code, bad.details.len()), (code::INVALID_ARGUMENT, 0));
    }

    #[test]
    fn complete_success_is_empty() {
        // Guarantees that partial_success stays unset when everything was kept, as the specification demands.
        let response = ExportResponse::of(&Report::default());
        assert!(response.encode_to_vec().is_empty());
        assert_eq!(response.to_json("rejectedSpans"), json!({}));
    }
}
