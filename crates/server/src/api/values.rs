//! Attribute values as the API writes them: `{"key", "type", "value"}`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{AttributeRef, Nested, ValueRef};
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// An attribute of a span, event, link, resource or scope.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a>(pub AttributeRef<'a>);

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut attribute = serializer.serialize_struct("Attribute", 3)?;
        attribute.serialize_field("key", self.0.key)?;
        attribute.serialize_field("type", self.0.value.type_name())?;
        attribute.serialize_field("value", &AnyValue(self.0.value))?;
        attribute.end()
    }
}

impl PartialSchema for Attribute<'_> {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let types = ["string", "bool", "int", "double", "bytes", "array", "map", "empty"];
        let value =
            "a JSON value of the type; int is a decimal string, bytes base64, a double that is no number its name";
        ObjectBuilder::new()
            .property("key", text())
            .property("type", text().enum_values(Some(types)))
            .property(
                "value",
                ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
                    .description(Some(value)),
            )
            .required("key")
            .required("type")
            .required("value")
            .into()
    }
}

impl ToSchema for Attribute<'_> {
    fn name() -> std::borrow::Cow<'static, str> {
        "Attribute".into()
    }
}

/// A reference to the schema above, for shapes that hold lists of attributes.
pub(super) fn attributes_schema() -> Schema {
    utoipa::openapi::schema::ArrayBuilder::new().items(Ref::from_schema_name("Attribute")).into()
}

struct AnyValue<'a>(ValueRef<'a>);

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ValueRef::Empty => serializer.serialize_unit(),
            ValueRef::Str(text) => serializer.serialize_str(text),
            ValueRef::Bool(value) => serializer.serialize_bool(value),
            ValueRef::Int(value) => serializer.collect_str(&value),
            ValueRef::Double(value) => double(value, serializer),
            ValueRef::Bytes(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            ValueRef::Json(text) => match Nested::parse(text) {
                Ok(nested) => Plain(&nested).serialize(serializer),
                Err(_) => serializer.serialize_str(text),
            },
        }
    }
}

fn double<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        return serializer.serialize_f64(value);
    }
    serializer.serialize_str(&ValueRef::Double(value).comparison_text())
}

/// A nested value as plain JSON: types that JSON has no word for become strings.
pub(super) struct Plain<'a>(pub(super) &'a Nested);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Nested::Empty => serializer.serialize_unit(),
            Nested::Bool(value) => serializer.serialize_bool(*value),
            Nested::Int(value) => serializer.serialize_i64(*value),
            Nested::Double(value) => double(*value, serializer),
            Nested::Str(text) => serializer.serialize_str(text),
            Nested::Bytes(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            Nested::Array(items) => serializer.collect_seq(items.iter().map(Plain)),
            Nested::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &Plain(value))?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: ValueRef<'_>) -> serde_json::Value {
        serde_json::to_value(Attribute(AttributeRef { key: "k", value })).unwrap()
    }

    #[test]
    fn every_type_has_its_form() {
        // Guarantees the documented form of each type, exact for 64-bit integers and for doubles that are no numbers.
        let cases = [
            (ValueRef::Str("<b>"), "string", json!("<b>")),
            (ValueRef::Bool(true), "bool", json!(true)),
            (ValueRef::Int(i64::MIN), "int", json!("-9223372036854775808")),
            (ValueRef::Double(1.0), "double", json!(1.0)),
            (ValueRef::Double(f64::NAN), "double", json!("NaN")),
            (ValueRef::Double(f64::NEG_INFINITY), "double", json!("-Infinity")),
            (ValueRef::Bytes(&[0, 255]), "bytes", json!("AP8=")),
            (ValueRef::Empty, "empty", json!(null)),
            (ValueRef::Json(r#"[1,{"$double":"NaN"},{"$bytes":"AP8="}]"#), "array", json!([1, "NaN", "AP8="])),
            (ValueRef::Json(r#"{"$$x":{"y":null}}"#), "map", json!({"$x": {"y": null}})),
        ];
        for (value, type_name, want) in cases {
            assert_eq!(written(value), json!({"key": "k", "type": type_name, "value": want}));
        }
    }
}
