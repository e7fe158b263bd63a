//! OTLP JSON means what the protobuf of the same data means.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use model::Limits;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData, span, status};
use proptest::prelude::*;
use prost::Message;
use serde_json::{Map, Value, json};
use wire::{DecodeError, Format, decode};

use crate::messages::traces_data;
use crate::mutate::Random;
use crate::normal::{hex_text, of_batch};

/// Writes messages as JSON, in the ways different senders do.
struct Sender(Random);

impl Sender {
    fn either<T>(&mut self, one: T, other: T) -> T {
        if self.0.below(2) == 0 { one } else { other }
    }

    fn hex(&mut self, bytes: &[u8]) -> Value {
        let text = hex_text(bytes);
        let upper = text.to_uppercase();
        self.either(text, upper).into()
    }

    fn long(&mut self, value: impl Into<Value> + ToString + Copy) -> Value {
        self.either(value.into(), value.to_string().into())
    }

    fn enumeration(&mut self, number: i32, name: Option<&str>) -> Value {
        match name {
            Some(name) => self.either(number.into(), name.into()),
            None => number.into(),
        }
    }

    /// An object whose fields come in any order, some of them unknown or null.
    fn object(&mut self, fields: Vec<(&str, Value)>) -> Value {
        let mut fields = fields;
        for place in (1..fields.len()).rev() {
            fields.swap(place, self.0.below(place + 1));
        }
        // serde_json sorts keys; the order is kept by writing the text here.
        let mut text: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}:{}", json!(name), render(value))).collect();
        if self.0.below(4) == 0 {
            text.insert(self.0.below(text.len() + 1), r#""notInTheSchema":{"a":[1,{"b":null}]}"#.to_owned());
        }
        raw(&format!("{{{}}}", text.join(",")))
    }

    fn list(values: impl IntoIterator<Item = Value>) -> Value {
        let texts: Vec<String> = values.into_iter().map(|value| render(&value)).collect();
        raw(&format!("[{}]", texts.join(",")))
    }

    fn data(&mut self, data: &TracesData) -> String {
        let resources = data.resource_spans.iter().map(|each| {
            let mut fields = vec![("schemaUrl", json!(each.schema_url))];
            if let Some(resource) = &each.resource {
                let dropped = resource.dropped_attributes_count.into();
                let attributes = self.attributes(&resource.attributes);
                fields.push((
                    "resource",
                    self.object(vec![("attributes", attributes), ("droppedAttributesCount", dropped)]),
                ));
            }
            let scopes: Vec<_> = each
                .scope_spans
                .iter()
                .map(|each| {
                    let spans: Vec<_> = each.spans.iter().map(|span| self.span(span)).collect();
                    let mut fields = vec![("spans", Self::list(spans)), ("schemaUrl", json!(each.schema_url))];
                    if let Some(scope) = &each.scope {
                        let attributes = self.attributes(&scope.attributes);
                        let dropped = scope.dropped_attributes_count.into();
                        fields.push((
                            "scope",
                            self.object(vec![
                                ("name", json!(scope.name)),
                                ("version", json!(scope.version)),
                                ("attributes", attributes),
                                ("droppedAttributesCount", dropped),
                            ]),
                        ));
                    }
                    self.object(fields)
                })
                .collect();
            fields.push(("scopeSpans", Self::list(scopes)));
            self.object(fields)
        });
        let resources: Vec<_> = resources.collect();
        render(&self.object(vec![("resourceSpans", Self::list(resources))]))
    }

    fn span(&mut self, span: &Span) -> Value {
        let kind = span::SpanKind::try_from(span.kind).ok().map(|kind| kind.as_str_name());
        let events: Vec<_> = span.events.iter().map(|event| self.event(event)).collect();
        let links: Vec<_> = span.links.iter().map(|link| self.link(link)).collect();
        let mut fields = vec![
            ("traceId", self.hex(&span.trace_id)),
            ("spanId", self.hex(&span.span_id)),
            ("parentSpanId", self.hex(&span.parent_span_id)),
            ("traceState", json!(span.trace_state)),
            ("flags", span.flags.into()),
            ("name", json!(span.name)),
            ("kind", self.enumeration(span.kind, kind)),
            ("startTimeUnixNano", self.long(span.start_time_unix_nano)),
            ("endTimeUnixNano", self.long(span.end_time_unix_nano)),
            ("attributes", self.attributes(&span.attributes)),
            ("droppedAttributesCount", span.dropped_attributes_count.into()),
            ("events", Self::list(events)),
            ("droppedEventsCount", span.dropped_events_count.into()),
            ("links", Self::list(links)),
            ("droppedLinksCount", span.dropped_links_count.into()),
        ];
        if let Some(status) = &span.status {
            let name = status::StatusCode::try_from(status.code).ok().map(|code| code.as_str_name());
            let code = self.enumeration(status.code, name);
            fields.push(("status", self.object(vec![("code", code), ("message", json!(status.message))])));
        } else if self.0.below(2) == 0 {
            fields.push(("status", Value::Null));
        }
        self.object(fields)
    }

    fn event(&mut self, event: &span::Event) -> Value {
        let fields = vec![
            ("timeUnixNano", self.long(event.time_unix_nano)),
            ("name", json!(event.name)),
            ("attributes", self.attributes(&event.attributes)),
            ("droppedAttributesCount", event.dropped_attributes_count.into()),
        ];
        self.object(fields)
    }

    fn link(&mut self, link: &span::Link) -> Value {
        let fields = vec![
            ("traceId", self.hex(&link.trace_id)),
            ("spanId", self.hex(&link.span_id)),
            ("traceState", json!(link.trace_state)),
            ("flags", link.flags.into()),
            ("attributes", self.attributes(&link.attributes)),
            ("droppedAttributesCount", link.dropped_attributes_count.into()),
        ];
        self.object(fields)
    }

    fn attributes(&mut self, attributes: &[KeyValue]) -> Value {
        let pairs: Vec<_> = attributes.iter().map(|pair| self.pair(pair)).collect();
        Self::list(pairs)
    }

    fn pair(&mut self, pair: &KeyValue) -> Value {
        let mut fields = vec![("key", json!(pair.key))];
        if let Some(value) = &pair.value {
            fields.push(("value", self.any(value)));
        } else if self.0.below(2) == 0 {
            fields.push(("value", Value::Null));
        }
        self.object(fields)
    }

    fn any(&mut self, value: &AnyValue) -> Value {
        use any_value::Value as Any;
        let field = match &value.value {
            None => return self.object(Vec::new()),
            Some(Any::StringValue(text)) => ("stringValue", json!(text)),
            Some(Any::BoolValue(value)) => ("boolValue", json!(value)),
            Some(Any::IntValue(value)) => ("intValue", self.long(*value)),
            Some(Any::DoubleValue(value)) if value.is_nan() => ("doubleValue", json!("NaN")),
            Some(Any::DoubleValue(value)) if *value == f64::INFINITY => ("doubleValue", json!("Infinity")),
            Some(Any::DoubleValue(value)) if *value == f64::NEG_INFINITY => ("doubleValue", json!("-Infinity")),
            Some(Any::DoubleValue(value)) => ("doubleValue", json!(value)),
            Some(Any::BytesValue(bytes)) => {
                ("bytesValue", self.either(STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)).into())
            }
            Some(Any::ArrayValue(array)) => {
                let values: Vec<_> = array.values.iter().map(|value| self.any(value)).collect();
                ("arrayValue", self.object(vec![("values", Self::list(values))]))
            }
            Some(Any::KvlistValue(map)) => {
                let values = self.attributes(&map.values);
                ("kvlistValue", self.object(vec![("values", values)]))
            }
            Some(Any::StringValueStrindex(_)) => unreachable!("only profiles have string tables"),
        };
        self.object(vec![field])
    }
}

/// JSON text in the shape of a value, so that order survives.
fn raw(text: &str) -> Value {
    let mut object = Map::new();
    object.insert("raw".to_owned(), text.into());
    Value::Object(object)
}

fn render(value: &Value) -> String {
    match value {
        Value::Object(object) => object["raw"].as_str().unwrap().to_owned(),
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn json_equals_protobuf(data in traces_data(), seed: u64) {
        // Guarantees that JSON in any sender's habits decodes to what the protobuf of the same data decodes to.
        let protobuf = decode(Format::OtlpProtobuf, &data.encode_to_vec(), &Limits::DEFAULT).unwrap();
        let text = Sender(Random(seed)).data(&data);
        let json = decode(Format::OtlpJson, text.as_bytes(), &Limits::DEFAULT).unwrap();
        prop_assert_eq!(of_batch(&json.batch), of_batch(&protobuf.batch));
        prop_assert_eq!(json.report.rejected, protobuf.report.rejected);
        prop_assert_eq!(json.report.received_spans, protobuf.report.received_spans);
    }

    #[test]
    fn encoded_json_is_what_was_decoded(data in traces_data()) {
        // Guarantees that a batch written as OTLP JSON is valid JSON and is read back the same.
        let first = decode(Format::OtlpProtobuf, &data.encode_to_vec(), &Limits::DEFAULT).unwrap().batch;
        let text = wire::otlp::encode_json(first.spans());
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        let second = decode(Format::OtlpJson, text.as_bytes(), &Limits::DEFAULT).unwrap().batch;
        prop_assert_eq!(of_batch(&first), of_batch(&second));
    }

    #[test]
    fn damaged_json(data in traces_data(), seed: u64) {
        // Guarantees that damaged JSON is refused or read, never a panic.
        let mut random = Random(seed);
        let valid = Sender(Random(seed)).data(&data).into_bytes();
        for _ in 0..8 {
            let mut bytes = valid.clone();
            let place = random.below(bytes.len());
            bytes[place] ^= 1 << random.below(8);
            bytes.truncate(random.below(bytes.len() * 4).max(1));
            let _ = decode(Format::OtlpJson, &bytes, &Limits::DEFAULT);
        }
    }
}

const SPAN: &str = r#""traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331""#;

fn span_with(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{SPAN},{fields}}}]}}]}}]}}"#)
}

#[test]
fn half_surrogates_are_readable() {
    // Guarantees that what JavaScript writes for half an emoji costs a character, not the request.
    let text = span_with(r#""name":"a\ud83d","attributes":[{"key":"k","value":{"stringValue":"\udc00x"}}]"#);
    let decoded = decode(Format::OtlpJson, text.as_bytes(), &Limits::DEFAULT).unwrap();
    let span = decoded.batch.span(0);
    assert!(span.name().starts_with("a\u{fffd}"), "{:?}", span.name());
    assert!(decoded.report.reasons().any(|(name, count)| name == "invalid_utf8" && count == 2));
}

#[test]
fn invalid_utf8_is_readable() {
    // Guarantees that bytes that are not UTF-8 do not make JSON unreadable, and are counted.
    let mut text = span_with(r#""name":"a?b""#).into_bytes();
    let place = text.iter().position(|&byte| byte == b'?').unwrap();
    text[place] = 0xff;
    let decoded = decode(Format::OtlpJson, &text, &Limits::DEFAULT).unwrap();
    assert_eq!(decoded.batch.span(0).name(), "a\u{fffd}b");
    assert_eq!(decoded.report.count(wire::Reason::InvalidUtf8), 1);
}

#[test]
fn nonsense_is_refused_with_its_place() {
    // Guarantees a clear refusal, with the offset, for what is not OTLP JSON.
    let message = |text: &str| decode(Format::OtlpJson, text.as_bytes(), &Limits::DEFAULT).unwrap_err().to_string();
    assert_eq!(message("[]"), "not OTLP JSON: invalid type: sequence, expected an object at byte 2");
    assert_eq!(message("{}x"), "not OTLP JSON: trailing characters at byte 3");
    assert_eq!(message(""), "not OTLP JSON: EOF while parsing a value at byte 0");
    let bad_time = message(&span_with("\n\"startTimeUnixNano\":\"soon\""));
    assert!(bad_time.contains("\"soon\" is not an integer"), "{bad_time}");
    let bad_bytes = message(&span_with(r#""attributes":[{"key":"k","value":{"bytesValue":"*"}}]"#));
    assert!(bad_bytes.contains("not base64"), "{bad_bytes}");
}

#[test]
fn refusals_are_short() {
    // Guarantees that a refusal never gives a large part of the body back.
    let long = "é".repeat(1 << 20);
    for fields in
        [format!(r#""startTimeUnixNano":"{long}""#), format!(r#""events":"{long}""#), format!(r#""x":{long}"#)]
    {
        let refusal = decode(Format::OtlpJson, span_with(&fields).as_bytes(), &Limits::DEFAULT).unwrap_err();
        assert!(refusal.to_string().len() < 300, "{} bytes", refusal.to_string().len());
    }
}

#[test]
fn values_nested_ten_thousand_deep_are_refused() {
    // Guarantees that deep values are refused instead of exhausting the stack, whichever part of the body they are in.
    let array = r#"{"arrayValue":{"values":["#.repeat(10_000);
    let map = r#"{"kvlistValue":{"values":[{"key":"k","value":"#.repeat(10_000);
    for value in [array, map, "[".repeat(10_000), "{\"a\":".repeat(10_000)] {
        let text = span_with(&format!(r#""attributes":[{{"key":"k","value":{value}"#));
        let refusal = decode(Format::OtlpJson, text.as_bytes(), &Limits::DEFAULT).unwrap_err();
        assert!(matches!(refusal, DecodeError::TooDeep { .. } | DecodeError::Malformed { .. }), "{refusal}");
    }
    let unknown = span_with(&format!(r#""unknown":{}{}"#, "[".repeat(100_000), "]".repeat(100_000)));
    assert_eq!(decode(Format::OtlpJson, unknown.as_bytes(), &Limits::DEFAULT).unwrap().batch.len(), 1);
}
