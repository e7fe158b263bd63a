//! Each limit by itself: what is kept, what is counted, what the sender is told. Checked for protobuf and JSON alike.

use model::{Limits, SpanBatch, TextTable, ValueRef};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData, span};
use prost::Message;
use wire::{DecodeError, Decoded, Format, Reason, decode, decode_within};

use crate::shuffle::field;

fn good_span() -> Span {
    Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "work".into(), ..Span::default() }
}

fn with_spans(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource = Some(Resource { attributes: vec![pair("service.name", text("order"))], ..Resource::default() });
    TracesData { resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }] }
        .encode_to_vec()
}

fn text(value: &str) -> any_value::Value {
    any_value::Value::StringValue(value.to_owned())
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Decodes as protobuf, and as the JSON of what unlimited decoding finds; both must agree.
fn decode_both(spans: Vec<Span>, limits: &Limits) -> Decoded {
    let unlimited = Limits {
        attributes_max: usize::MAX,
        key_bytes_max: usize::MAX,
        value_bytes_max: 1 << 30,
        depth_max: 60,
        events_max: usize::MAX,
        links_max: usize::MAX,
        span_bytes_max: usize::MAX,
        ..Limits::DEFAULT
    };
    let bytes = with_spans(spans);
    let protobuf = decode(Format::OtlpProtobuf, &bytes, limits).unwrap();
    let everything = decode(Format::OtlpProtobuf, &bytes, &unlimited).unwrap().batch;
    let json = wire::otlp::encode_json(everything.spans());
    let json = decode(Format::OtlpJson, json.as_bytes(), limits).unwrap();
    assert_eq!(crate::normal::of_batch(&json.batch), crate::normal::of_batch(&protobuf.batch));
    assert_eq!(json.report, protobuf.report);
    protobuf
}

fn count(decoded: &Decoded, reason: Reason) -> u64 {
    decoded.report.count(reason)
}

fn keys(batch: &SpanBatch) -> Vec<&str> {
    batch.span(0).attributes().map(|attribute| attribute.key).collect()
}

#[test]
fn attributes_over_the_limit_are_dropped_and_counted() {
    // Guarantees that the first attributes stay and the rest adds to the sender's own count, at every level.
    let limits = Limits { attributes_max: 2, ..Limits::DEFAULT };
    let attributes = || vec![pair("a", text("1")), pair("b", text("2")), pair("c", text("3"))];
    let event = span::Event { attributes: attributes(), ..span::Event::default() };
    let link =
        span::Link { trace_id: vec![3; 16], span_id: vec![4; 8], attributes: attributes(), ..span::Link::default() };
    let span = Span {
        attributes: attributes(),
        events: vec![event],
        links: vec![link],
        dropped_attributes_count: 5,
        ..good_span()
    };
    let decoded = decode_both(vec![span], &limits);
    let span = decoded.batch.span(0);
    assert_eq!(keys(&decoded.batch), ["a", "b"]);
    assert_eq!(span.row().dropped_attributes_count, 6);
    assert_eq!(span.events().next().unwrap().dropped_attributes_count(), 1);
    assert_eq!(span.links().next().unwrap().dropped_attributes_count(), 1);
    assert_eq!(count(&decoded, Reason::AttributesOverLimit), 3);
    assert_eq!(decoded.report.rejected_spans(), 0);
}

#[test]
fn long_keys_are_dropped_and_counted() {
    // Guarantees that a key as long as the limit stays and a longer one goes, with its value.
    let limits = Limits { key_bytes_max: 4, ..Limits::DEFAULT };
    let limits = Limits { attributes_max: 10, ..limits };
    let span = Span { attributes: vec![pair("1234", text("x")), pair("12345", text("y"))], ..good_span() };
    let decoded = decode(Format::OtlpProtobuf, &with_spans(vec![span]), &limits).unwrap();
    assert_eq!(keys(&decoded.batch), ["1234"]);
    assert_eq!(decoded.batch.span(0).row().dropped_attributes_count, 1);
    assert_eq!(count(&decoded, Reason::KeyTooLong), 2, "service.name is too long as well");
}

#[test]
fn long_values_are_cut_at_a_character() {
    // Guarantees that texts, bytes and nested values are cut to the limit, stay readable, and are counted.
    let limits = Limits { value_bytes_max: 16, ..Limits::DEFAULT };
    let item = |value: &str| AnyValue { value: Some(text(value)) };
    let array = ArrayValue { values: vec![item("one"), item("twenty characters in"), item("three")] };
    let attributes = vec![
        pair("fits", text("exactly16bytes!!")),
        pair("long", text("fifteen bytes..é")),
        pair("bytes", any_value::Value::BytesValue(vec![0xff; 20])),
        pair("array", any_value::Value::ArrayValue(array)),
    ];
    let decoded = decode_both(vec![Span { attributes, name: "seventeen bytes !".into(), ..good_span() }], &limits);
    let span = decoded.batch.span(0);
    assert_eq!(span.name(), "seventeen bytes ");
    assert_eq!(span.attribute("fits"), Some(ValueRef::Str("exactly16bytes!!")));
    assert_eq!(span.attribute("long"), Some(ValueRef::Str("fifteen bytes..")));
    assert_eq!(span.attribute("bytes"), Some(ValueRef::Bytes(&[0xff; 16])));
    assert_eq!(span.attribute("array"), Some(ValueRef::Json(r#"["one","twenty cha"]"#)));
    assert_eq!(count(&decoded, Reason::ValueTruncated), 4);
}

fn nested(depth: usize) -> AnyValue {
    let mut value = AnyValue { value: Some(text("core")) };
    for _ in 0..depth {
        value = AnyValue { value: Some(any_value::Value::ArrayValue(ArrayValue { values: vec![value] })) };
    }
    value
}

#[test]
fn deep_values_become_empty() {
    // Guarantees that what nests as deep as the limit stays and that deeper arrays become empty and are counted.
    let limits = Limits { depth_max: 3, ..Limits::DEFAULT };
    let pair = |key: &str, depth| KeyValue { key: key.into(), value: Some(nested(depth)), ..KeyValue::default() };
    let decoded = decode_both(vec![Span { attributes: vec![pair("kept", 3), pair("cut", 5)], ..good_span() }], &limits);
    let span = decoded.batch.span(0);
    assert_eq!(span.attribute("kept"), Some(ValueRef::Json(r#"[[["core"]]]"#)));
    assert_eq!(span.attribute("cut"), Some(ValueRef::Json("[[[null]]]")));
    assert_eq!(count(&decoded, Reason::DepthOverLimit), 1);
}

#[test]
fn absurdly_deep_protobuf_is_refused() {
    // Guarantees that values nested beyond any sense refuse the body without exhausting the stack, deep or very deep.
    for depth in [65, 1_000, 10_000] {
        let mut value = field(1, b"core");
        for _ in 0..depth {
            value = field(5, &field(1, &value));
        }
        let attribute = [field(1, b"deep"), field(2, &value)].concat();
        let span = [field(1, &[1; 16]), field(2, &[2; 8]), field(9, &attribute)].concat();
        let body = field(1, &field(2, &field(2, &span)));
        let refusal = decode(Format::OtlpProtobuf, &body, &Limits::DEFAULT).unwrap_err();
        assert!(matches!(refusal, DecodeError::TooDeep { .. }), "{depth}: {refusal}");
    }
}

#[test]
fn events_and_links_over_the_limit_are_dropped_and_counted() {
    // Guarantees that the first events and links stay and the rest adds to the sender's own counts.
    let limits = Limits { events_max: 2, links_max: 1, ..Limits::DEFAULT };
    let event = |name: &str| span::Event { name: name.into(), ..span::Event::default() };
    let link = |byte| span::Link { trace_id: vec![byte; 16], span_id: vec![byte; 8], ..span::Link::default() };
    let span = Span {
        events: vec![event("a"), event("b"), event("c")],
        links: vec![link(7), link(8), link(9)],
        dropped_events_count: 10,
        dropped_links_count: 20,
        ..good_span()
    };
    let decoded = decode_both(vec![span.clone(), span], &limits);
    for span in decoded.batch.spans() {
        assert_eq!((span.events().count(), span.links().count()), (2, 1));
        assert_eq!((span.row().dropped_events_count, span.row().dropped_links_count), (11, 22));
    }
    assert_eq!(count(&decoded, Reason::EventsOverLimit), 2);
    assert_eq!(count(&decoded, Reason::LinksOverLimit), 4);
}

#[test]
fn large_spans_are_refused_one_by_one() {
    // Guarantees that a span over the limit is refused with its size, and that its neighbours stay.
    let limits = Limits { span_bytes_max: 1000, ..Limits::DEFAULT };
    let large = Span { attributes: vec![pair("k", text(&"x".repeat(1100)))], ..good_span() };
    let bytes = with_spans(vec![good_span(), large.clone(), good_span()]);
    let decoded = decode(Format::OtlpProtobuf, &bytes, &limits).unwrap();
    assert_eq!((decoded.batch.len(), decoded.report.received_spans, decoded.report.rejected_spans()), (2, 3, 1));
    assert_eq!(count(&decoded, Reason::SpanTooLarge), 1);
    let problem = decoded.report.first_problem.unwrap();
    assert!(problem.starts_with("span 2: ") && problem.contains("at most 1000"), "{problem}");
    let all = decode(Format::OtlpProtobuf, &bytes, &Limits::DEFAULT).unwrap().batch;
    let json = wire::otlp::encode_json(all.spans());
    let decoded = decode(Format::OtlpJson, json.as_bytes(), &limits).unwrap();
    assert_eq!((decoded.batch.len(), count(&decoded, Reason::SpanTooLarge)), (2, 1));
}

#[test]
fn spans_with_bad_ids_are_refused_one_by_one() {
    // Guarantees that ids of a wrong length or all zero refuse their span only, and that nothing of it stays behind.
    let bad = |trace_id: Vec<u8>, span_id: Vec<u8>| Span {
        trace_id,
        span_id,
        attributes: vec![pair("k", text("v"))],
        events: vec![span::Event { attributes: vec![pair("k", text("v"))], ..span::Event::default() }],
        ..Span::default()
    };
    let spans = vec![
        bad(vec![], vec![2; 8]),
        bad(vec![1; 15], vec![2; 8]),
        bad(vec![0; 16], vec![2; 8]),
        bad(vec![1; 16], vec![2; 9]),
        bad(vec![1; 16], vec![0; 8]),
        Span { parent_span_id: vec![9; 3], ..good_span() },
    ];
    let decoded = decode(Format::OtlpProtobuf, &with_spans(spans), &Limits::DEFAULT).unwrap();
    assert_eq!(decoded.batch.len(), 1);
    assert_eq!(decoded.batch.span(0).attributes().count() + decoded.batch.span(0).events().count(), 0);
    assert_eq!(decoded.batch.span(0).parent_span_id(), None);
    assert_eq!(count(&decoded, Reason::InvalidTraceId), 3);
    assert_eq!(count(&decoded, Reason::InvalidSpanId), 2);
    assert_eq!(count(&decoded, Reason::InvalidParentSpanId), 1);
    assert_eq!((decoded.report.rejected_spans(), decoded.report.received_spans), (5, 6));
    assert!(decoded.report.first_problem.unwrap().contains("trace id"));
}

#[test]
fn links_with_bad_ids_are_dropped_and_counted() {
    // Guarantees that a link whose ids have a wrong length goes with its attributes, while a zero id is kept.
    let link = |trace: usize, span: usize| span::Link {
        trace_id: vec![0; trace],
        span_id: vec![0; span],
        attributes: vec![pair("k", text("v"))],
        ..span::Link::default()
    };
    let span = Span { links: vec![link(16, 7), link(16, 8), link(0, 8)], dropped_links_count: 1, ..good_span() };
    let decoded = decode(Format::OtlpProtobuf, &with_spans(vec![span]), &Limits::DEFAULT).unwrap();
    let span = decoded.batch.span(0);
    assert_eq!((span.links().count(), span.row().dropped_links_count), (1, 3));
    assert_eq!(span.links().next().unwrap().attributes().count(), 1);
    assert_eq!(count(&decoded, Reason::InvalidLinkId), 2);
}

#[test]
fn invalid_utf8_is_replaced_and_counted() {
    // Guarantees that strings that are not UTF-8 stay readable each time they come, also after equal bytes as a bytes value.
    let bad = [b'a', 0xff, b'b'];
    let value = |number, bytes: &[u8]| field(2, &field(number, bytes));
    let attributes = [
        field(9, &[field(1, b"bytes"), value(7, &bad)].concat()),
        field(9, &[field(1, b"text"), value(1, &bad)].concat()),
        field(9, &[field(1, b"again"), value(1, &bad)].concat()),
        field(9, &[field(1, b"nested"), field(2, &field(5, &field(1, &field(1, &bad))))].concat()),
    ];
    let span = [field(1, &[1; 16]), field(2, &[2; 8]), field(5, &bad), attributes.concat()].concat();
    let body = field(1, &field(2, &field(2, &span)));
    let decoded = decode(Format::OtlpProtobuf, &body, &Limits::DEFAULT).unwrap();
    let span = decoded.batch.span(0);
    assert_eq!(span.name(), "a\u{fffd}b");
    assert_eq!(span.attribute("bytes"), Some(ValueRef::Bytes(&bad)));
    assert_eq!(span.attribute("text"), Some(ValueRef::Str("a\u{fffd}b")));
    assert_eq!(span.attribute("again"), Some(ValueRef::Str("a\u{fffd}b")));
    assert_eq!(span.attribute("nested"), Some(ValueRef::Json("[\"a\u{fffd}b\"]")));
    assert_eq!(count(&decoded, Reason::InvalidUtf8), 4);
}

#[test]
fn a_cut_text_of_bad_bytes_ends_at_a_character() {
    // Guarantees that cutting and replacing together stay within the limit and never split a character.
    for length in 0..12usize {
        let limits = Limits { value_bytes_max: length, ..Limits::DEFAULT };
        for bytes in [&b"\xff\xff\xff\xff\xff\xff"[..], "aé😀é😀a".as_bytes(), b"\x80\x80\x80\x80\x80\x80\x80\x80"]
        {
            let span = [field(1, &[1; 16]), field(2, &[2; 8]), field(5, bytes)].concat();
            let decoded = decode(Format::OtlpProtobuf, &field(1, &field(2, &field(2, &span))), &limits).unwrap();
            let name = decoded.batch.span(0).name();
            assert!(name.len() <= length, "{name:?} is longer than {length}");
            assert!(!name.is_empty() || length < 3, "{bytes:?} in {length}");
        }
    }
}

#[test]
fn empty_owners_cost_nothing() {
    // Guarantees that millions of resources and scopes without spans take no memory in the batch.
    let body = field(1, &field(2, &[])).repeat(100_000);
    let decoded = decode(Format::OtlpProtobuf, &body, &Limits::DEFAULT).unwrap();
    assert_eq!((decoded.batch.resources.len(), decoded.batch.scopes.len(), decoded.batch.len()), (0, 0, 0));
    assert!(decoded.batch.heap_bytes() < 10_000);
}

#[test]
fn small_bodies_of_many_things_are_bounded() {
    // Guarantees for each format that a body which unfolds to far more memory than its size is refused before it has taken it.
    let ids = [field(1, &[1; 16]), field(2, &[2; 8])].concat();
    let spans = field(1, &field(2, &field(2, &ids).repeat(100_000)));
    let events = field(1, &field(2, &field(2, &[ids.clone(), field(11, &[]).repeat(4_096)].concat()).repeat(100)));
    let nameless = field(11, &field(3, &[]).repeat(1_000)).repeat(250);
    let attributes = field(1, &field(2, &field(2, &[ids, nameless].concat()).repeat(4)));
    let json_span = r#"{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202"}"#;
    let list = vec![json_span; 50_000].join(",");
    let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{list}]}}]}}]}}"#);
    let zipkin = format!("[{}]", vec![r#"{"traceId":"1","id":"2"}"#; 50_000].join(","));
    let cases = [
        (Format::OtlpProtobuf, spans),
        (Format::OtlpProtobuf, events),
        (Format::OtlpProtobuf, attributes),
        (Format::OtlpJson, json.into_bytes()),
        (Format::ZipkinJson, zipkin.into_bytes()),
    ];
    for (format, body) in cases {
        let bytes_max = 1 << 20;
        let refused = decode_within(format, &body, &Limits::DEFAULT, bytes_max);
        assert_eq!(refused.unwrap_err(), DecodeError::BatchTooLarge { bytes_max }, "{format:?}, {} bytes", body.len());
        assert!(decode(format, &body, &Limits::DEFAULT).is_ok(), "{format:?}");
    }
}

#[test]
fn declared_lengths_allocate_nothing() {
    // Guarantees that a length of a gibibyte in a short body is refused with its place.
    let body = [0x0a, 0x80, 0x80, 0x80, 0x80, 0x04, 1, 2, 3];
    let refusal = decode(Format::OtlpProtobuf, &body, &Limits::DEFAULT).unwrap_err();
    assert_eq!(refusal.to_string(), "not OTLP protobuf: a field reaches beyond the end of its message at byte 1");
}

#[test]
fn fields_of_another_wire_type_are_unknown() {
    // Guarantees that a field whose wire type is not the schema's is skipped, as protobuf's own readers do.
    let wrong =
        [&[9 << 3, 1][..], &[5 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0], &field(7, &[1; 8]), &field(16, &[1; 4])].concat();
    let span = [field(1, &[1; 16]), field(2, &[2; 8]), field(5, b"name"), wrong].concat();
    let decoded = decode(Format::OtlpProtobuf, &field(1, &field(2, &field(2, &span))), &Limits::DEFAULT).unwrap();
    let span = decoded.batch.span(0);
    assert_eq!((span.name(), span.start_unix_nano(), span.row().flags), ("name", 0, 0));
}

#[test]
fn broken_groups_are_refused() {
    // Guarantees that groups that do not end, end twice or nest without end are refused.
    let nested = [0x9b, 0x01].repeat(200);
    for body in [&[0x9b, 0x01][..], &[0x9c, 0x01], &[0x9b, 0x01, 0xa4, 0x01], &nested] {
        assert!(decode(Format::OtlpProtobuf, body, &Limits::DEFAULT).is_err(), "{body:?}");
    }
    let closed = [0x9b, 0x01, 0x08, 0x05, 0x9c, 0x01];
    assert!(decode(Format::OtlpProtobuf, &closed, &Limits::DEFAULT).is_ok());
}

#[test]
fn texts_are_stored_once() {
    // Guarantees that equal texts of different spans share one place in the batch.
    let span = || Span { attributes: vec![pair("key", text("value"))], ..good_span() };
    let batch =
        decode(Format::OtlpProtobuf, &with_spans(vec![span(), span(), span()]), &Limits::DEFAULT).unwrap().batch;
    let mut expected = TextTable::default();
    for each in ["service.name", "order", "key", "value", "work"] {
        expected.intern(each.as_bytes());
    }
    assert_eq!(batch.text.len(), expected.len());
}
