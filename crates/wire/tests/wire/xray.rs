//! X-Ray: where each word of a segment document goes, and what is refused.

use model::Limits;
use wire::{Decoded, Format, Reason, decode};

use crate::normal::of_batch;
use crate::seeds;

fn datagram(document: &str) -> Decoded {
    let body = format!("{{\"format\":\"JSON\",\"version\":1}}\n{document}");
    decode(Format::XrayDatagram, body.as_bytes(), &Limits::DEFAULT).unwrap()
}

#[test]
fn everything_a_document_can_say() {
    // Guarantees the place of every field of a segment and of subsegments of each kind.
    let seeds = seeds::xray_datagram();
    let decoded = decode(Format::XrayDatagram, &seeds[0], &Limits::DEFAULT).unwrap();
    assert_eq!((decoded.report.received_spans, decoded.report.rejected_spans()), (9, 0));
    insta::assert_snapshot!("xray_segment", of_batch(&decoded.batch));
    let alone = decode(Format::XrayDatagram, &seeds[1], &Limits::DEFAULT).unwrap();
    insta::assert_snapshot!("xray_subsegment", of_batch(&alone.batch));
    let documents = decode(Format::XrayDocuments, &seeds::xray_documents()[0], &Limits::DEFAULT).unwrap();
    assert_eq!(of_batch(&documents.batch), of_batch(&decoded.batch).repeat(2), "PutTraceSegments means the same");
}

#[test]
fn a_segment_in_progress_is_replaced_by_the_complete_one() {
    // Guarantees that both have the ids and the kind by which the later one takes the place of the earlier one.
    let of = |rest: &str| {
        let document = format!(
            r#"{{"name":"s","id":"70de5b6f19ff9a0a","trace_id":"1-581cf771-a006649127e371903a2de979","start_time":5.5,{rest}}}"#
        );
        let batch = datagram(&document).batch;
        let row = batch.rows[0];
        (row.trace_id, row.span_id, row.kind, row.end_unix_nano)
    };
    let (begun, done) = (of(r#""in_progress":true"#), of(r#""end_time":7.25"#));
    assert_eq!((begun.0, begun.1, begun.2), (done.0, done.1, done.2));
    assert_eq!((begun.3, done.3), (5_500_000_000, 7_250_000_000));
}

#[test]
fn what_is_refused_is_counted() {
    // Guarantees that a document without ids is refused with its reason, within a request without spoiling the others.
    let decoded = datagram(r#"{"name":"s","id":"70de5b6f19ff9a0a","trace_id":"nonsense","start_time":1}"#);
    assert_eq!((decoded.batch.len(), decoded.report.count(Reason::InvalidTraceId)), (0, 1));
    let decoded = datagram(r#"{"name":"s","id":"7","trace_id":"1-581cf771-a006649127e371903a2de979","start_time":1}"#);
    assert_eq!((decoded.batch.len(), decoded.report.count(Reason::InvalidSpanId)), (0, 1));
    let large = format!(
        r#"{{"trace_id":"1-581cf771-a006649127e371903a2de979","metadata":{{"a":[{}1]}}}}"#,
        "{\"\":0},".repeat(50_000)
    );
    assert_eq!(datagram(&large).report.count(Reason::SpanTooLarge), 1);
    let body = r#"{"TraceSegmentDocuments":["not JSON","{\"name\":\"s\",\"id\":\"70de5b6f19ff9a0a\",\"trace_id\":\"1-581cf771-a006649127e371903a2de979\"}"]}"#;
    let decoded = decode(Format::XrayDocuments, body.as_bytes(), &Limits::DEFAULT).unwrap();
    assert_eq!((decoded.batch.len(), decoded.report.received_spans, decoded.report.rejected_spans()), (1, 2, 1));
    for bad in
        ["", "{}", "{}\n{}", "{\"format\":\"json\",\"version\":2}\n{}", "{\"format\":\"json\",\"version\":1}\n[1]"]
    {
        assert!(decode(Format::XrayDatagram, bad.as_bytes(), &Limits::DEFAULT).is_err(), "{bad}");
    }
}
