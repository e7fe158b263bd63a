//! Jaeger: all its encodings mean the same, written here by Apache's own Thrift library and by prost, and what its words mean.

use model::Limits;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use thrift::protocol::{
    TBinaryOutputProtocol, TCompactOutputProtocol, TFieldIdentifier, TListIdentifier, TMessageIdentifier, TMessageType,
    TOutputProtocol, TStructIdentifier, TType,
};
use wire::{Decoded, Format, Reason, decode};

use crate::normal::of_batch;
use crate::{seeds, thrift_seeds};

/// `model.proto` and `collector.proto`, for prost to write.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct PostSpansRequest {
        #[prost(message, optional, tag = "1")]
        pub(crate) batch: Option<Batch>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Batch {
        #[prost(message, repeated, tag = "1")]
        pub(crate) spans: Vec<Span>,
        #[prost(message, optional, tag = "2")]
        pub(crate) process: Option<Process>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub(crate) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(crate) id: Vec<u8>,
        #[prost(string, tag = "3")]
        pub(crate) operation_name: String,
        #[prost(message, repeated, tag = "4")]
        pub(crate) references: Vec<SpanRef>,
        #[prost(uint32, tag = "5")]
        pub(crate) flags: u32,
        #[prost(message, optional, tag = "6")]
        pub(crate) start_time: Option<Time>,
        #[prost(message, optional, tag = "7")]
        pub(crate) duration: Option<Time>,
        #[prost(message, repeated, tag = "8")]
        pub(crate) tags: Vec<KeyValue>,
        #[prost(message, repeated, tag = "9")]
        pub(crate) logs: Vec<Log>,
        #[prost(message, optional, tag = "10")]
        pub(crate) process: Option<Process>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct SpanRef {
        #[prost(bytes = "vec", tag = "1")]
        pub(crate) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(crate) span_id: Vec<u8>,
        #[prost(int32, tag = "3")]
        pub(crate) ref_type: i32,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(crate) struct Time {
        #[prost(int64, tag = "1")]
        pub(crate) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(crate) nanos: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct KeyValue {
        #[prost(string, tag = "1")]
        pub(crate) key: String,
        #[prost(int32, tag = "2")]
        pub(crate) v_type: i32,
        #[prost(string, tag = "3")]
        pub(crate) v_str: String,
        #[prost(bool, tag = "4")]
        pub(crate) v_bool: bool,
        #[prost(int64, tag = "5")]
        pub(crate) v_int64: i64,
        #[prost(double, tag = "6")]
        pub(crate) v_float64: f64,
        #[prost(bytes = "vec", tag = "7")]
        pub(crate) v_binary: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Log {
        #[prost(message, optional, tag = "1")]
        pub(crate) timestamp: Option<Time>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) fields: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Process {
        #[prost(string, tag = "1")]
        pub(crate) service_name: String,
        #[prost(message, repeated, tag = "2")]
        pub(crate) tags: Vec<KeyValue>,
    }
}

/// A tag's value in neither encoding's words.
#[derive(Debug, Clone)]
enum Tagged {
    Str(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
}

type Tag = (String, Tagged);

#[derive(Debug, Clone)]
struct Span {
    trace_id: [u64; 2],
    id: u64,
    name: String,
    /// Type and span of the same trace, or of another.
    references: Vec<(i32, u64, bool)>,
    flags: u32,
    start_us: i64,
    duration_us: i64,
    tags: Vec<Tag>,
    logs: Vec<(i64, Vec<Tag>)>,
}

fn tag() -> impl Strategy<Value = Tag> {
    let key = prop_oneof![
        "[a-z]{1,4}",
        prop::sample::select(vec!["span.kind", "error", "otel.status_code", "event", "message", "otel.scope.name"])
            .prop_map(str::to_owned)
    ];
    let value = prop_oneof![
        ".{0,6}".prop_map(Tagged::Str),
        prop::sample::select(vec!["client", "SERVER", "ERROR", "OK", "true"])
            .prop_map(|word| Tagged::Str(word.to_owned())),
        any::<bool>().prop_map(Tagged::Bool),
        any::<i64>().prop_map(Tagged::Int),
        any::<i32>().prop_map(|value| Tagged::Double(f64::from(value) / 8.0)),
        vec(any::<u8>(), 0..6).prop_map(Tagged::Bytes),
    ];
    (key, value)
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (any::<[u64; 2]>(), 1..u64::MAX);
    let references = vec((0..2i32, 1..u64::MAX, any::<bool>()), 0..4);
    let times = (0..1i64 << 50, 0..1i64 << 40);
    let logs = vec((0..1i64 << 50, vec(tag(), 0..4)), 0..3);
    (ids, ".{0,8}", references, 0..4u32, times, vec(tag(), 0..20), logs).prop_map(
        |(([high, low], id), name, references, flags, (start_us, duration_us), tags, logs)| Span {
            trace_id: [high, low | 1],
            id,
            name,
            references,
            flags,
            start_us,
            duration_us,
            tags,
            logs,
        },
    )
}

/// The id of the trace that a reference leads to.
fn referenced(span: &Span, same: bool) -> [u64; 2] {
    let [high, low] = span.trace_id;
    if same { [high, low] } else { [high ^ 1, low] }
}

/// Writes Jaeger's structs with Apache's library.
struct Writer<'w>(&'w mut dyn TOutputProtocol);

impl Writer<'_> {
    fn structure(&mut self, fields: impl FnOnce(&mut Self)) {
        self.0.write_struct_begin(&TStructIdentifier::new("s")).unwrap();
        fields(self);
        self.0.write_field_stop().unwrap();
        self.0.write_struct_end().unwrap();
    }

    fn field(&mut self, number: i16, value_type: TType, value: impl FnOnce(&mut Self)) {
        self.0.write_field_begin(&TFieldIdentifier::new("f", value_type, number)).unwrap();
        value(self);
        self.0.write_field_end().unwrap();
    }

    fn i64(&mut self, number: i16, value: i64) {
        self.field(number, TType::I64, |writer| writer.0.write_i64(value).unwrap());
    }

    fn i32(&mut self, number: i16, value: i32) {
        self.field(number, TType::I32, |writer| writer.0.write_i32(value).unwrap());
    }

    fn text(&mut self, number: i16, value: &str) {
        self.field(number, TType::String, |writer| writer.0.write_string(value).unwrap());
    }

    fn list<T>(&mut self, number: i16, elements: &[T], each: impl Fn(&mut Self, &T)) {
        self.field(number, TType::List, |writer| {
            writer.0.write_list_begin(&TListIdentifier::new(TType::Struct, elements.len() as i32)).unwrap();
            for element in elements {
                writer.structure(|writer| each(writer, element));
            }
            writer.0.write_list_end().unwrap();
        });
    }

    fn tag(&mut self, (key, value): &Tag) {
        self.text(1, key);
        match value {
            Tagged::Str(text) => {
                self.i32(2, 0);
                self.text(3, text);
            }
            Tagged::Double(value) => {
                self.i32(2, 1);
                self.field(4, TType::Double, |writer| writer.0.write_double(*value).unwrap());
            }
            Tagged::Bool(value) => {
                self.i32(2, 2);
                self.field(5, TType::Bool, |writer| writer.0.write_bool(*value).unwrap());
            }
            Tagged::Int(value) => {
                self.i32(2, 3);
                self.i64(6, *value);
            }
            Tagged::Bytes(bytes) => {
                self.i32(2, 4);
                self.field(7, TType::String, |writer| writer.0.write_bytes(bytes).unwrap());
            }
        }
    }

    fn span(&mut self, span: &Span) {
        let [high, low] = span.trace_id;
        self.i64(1, low as i64);
        self.i64(2, high as i64);
        self.i64(3, span.id as i64);
        self.i64(4, 0);
        self.text(5, &span.name);
        self.list(6, &span.references, |writer, &(ref_type, id, same)| {
            let [high, low] = referenced(span, same);
            writer.i32(1, ref_type);
            writer.i64(2, low as i64);
            writer.i64(3, high as i64);
            writer.i64(4, id as i64);
        });
        self.i32(7, span.flags as i32);
        self.i64(8, span.start_us);
        self.i64(9, span.duration_us);
        self.list(10, &span.tags, Writer::tag);
        self.list(11, &span.logs, |writer, (time_us, fields)| {
            writer.i64(1, *time_us);
            writer.list(2, fields, Writer::tag);
        });
    }

    fn batch(&mut self, spans: &[Span], process_tags: &[Tag]) {
        self.structure(|writer| {
            writer.field(1, TType::Struct, |writer| {
                writer.structure(|writer| {
                    writer.text(1, "shop");
                    writer.list(2, process_tags, Writer::tag);
                });
            });
            writer.list(2, spans, Writer::span);
        });
    }

    fn call(&mut self, spans: &[Span], process_tags: &[Tag]) {
        let head = TMessageIdentifier::new("emitBatch", TMessageType::OneWay, 3);
        self.0.write_message_begin(&head).unwrap();
        self.structure(|writer| writer.field(1, TType::Struct, |writer| writer.batch(spans, process_tags)));
        self.0.write_message_end().unwrap();
    }
}

fn key_value((key, value): &Tag) -> proto::KeyValue {
    let mut pair = proto::KeyValue { key: key.clone(), ..proto::KeyValue::default() };
    match value {
        Tagged::Str(text) => pair.v_str.clone_from(text),
        Tagged::Bool(value) => (pair.v_type, pair.v_bool) = (1, *value),
        Tagged::Int(value) => (pair.v_type, pair.v_int64) = (2, *value),
        Tagged::Double(value) => (pair.v_type, pair.v_float64) = (3, *value),
        Tagged::Bytes(bytes) => {
            pair.v_type = 4;
            pair.v_binary.clone_from(bytes);
        }
    }
    pair
}

fn id_bytes(trace_id: [u64; 2]) -> Vec<u8> {
    trace_id.map(u64::to_be_bytes).concat()
}

fn time(microseconds: i64) -> proto::Time {
    proto::Time { seconds: microseconds / 1_000_000, nanos: (microseconds % 1_000_000 * 1000) as i32 }
}

fn to_proto(spans: &[Span], process_tags: &[Tag]) -> Vec<u8> {
    let of = |span: &Span| proto::Span {
        trace_id: id_bytes(span.trace_id),
        id: span.id.to_be_bytes().to_vec(),
        operation_name: span.name.clone(),
        references: span
            .references
            .iter()
            .map(|&(ref_type, to, same)| proto::SpanRef {
                trace_id: id_bytes(referenced(span, same)),
                span_id: to.to_be_bytes().to_vec(),
                ref_type,
            })
            .collect(),
        flags: span.flags,
        start_time: Some(time(span.start_us)),
        duration: Some(time(span.duration_us)),
        tags: span.tags.iter().map(key_value).collect(),
        logs: span
            .logs
            .iter()
            .map(|(time_us, fields)| proto::Log {
                timestamp: Some(time(*time_us)),
                fields: fields.iter().map(key_value).collect(),
            })
            .collect(),
        process: None,
    };
    let process =
        proto::Process { service_name: "shop".to_owned(), tags: process_tags.iter().map(key_value).collect() };
    let batch = proto::Batch { spans: spans.iter().map(of).collect(), process: Some(process) };
    proto::PostSpansRequest { batch: Some(batch) }.encode_to_vec()
}

fn read(format: Format, body: &[u8]) -> Decoded {
    decode(format, body, &Limits::DEFAULT).unwrap_or_else(|error| panic!("{error}"))
}

proptest! {
    #[test]
    fn all_encodings_mean_the_same(spans in vec(span(), 1..4), process in vec(tag(), 0..4)) {
        // Guarantees that what Apache's Thrift library and prost write of the same spans becomes the same batch.
        let from_protobuf = of_batch(&read(Format::JaegerProtobuf, &to_proto(&spans, &process)).batch);
        let (mut batch, mut binary, mut compact) = (Vec::new(), Vec::new(), Vec::new());
        Writer(&mut TBinaryOutputProtocol::new(&mut batch, true)).batch(&spans, &process);
        Writer(&mut TBinaryOutputProtocol::new(&mut binary, true)).call(&spans, &process);
        Writer(&mut TCompactOutputProtocol::new(&mut compact)).call(&spans, &process);
        let mut older = Vec::new();
        Writer(&mut TBinaryOutputProtocol::new(&mut older, false)).call(&spans, &process);
        for (format, body) in [
            (Format::JaegerThrift, batch),
            (Format::JaegerBinaryCall, binary),
            (Format::JaegerBinaryCall, older),
            (Format::JaegerCompactCall, compact),
        ] {
            prop_assert_eq!(&of_batch(&read(format, &body).batch), &from_protobuf, "{}", format.name());
        }
    }
}

#[test]
fn everything_a_span_can_say() {
    // Guarantees the place of every field: kind, status, scope, trace state, links, events, flags, types of tags.
    let thrift = read(Format::JaegerThrift, &thrift_seeds::jaeger_thrift()[0]);
    insta::assert_snapshot!("jaeger_thrift_batch", of_batch(&thrift.batch));
    for compact in [false, true] {
        let format = if compact { Format::JaegerCompactCall } else { Format::JaegerBinaryCall };
        let call = read(format, &thrift_seeds::jaeger_call(compact)[0]);
        assert_eq!(of_batch(&call.batch), of_batch(&thrift.batch));
    }
    let protobuf = read(Format::JaegerProtobuf, &seeds::jaeger_protobuf()[0]);
    insta::assert_snapshot!("jaeger_protobuf_batch", of_batch(&protobuf.batch));
}

#[test]
fn what_is_refused_is_counted() {
    // Guarantees that spans without ids and oversized spans are refused one by one, with the rest of the batch kept.
    let good = Span {
        trace_id: [0, 7],
        id: 1,
        name: "good".to_owned(),
        references: vec![(1, 0, true)],
        flags: 0,
        start_us: 1,
        duration_us: 1,
        tags: Vec::new(),
        logs: Vec::new(),
    };
    let no_trace = Span { trace_id: [0, 0], ..good.clone() };
    let no_span = Span { id: 0, ..good.clone() };
    let tag = ("k".to_owned(), Tagged::Str("x".repeat(1000)));
    let large = Span { tags: vec![tag; 2000], ..good.clone() };
    let spans = [no_trace, good.clone(), no_span, large, good];
    let mut compact = Vec::new();
    Writer(&mut TCompactOutputProtocol::new(&mut compact)).call(&spans, &[]);
    for (format, body) in [(Format::JaegerCompactCall, compact), (Format::JaegerProtobuf, to_proto(&spans, &[]))] {
        let decoded = read(format, &body);
        assert_eq!((decoded.batch.len(), decoded.report.received_spans, decoded.report.rejected_spans()), (2, 5, 3));
        for reason in [Reason::InvalidTraceId, Reason::InvalidSpanId, Reason::SpanTooLarge] {
            assert_eq!(decoded.report.count(reason), 1);
        }
        assert_eq!(decoded.report.count(Reason::InvalidLinkId), 2, "a link to no span is dropped");
    }
}

#[test]
fn a_list_cannot_announce_more_than_comes() {
    // Guarantees that a length is believed only as far as there are bytes for it, at once and without memory.
    let list_of_spans = [0x0f, 0, 2, 12, 0x7f, 0xff, 0xff, 0xff, 0];
    let error = decode(Format::JaegerThrift, &list_of_spans, &Limits::DEFAULT).unwrap_err();
    assert!(error.to_string().contains("beyond the end"), "{error}");
    let deep = [[0x0cu8, 0, 9].repeat(5000), vec![0; 5001]].concat();
    let error = decode(Format::JaegerThrift, &deep, &Limits::DEFAULT).unwrap_err();
    assert!(error.to_string().contains("deep"), "{error}");
}
