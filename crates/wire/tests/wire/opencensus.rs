//! OpenCensus: where each of its words goes, and what a stream says only once.

use model::Limits;
use wire::opencensus::Sender;
use wire::{Format, Reason, decode};

use crate::normal::of_batch;
use crate::seeds;

#[test]
fn everything_a_span_can_say() {
    // Guarantees the place of every field: node, resources, kinds, status, types of attributes, both kinds of events, links.
    let decoded = decode(Format::OpenCensusProtobuf, &seeds::opencensus_protobuf()[0], &Limits::DEFAULT).unwrap();
    assert_eq!((decoded.report.received_spans, decoded.report.rejected_spans()), (2, 0));
    insta::assert_snapshot!("opencensus_batch", of_batch(&decoded.batch));
}

#[test]
fn a_sender_is_remembered() {
    // Guarantees that a message which does not say whose it is gets what its stream said last, and that one which does is left alone.
    let (node, resource) = (b"\x0a\x06\x1a\x04\x0a\x02aa", b"\x1a\x03\x0a\x01r");
    let span: &[u8] = &[b"\x12\x1c\x0a\x10".as_slice(), &[1; 16], b"\x12\x08", &[2; 8]].concat();
    let mut sender = Sender::default();
    assert!(sender.listen(span).is_empty(), "nothing was said yet");
    assert!(sender.listen(&[node, span].concat()).is_empty());
    assert_eq!(sender.listen(span), node);
    assert_eq!(sender.listen(&[resource, span].concat()), node);
    let before = sender.listen(span);
    assert_eq!(before, [&node[..], resource].concat());
    assert!(sender.listen(b"\xff").is_empty(), "what cannot be read is left to the decoder");
    let decoded = decode(Format::OpenCensusProtobuf, &[&before, span].concat(), &Limits::DEFAULT).unwrap();
    assert_eq!(decoded.batch.spans().next().unwrap().service_name(), "aa");
}

#[test]
fn bad_ids_are_refused_one_by_one() {
    // Guarantees that a span without ids is counted and the rest of the request kept.
    let good: &[u8] = &[b"\x12\x1c\x0a\x10".as_slice(), &[1; 16], b"\x12\x08", &[2; 8]].concat();
    let body = [good, b"\x12\x04\x0a\x02ab", good].concat();
    let decoded = decode(Format::OpenCensusProtobuf, &body, &Limits::DEFAULT).unwrap();
    assert_eq!((decoded.batch.len(), decoded.report.count(Reason::InvalidTraceId)), (2, 1));
}
