//! Random OTLP messages: every field, every type of value, odd ids, unknown enum numbers.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData, span};
use proptest::collection::vec;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("service.name".to_owned()),
        "[a-z.]{1,12}",
        ".{0,6}",
        "[$\"\\\\\u{0}é😀]{0,4}"
    ]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0), Just(1.0)]
}

fn value() -> impl Strategy<Value = AnyValue> {
    use any_value::Value;
    let leaf = prop_oneof![
        Just(None),
        text().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(Value::IntValue(value))),
        double().prop_map(|value| Some(Value::DoubleValue(value))),
        vec(any::<u8>(), 0..6).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ];
    leaf.prop_map(|value| AnyValue { value }).prop_recursive(4, 16, 4, |inner| {
        let array = vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values }));
        let map = vec(pair_of(inner), 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values }));
        prop_oneof![array, map].prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn pair_of(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    (text(), proptest::option::weighted(0.9, value)).prop_map(|(key, value)| KeyValue { key, value, key_strindex: 0 })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(pair_of(value()), 0..4)
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), any::<u32>()]
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => vec(any::<u8>(), length..=length),
        1 => vec(any::<u8>(), 0..20),
        1 => Just(vec![0; length]),
    ]
}

fn event() -> impl Strategy<Value = span::Event> {
    (any::<u64>(), text(), attributes(), count()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| span::Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = span::Link> {
    (id(16), id(8), text(), attributes(), count(), any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| span::Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![0..7i32, any::<i32>()]
}

fn span() -> impl Strategy<Value = Span> {
    let status = (text(), number()).prop_map(|(message, code)| Status { message, code });
    let ids = (id(16), id(8), prop_oneof![Just(Vec::new()), id(8)], text(), any::<u32>());
    let own = (text(), number(), any::<u64>(), any::<u64>(), proptest::option::of(status));
    let owned = (attributes(), vec(event(), 0..3), vec(link(), 0..3), [count(), count(), count()]);
    (ids, own, owned).prop_map(|(ids, own, owned)| {
        let (trace_id, span_id, parent_span_id, trace_state, flags) = ids;
        let (name, kind, start_time_unix_nano, end_time_unix_nano, status) = own;
        let (attributes, events, links, dropped) = owned;
        let [dropped_attributes_count, dropped_events_count, dropped_links_count] = dropped;
        Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count,
            events,
            dropped_events_count,
            links,
            dropped_links_count,
            status,
        }
    })
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    let scope =
        (text(), text(), attributes(), count()).prop_map(|(name, version, attributes, dropped_attributes_count)| {
            InstrumentationScope { name, version, attributes, dropped_attributes_count }
        });
    (proptest::option::weighted(0.8, scope), vec(span(), 0..3), text())
        .prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url })
}

/// A request of up to a few spans.
pub(crate) fn traces_data() -> impl Strategy<Value = TracesData> {
    let resource = (attributes(), count()).prop_map(|(attributes, dropped_attributes_count)| Resource {
        attributes,
        dropped_attributes_count,
        entity_refs: Vec::new(),
    });
    let resource_spans = (proptest::option::weighted(0.8, resource), vec(scope_spans(), 0..3), text())
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    vec(resource_spans, 0..3).prop_map(|resource_spans| TracesData { resource_spans })
}
