//! Arrays and maps as canonical JSON text: what people read in a table, and nothing lost.
//!
//! Plain JSON cannot tell an integer from a double, nor carry bytes, NaN or infinities. The canonical text adds three rules: a
//! double always has a point or an exponent; `{"$bytes": base64}` and `{"$double": "NaN" | "Infinity" | "-Infinity"}` stand for
//! what JSON has no word for; a map key that begins with `$` gets one more `$`. Order and repeated keys of maps are kept.
//! The writer is streaming ([`NestedWriter`]); [`Nested`] is the tree that answers are made from, never used on ingest.

use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

/// A value of any depth, as a tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Nested {
    /// No value.
    Empty,
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A UTF-8 string.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    Array(Vec<Nested>),
    /// Keys with values, in the sender's order, repeated keys kept.
    Map(Vec<(String, Nested)>),
}

/// A text that is not canonical JSON.
#[derive(Debug, Error)]
#[error("not the canonical text of a nested value: {0}")]
pub struct NestedError(#[from] serde_json::Error);

impl Nested {
    /// Reads the canonical text back.
    pub fn parse(text: &str) -> Result<Nested, NestedError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Writes the canonical text.
    pub fn write(&self, out: &mut NestedWriter) {
        match self {
            Nested::Empty => out.empty(),
            Nested::Bool(value) => out.bool(*value),
            Nested::Int(value) => out.int(*value),
            Nested::Double(value) => out.double(*value),
            Nested::Str(value) => out.str(value),
            Nested::Bytes(value) => out.bytes(value),
            Nested::Array(items) => {
                out.begin_array();
                for item in items {
                    item.write(out);
                }
                out.end_array();
            }
            Nested::Map(items) => {
                out.begin_map();
                for (key, item) in items {
                    out.key(key);
                    item.write(out);
                }
                out.end_map();
            }
        }
    }
}

/// Writes canonical text piece by piece, in the order a decoder meets the pieces.
#[derive(Debug, Default)]
pub struct NestedWriter {
    text: String,
}

impl NestedWriter {
    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Forgets the text, keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
    }

    /// Writes `null`.
    pub fn empty(&mut self) {
        self.separate();
        self.text.push_str("null");
    }

    /// Writes a boolean.
    pub fn bool(&mut self, value: bool) {
        self.separate();
        self.text.push_str(if value { "true" } else { "false" });
    }

    /// Writes an integer.
    pub fn int(&mut self, value: i64) {
        self.separate();
        write!(self.text, "{value}").expect("writing to a string");
    }

    /// Writes a double so that it reads back as one.
    pub fn double(&mut self, value: f64) {
        self.separate();
        if value.is_finite() {
            write!(self.text, "{value:?}").expect("writing to a string");
            return;
        }
        let name = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        write!(self.text, "{{\"$double\":\"{name}\"}}").expect("writing to a string");
    }

    /// Writes a string.
    pub fn str(&mut self, value: &str) {
        self.separate();
        self.quoted(value);
    }

    /// Writes bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.separate();
        self.text.push_str("{\"$bytes\":\"");
        STANDARD.encode_string(value, &mut self.text);
        self.text.push_str("\"}");
    }

    /// Opens an array.
    pub fn begin_array(&mut self) {
        self.separate();
        self.text.push('[');
    }

    /// Closes an array.
    pub fn end_array(&mut self) {
        self.text.push(']');
    }

    /// Opens a map; every value in it comes after a [`NestedWriter::key`].
    pub fn begin_map(&mut self) {
        self.separate();
        self.text.push('{');
    }

    /// Writes the key of the next value.
    pub fn key(&mut self, key: &str) {
        self.separate();
        if key.starts_with('$') {
            self.quoted(&format!("${key}"));
        } else {
            self.quoted(key);
        }
        self.text.push(':');
    }

    /// Closes a map.
    pub fn end_map(&mut self) {
        self.text.push('}');
    }

    /// Writes a value whose canonical text is known already.
    pub fn canonical(&mut self, text: &str) {
        self.separate();
        self.text.push_str(text);
    }

    fn separate(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'[' | b'{' | b':')) {
            self.text.push(',');
        }
    }

    fn quoted(&mut self, value: &str) {
        self.text.push_str(&serde_json::to_string(value).expect("a string is always JSON"));
    }
}

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NestedVisitor)
    }
}

struct NestedVisitor;

impl<'de> Visitor<'de> for NestedVisitor {
    type Value = Nested;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("canonical JSON")
    }

    fn visit_unit<E>(self) -> Result<Nested, E> {
        Ok(Nested::Empty)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Nested, E> {
        Ok(Nested::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Nested, E> {
        Ok(Nested::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Nested, E> {
        Ok(i64::try_from(value).map_or(Nested::Double(value as f64), Nested::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Nested, E> {
        Ok(Nested::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Nested, E> {
        Ok(Nested::Str(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Nested, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Nested::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Nested, A::Error> {
        let mut map: Vec<(String, Nested)> = Vec::new();
        while let Some((key, value)) = entries.next_entry::<String, Nested>()? {
            match (key.as_str(), &value) {
                ("$bytes", Nested::Str(text)) => {
                    return Ok(Nested::Bytes(STANDARD.decode(text).map_err(serde::de::Error::custom)?));
                }
                ("$double", Nested::Str(text)) => {
                    return Ok(Nested::Double(text.parse().map_err(serde::de::Error::custom)?));
                }
                _ => map.push((key.strip_prefix('$').map_or(key.clone(), ToOwned::to_owned), value)),
            }
        }
        Ok(Nested::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_nested() -> impl Strategy<Value = Nested> {
        let leaf = prop_oneof![
            Just(Nested::Empty),
            any::<bool>().prop_map(Nested::Bool),
            any::<i64>().prop_map(Nested::Int),
            prop_oneof![any::<f64>(), Just(f64::INFINITY), Just(-0.0), Just(1.0)]
                .prop_filter("NaN is not equal to itself", |x| !x.is_nan())
                .prop_map(Nested::Double),
            ".*".prop_map(Nested::Str),
            proptest::collection::vec(any::<u8>(), 0..9).prop_map(Nested::Bytes),
        ];
        leaf.prop_recursive(5, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Nested::Array),
                proptest::collection::vec(("[$a\"é]{0,3}", inner), 0..8).prop_map(Nested::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_text_round_trip(value in any_nested()) {
            // Guarantees that no type, order, repeated key, byte or digit of a nested value is lost in its text.
            let mut writer = NestedWriter::default();
            value.write(&mut writer);
            prop_assert_eq!(Nested::parse(writer.text()).unwrap(), value);
        }
    }

    #[test]
    fn nan_and_reserved_keys() {
        // Guarantees that NaN, and maps whose keys look like our own escapes, come back as they were.
        let map =
            Nested::Map(vec![("$bytes".into(), Nested::Str("x".into())), ("$$".into(), Nested::Double(f64::NAN))]);
        let mut writer = NestedWriter::default();
        map.write(&mut writer);
        assert_eq!(writer.text(), r#"{"$$bytes":"x","$$$":{"$double":"NaN"}}"#);
        assert_eq!(format!("{:?}", Nested::parse(writer.text()).unwrap()), format!("{map:?}"));
    }
}
