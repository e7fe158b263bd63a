//! AWS X-Ray: segment documents, as the daemon's datagrams hold them and as `PutTraceSegments` does.
//!
//! A segment is a server span of the service it names; its subsegments, within it or sent by themselves, are spans below it:
//!
//! | X-Ray | model |
//! |---|---|
//! | `trace_id` `1-67891234-…` | the trace id, the dashes and the version left out |
//! | a segment | a server span; its resource is `name` (`service.name`), `service`, `origin`, `aws` |
//! | a subsegment of namespace `aws` or `remote` | a client span; any other, an internal one |
//! | a call of SQS, SNS, Kinesis or EventBridge that sends | a producer span with `messaging.*` |
//! | other calls of these | client spans with `messaging.*` |
//! | calls of DynamoDB, of Lambda, `sql` | client spans with `db.*`, with `faas.*`, with `db.*` |
//! | `http` | `http.request.method`, `url.full`, `http.response.status_code`, … |
//! | `fault`, `error`, `throttle` | status error, and `aws.xray.fault`, … |
//! | the exceptions of `cause` | events `exception` |
//! | `links` | links |
//! | `annotations` | attributes of the same names |
//! | `metadata` | `aws.xray.metadata.NAMESPACE`, a map |
//! | `in_progress` | `aws.xray.in_progress`; the span ends where it starts, until the complete document replaces it |
//! | anything else of `aws` | `aws.NAME` |
//!
//! A subsegment that comes by itself does not say whose it is: its service is empty.

mod aws;
mod document;
mod ids;
mod said;

use serde_json::Value;

use crate::json_read::{Elements, Fields, List, Object, Text, read_body, skip};
use crate::report::{Reason, Report};
use crate::sink::Sink;
use crate::{DecodeError, Format};
pub use ids::{trace_id, trace_id_text};
use serde::de::{DeserializeSeed, Deserializer, MapAccess};

/// A datagram: a line that says what comes, then the document.
pub(crate) fn decode_datagram(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let malformed = |offset, problem: &str| DecodeError::Malformed {
        format: Format::XrayDatagram,
        offset,
        problem: problem.to_owned(),
    };
    let line_end =
        body.iter().position(|&byte| byte == b'\n').ok_or_else(|| malformed(0, "no line before the segment"))?;
    let head: Value =
        serde_json::from_slice(&body[..line_end]).map_err(|_| malformed(0, "the first line is not JSON"))?;
    let is_json = head["format"].as_str().is_some_and(|format| format.eq_ignore_ascii_case("json"));
    if !is_json || head["version"] != 1 {
        return Err(malformed(0, "the first line does not say format json, version 1"));
    }
    document::read(sink, &body[line_end + 1..]).map_err(|problem| malformed(line_end + 1, &problem))
}

/// The body of `PutTraceSegments`: a list of texts, each a document. One that cannot be read does not spoil the others.
pub(crate) fn decode_documents(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let mut before = Report::default();
    let mut request = Documents { sink };
    read_body(Format::XrayDocuments, body, &mut before, |deserializer| {
        Object(&mut request).deserialize(deserializer).map(drop)
    })?;
    sink.report.merge(&before);
    Ok(())
}

struct Documents<'m, 'l> {
    sink: &'m mut Sink<'l>,
}

impl Fields for Documents<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "TraceSegmentDocuments" => map.next_value_seed(List(self)),
            _ => skip(map),
        }
    }
}

impl Elements for Documents<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let text = Text.deserialize(deserializer)?.unwrap_or_default();
        if self.sink.is_overfull() {
            return Ok(());
        }
        if let Err(problem) = document::read(self.sink, &text) {
            self.sink.begin_span();
            self.sink.refuse_span(Reason::InvalidTraceId, format_args!("{problem}"));
        }
        Ok(())
    }
}
