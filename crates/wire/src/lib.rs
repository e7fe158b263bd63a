//! Senders' bytes to [`model::SpanBatch`] and back: the step *decode* of the pipe, and the answers in senders' own formats.
//!
//! | module | what |
//! |---|---|
//! | [`opencensus`] | OpenCensus's agent protocol as protobuf |
//! | [`otlp`] | OTLP as protobuf and as JSON |
//! | [`xray`] | AWS X-Ray's segment documents |
//! | [`zipkin`] | Zipkin v2 as JSON and as protobuf, v1 as JSON and as Thrift |
//! | `jaeger` | Jaeger as Thrift and as protobuf |
//! | [`logs`] | log records |
//! | [`report`] | what a decoder did not keep, counted by reason |
//! | [`error`] | why a body was refused as a whole |
//!
//! Decoding is pure and deterministic: the same bytes, format and limits give the same batch, which is why the write-ahead log
//! can hold the bytes as received. Nothing from outside panics, recursion is bounded, and memory is taken only for bytes that
//! are there.
//!
//! Deliberately absent: sockets, decompression, content types and clocks (those are `server`'s), and what spans mean (`flow`).

mod context;
pub mod error;
mod jaeger;
mod json_read;
mod json_writer;
pub mod logs;
pub mod opencensus;
pub mod otlp;
mod protobuf;
pub mod report;
mod sink;
mod thrift;
pub mod xray;
pub mod zipkin;

pub use error::DecodeError;
use model::{Limits, SpanBatch};
pub use report::{Reason, Report};
use sink::Sink;

/// What a body is written in. The numbers are in records of the write-ahead log and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Format {
    /// `ExportTraceServiceRequest` or `TracesData` as protobuf.
    OtlpProtobuf = 1,
    /// The same as JSON.
    OtlpJson = 2,
    /// A list of Zipkin v2 spans as JSON.
    ZipkinJson = 3,
    /// Zipkin's `ListOfSpans` as protobuf.
    ZipkinProtobuf = 4,
    /// A list of Zipkin v1 spans as JSON.
    ZipkinV1Json = 5,
    /// A list of Zipkin v1 spans in Thrift's binary encoding.
    ZipkinV1Thrift = 6,
    /// A Jaeger `Batch` in Thrift's binary encoding.
    JaegerThrift = 7,
    /// A call of Jaeger's agent in Thrift's compact encoding.
    JaegerCompactCall = 8,
    /// A call of Jaeger's agent in Thrift's binary encoding.
    JaegerBinaryCall = 9,
    /// Jaeger's `PostSpansRequest` as protobuf.
    JaegerProtobuf = 10,
    /// OpenCensus's `ExportTraceServiceRequest` as protobuf.
    OpenCensusProtobuf = 11,
    /// A datagram for the X-Ray daemon: a line of JSON, then a segment document.
    XrayDatagram = 12,
    /// The body of X-Ray's `PutTraceSegments`.
    XrayDocuments = 13,
}

impl Format {
    /// All formats, in the order of their numbers.
    pub const ALL: [Format; 13] = [
        Format::OtlpProtobuf,
        Format::OtlpJson,
        Format::ZipkinJson,
        Format::ZipkinProtobuf,
        Format::ZipkinV1Json,
        Format::ZipkinV1Thrift,
        Format::JaegerThrift,
        Format::JaegerCompactCall,
        Format::JaegerBinaryCall,
        Format::JaegerProtobuf,
        Format::OpenCensusProtobuf,
        Format::XrayDatagram,
        Format::XrayDocuments,
    ];

    /// The format with this number.
    pub fn from_u8(number: u8) -> Option<Format> {
        Format::ALL.into_iter().find(|&format| format as u8 == number)
    }

    /// The format's name for people.
    pub fn name(self) -> &'static str {
        match self {
            Format::OtlpProtobuf => "OTLP protobuf",
            Format::OtlpJson => "OTLP JSON",
            Format::ZipkinJson => "Zipkin JSON",
            Format::ZipkinProtobuf => "Zipkin protobuf",
            Format::ZipkinV1Json => "Zipkin v1 JSON",
            Format::ZipkinV1Thrift => "Zipkin v1 Thrift",
            Format::JaegerThrift => "a Jaeger batch in Thrift",
            Format::JaegerCompactCall => "a call of Jaeger's agent in compact Thrift",
            Format::JaegerBinaryCall => "a call of Jaeger's agent in binary Thrift",
            Format::JaegerProtobuf => "Jaeger protobuf",
            Format::OpenCensusProtobuf => "OpenCensus protobuf",
            Format::XrayDatagram => "an X-Ray datagram",
            Format::XrayDocuments => "X-Ray segment documents",
        }
    }
}

/// A decoded body: the spans, and what was not kept of them.
#[derive(Debug)]
pub struct Decoded {
    /// The spans that were kept.
    pub batch: SpanBatch,
    /// What was not kept.
    pub report: Report,
}

/// Bodies larger than this are refused; far above any configured limit, it keeps the offsets within a batch below 2^32.
pub const BODY_BYTES_MAX: usize = 256 << 20;

/// Decodes a body.
///
/// Spans that cannot be kept are counted in the report; only a body that cannot be read at all is an error.
pub fn decode(format: Format, body: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    decode_within(format, body, limits, usize::MAX)
}

/// As [`decode`], for a batch that may take about `batch_bytes_max` of memory. A few bytes can say "one more span", so that a body
/// may take many times its size; reading stops soon after the batch is over the bound.
pub fn decode_within(
    format: Format,
    body: &[u8],
    limits: &Limits,
    batch_bytes_max: usize,
) -> Result<Decoded, DecodeError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes: body.len() });
    }
    let mut sink = Sink::new(limits, batch_bytes_max);
    let read = match format {
        Format::OtlpProtobuf => otlp::decode_protobuf(body, &mut sink),
        Format::OtlpJson => otlp::decode_json(body, &mut sink),
        Format::ZipkinJson => zipkin::decode_json(body, &mut sink),
        Format::ZipkinProtobuf => zipkin::decode_protobuf(body, &mut sink),
        Format::ZipkinV1Json => zipkin::decode_v1_json(body, &mut sink),
        Format::ZipkinV1Thrift => zipkin::decode_v1_thrift(body, &mut sink),
        Format::JaegerThrift => jaeger::decode_batch(body, &mut sink),
        Format::JaegerCompactCall | Format::JaegerBinaryCall => jaeger::decode_agent(format, body, &mut sink),
        Format::JaegerProtobuf => jaeger::decode_protobuf(body, &mut sink),
        Format::OpenCensusProtobuf => opencensus::decode_protobuf(body, &mut sink),
        Format::XrayDatagram => xray::decode_datagram(body, &mut sink),
        Format::XrayDocuments => xray::decode_documents(body, &mut sink),
    };
    sink.look();
    if sink.is_overfull() {
        return Err(DecodeError::BatchTooLarge { bytes_max: batch_bytes_max });
    }
    read.map(|()| sink.finish())
}
