//! What every decoder must hold for any bytes; the targets only choose the format. Of files: [`files`].

pub mod files;

use model::Limits;
use wire::{Format, decode};

/// Decodes, and if that succeeds writes the batch in every format and reads it again.
pub fn check(format: Format, body: &[u8]) {
    let Ok(decoded) = decode(format, body, &Limits::DEFAULT) else { return };
    let (batch, report) = (decoded.batch, decoded.report);
    assert_eq!(report.received_spans - report.rejected_spans(), batch.len() as u64);
    let read =
        |format, body: &[u8]| decode(format, body, &Limits::DEFAULT).expect("what was written can be read").batch;
    let protobuf = wire::otlp::encode_protobuf(batch.spans());
    let json = wire::otlp::encode_json(batch.spans());
    let from_protobuf = read(Format::OtlpProtobuf, &protobuf);
    let from_json = read(Format::OtlpJson, json.as_bytes());
    let from_zipkin = read(Format::ZipkinJson, wire::zipkin::encode_json(batch.spans()).as_bytes());
    assert_eq!(from_zipkin.len(), batch.len());
    // What a limit has cut may be cut a little further the second time.
    if report.reasons().next().is_none() {
        assert_eq!(wire::otlp::encode_protobuf(from_protobuf.spans()), protobuf);
        assert_eq!(wire::otlp::encode_json(from_json.spans()), json);
    }
}
