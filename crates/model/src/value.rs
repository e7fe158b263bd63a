//! Attribute values, and the one text by which each is compared and hashed.
//!
//! Senders disagree on types (`200` as an integer, `"200"` as a string), and query languages write numbers without saying which
//! kind they mean. So every value has a *comparison text*: a string is itself, numbers their shortest decimal form (an
//! integral double looks like the integer), booleans `true`/`false`, bytes base64, arrays and maps their canonical JSON.
//! Equality, filters on disk and completion all use that text; the type itself is kept and given back.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::attributes::{MEASURED, filter_hash, is_measure};
use crate::text::{TextId, TextTable, hash_text};

/// A value as a batch stores it: scalars inline, everything else by its number in the batch's [`TextTable`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Value {
    /// No value at all (an `AnyValue` with nothing set).
    #[default]
    Empty,
    /// A UTF-8 string.
    Str(TextId),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Bytes.
    Bytes(TextId),
    /// An array or a map, as canonical JSON (see [`crate::nested`]).
    Json(TextId),
}

/// A value that borrows its text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// No value at all.
    Empty,
    /// A UTF-8 string.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An array or a map, as canonical JSON.
    Json(&'a str),
}

impl Value {
    /// The value with its text, from the table it was made with.
    pub fn resolve(self, text: &TextTable) -> ValueRef<'_> {
        match self {
            Value::Empty => ValueRef::Empty,
            Value::Str(id) => ValueRef::Str(text.str(id)),
            Value::Bool(value) => ValueRef::Bool(value),
            Value::Int(value) => ValueRef::Int(value),
            Value::Double(value) => ValueRef::Double(value),
            Value::Bytes(id) => ValueRef::Bytes(text.bytes(id)),
            Value::Json(id) => ValueRef::Json(text.str(id)),
        }
    }

    /// The hash of the comparison text; for strings the one the table has already.
    pub fn comparison_hash(self, text: &TextTable) -> u64 {
        match self {
            Value::Str(id) | Value::Json(id) => text.hash(id),
            other => hash_text(other.resolve(text).comparison_text().as_bytes()),
        }
    }
}

impl Value {
    /// What the value counts as in filters, see [`filter_hash`].
    pub fn filter_hash(self, text: &TextTable, key: TextId) -> u64 {
        if !is_measure(text.bytes(key)) {
            return self.comparison_hash(text);
        }
        match self {
            Value::Int(_) | Value::Double(_) => MEASURED,
            other => filter_hash(text.bytes(key), &other.resolve(text).comparison_text()),
        }
    }
}

impl<'a> ValueRef<'a> {
    /// The text by which the value is compared, see the module's head.
    pub fn comparison_text(self) -> Cow<'a, str> {
        match self {
            ValueRef::Empty => Cow::Borrowed(""),
            ValueRef::Str(text) | ValueRef::Json(text) => Cow::Borrowed(text),
            ValueRef::Bool(true) => Cow::Borrowed("true"),
            ValueRef::Bool(false) => Cow::Borrowed("false"),
            ValueRef::Int(value) => Cow::Owned(value.to_string()),
            ValueRef::Double(value) => Cow::Owned(double_text(value)),
            ValueRef::Bytes(bytes) => Cow::Owned(STANDARD.encode(bytes)),
        }
    }

    /// The value as a number, if it is one or its text reads as one.
    pub fn as_number(self) -> Option<f64> {
        match self {
            ValueRef::Int(value) => Some(value as f64),
            ValueRef::Double(value) => Some(value),
            ValueRef::Str(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The name of the type in the API: `string`, `bool`, `int`, `double`, `bytes`, `array`, `map`, `empty`.
    pub fn type_name(self) -> &'static str {
        match self {
            ValueRef::Empty => "empty",
            ValueRef::Str(_) => "string",
            ValueRef::Bool(_) => "bool",
            ValueRef::Int(_) => "int",
            ValueRef::Double(_) => "double",
            ValueRef::Bytes(_) => "bytes",
            ValueRef::Json(text) if text.starts_with('[') => "array",
            ValueRef::Json(_) => "map",
        }
    }

    /// Stores the value in a table.
    pub fn store(self, text: &mut TextTable) -> Value {
        match self {
            ValueRef::Empty => Value::Empty,
            ValueRef::Str(value) => Value::Str(text.intern(value.as_bytes())),
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Int(value) => Value::Int(value),
            ValueRef::Double(value) => Value::Double(value),
            ValueRef::Bytes(value) => Value::Bytes(text.intern(value)),
            ValueRef::Json(value) => Value::Json(text.intern(value.as_bytes())),
        }
    }
}

/// The largest magnitude up to which every integral double is written as an integer.
const INTEGRAL_MAX: f64 = 1e15;

fn double_text(value: f64) -> String {
    let mut text = String::new();
    if value.fract() == 0.0 && value.abs() < INTEGRAL_MAX {
        write!(text, "{}", value as i64).expect("writing to a string");
    } else if value.is_infinite() {
        text.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        write!(text, "{value:?}").expect("writing to a string");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_one_text() {
        // Guarantees that 5, 5.0 and "5" are equal for a search, and that odd doubles have a text.
        assert_eq!(ValueRef::Int(5).comparison_text(), "5");
        assert_eq!(ValueRef::Double(5.0).comparison_text(), "5");
        assert_eq!(ValueRef::Double(0.5).comparison_text(), "0.5");
        assert_eq!(ValueRef::Double(f64::NAN).comparison_text(), "NaN");
        assert_eq!(ValueRef::Double(f64::NEG_INFINITY).comparison_text(), "-Infinity");
        assert_eq!(ValueRef::Double(-0.0).comparison_text(), "0");
    }
}
