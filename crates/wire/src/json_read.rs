//! Reading JSON as senders really write it: names in any order, unknown ones ignored, `null` for absent, numbers as strings.
//!
//! A format implements [`Fields`] for its objects and [`Elements`] for its lists; nothing here builds a tree. serde_json bounds
//! recursion at 128 levels; values nobody asked for are skipped without recursion.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::report::{Reason, Report};
use crate::sink::Sink;
use crate::{DecodeError, Format};

/// An object that is being read.
pub(crate) trait Fields {
    /// Reads the value of one field, or skips it with [`skip`].
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// A list that is being read.
pub(crate) trait Elements {
    /// Reads one element.
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error>;
}

/// Reads a whole body with `root`.
pub(crate) fn read_body<S>(format: Format, body: &[u8], report: &mut Report, root: S) -> Result<(), DecodeError>
where
    S: for<'a> FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'a>>) -> serde_json::Result<()>,
{
    let text = std::str::from_utf8(body).map_or_else(
        |_| {
            report.add(Reason::InvalidUtf8);
            String::from_utf8_lossy(body)
        },
        Cow::Borrowed,
    );
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    root(&mut deserializer).and_then(|()| deserializer.end()).map_err(|error| refusal(format, &text, &error))
}

/// Bytes of serde_json's explanation that the sender is told.
const PROBLEM_BYTES_MAX: usize = 200;

fn refusal(format: Format, text: &str, error: &serde_json::Error) -> DecodeError {
    let line_start = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let offset = (line_start + error.column()).min(text.len());
    let problem = error.to_string();
    if problem.starts_with("recursion limit exceeded") {
        return DecodeError::TooDeep { format, offset };
    }
    let problem = problem.rsplit_once(" at line ").map_or(problem.as_str(), |(problem, _)| problem);
    // The problem may quote the body at any length.
    let end = problem.floor_char_boundary(PROBLEM_BYTES_MAX);
    DecodeError::Malformed { format, offset, problem: problem[..end].to_owned() }
}

/// Skips the value of a field.
pub(crate) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// An object, or `null` for one without fields. Answers whether it was there.
pub(crate) struct Object<'m, F>(pub(crate) &'m mut F);

impl<'de, F: Fields> DeserializeSeed<'de> for Object<'_, F> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: Fields> Visitor<'de> for Object<'_, F> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        self.visit_fields(map).map(|()| true)
    }
}

impl<F: Fields> Object<'_, F> {
    /// Reads the fields of an object that has begun.
    pub(crate) fn visit_fields<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            self.0.field(&name, &mut map)?;
        }
        Ok(())
    }
}

/// A list, or `null` for an empty one.
pub(crate) struct List<'m, E>(pub(crate) &'m mut E);

impl<'de, E: Elements> DeserializeSeed<'de> for List<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, E: Elements> Visitor<'de> for List<'_, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<Er>(self) -> Result<(), Er> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Element(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

struct Element<'m, E>(&'m mut E);

impl<'de, E: Elements> DeserializeSeed<'de> for Element<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.element(deserializer)
    }
}

/// The name of a field, borrowed unless it has escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A string as bytes, `None` for `null`. Bytes, because JavaScript may escape half a surrogate pair, which no `str` can hold:
/// the sink makes it readable like any other bytes that are not UTF-8.
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<Cow<'de, [u8]>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Option<Cow<'de, [u8]>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }

    fn visit_borrowed_bytes<E>(self, text: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_bytes<E>(self, text: &[u8]) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }
}

/// A number or a bool, written as such or as a string; enums may be given by name.
pub(crate) struct Scalar;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ScalarValue {
    Absent,
    Bool(bool),
    Int(i128),
    Double(f64),
    Text(String),
}

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = ScalarValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ScalarValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Scalar {
    type Value = ScalarValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, as such or as a string")
    }

    fn visit_unit<E>(self) -> Result<ScalarValue, E> {
        Ok(ScalarValue::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<ScalarValue, E> {
        Ok(ScalarValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<ScalarValue, E> {
        Ok(ScalarValue::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<ScalarValue, E> {
        Ok(ScalarValue::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<ScalarValue, E> {
        Ok(ScalarValue::Double(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<ScalarValue, E> {
        // Most strings here are 64-bit integers; they need no copy.
        Ok(text.parse().map_or_else(|_| ScalarValue::Text(text.to_owned()), ScalarValue::Int))
    }
}

/// The largest magnitude below which every integral double is exact.
const EXACT_DOUBLE_MAX: f64 = 9_007_199_254_740_992.0;

impl ScalarValue {
    /// An integer; `None` if absent.
    pub(crate) fn integer<T: TryFrom<i128>, E: Error>(&self) -> Result<Option<T>, E> {
        let value = match self {
            ScalarValue::Absent => return Ok(None),
            ScalarValue::Int(value) => Some(*value),
            ScalarValue::Double(value) => integral(*value),
            ScalarValue::Text(text) => text.trim().parse().ok().and_then(integral),
            ScalarValue::Bool(_) => None,
        };
        let fitting = value.and_then(|value| T::try_from(value).ok());
        fitting.map(Some).ok_or_else(|| E::custom(format_args!("{self} is not an integer of the field's size")))
    }

    /// A double; `None` if absent.
    pub(crate) fn double<E: Error>(&self) -> Result<Option<f64>, E> {
        match self {
            ScalarValue::Absent => Ok(None),
            ScalarValue::Int(value) => Ok(Some(*value as f64)),
            ScalarValue::Double(value) => Ok(Some(*value)),
            ScalarValue::Text(text) if text.trim().parse::<f64>().is_ok() => Ok(text.trim().parse().ok()),
            ScalarValue::Text(_) | ScalarValue::Bool(_) => Err(E::custom(format_args!("{self} is not a number"))),
        }
    }

    /// A bool; `None` if absent.
    pub(crate) fn boolean<E: Error>(&self) -> Result<Option<bool>, E> {
        match self {
            ScalarValue::Absent => Ok(None),
            ScalarValue::Bool(value) => Ok(Some(*value)),
            ScalarValue::Text(text) if text == "true" => Ok(Some(true)),
            ScalarValue::Text(text) if text == "false" => Ok(Some(false)),
            _ => Err(E::custom(format_args!("{self} is not a bool"))),
        }
    }
}

fn integral(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() <= EXACT_DOUBLE_MAX).then_some(value as i128)
}

impl fmt::Display for ScalarValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScalarValue::Absent => f.write_str("null"),
            ScalarValue::Bool(value) => write!(f, "{value}"),
            ScalarValue::Int(value) => write!(f, "{value}"),
            ScalarValue::Double(value) => write!(f, "{value}"),
            ScalarValue::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// Any value, read for nothing but its depth: unlike a skipped one it is refused beyond serde_json's bound.
pub(crate) struct Discard;

impl<'de> DeserializeSeed<'de> for Discard {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Discard {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Discard)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Discard)?;
        }
        Ok(())
    }
}

/// Base64 of either alphabet, padded or not.
pub(crate) fn base64_bytes<E: Error>(text: &[u8]) -> Result<Vec<u8>, E> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let standard = |&byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let text: Vec<u8> = text.iter().map(standard).collect();
    ENGINE.decode(text).map_err(|error| E::custom(format_args!("not base64: {error}")))
}

/// The bytes of an id in hex.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HexId {
    bytes: [u8; 16],
    length: usize,
}

impl HexId {
    /// Reads hex of any case. What is not hex, or longer than any id, becomes one byte: an id of the wrong length.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut id = HexId { bytes: [0; 16], length: text.len() / 2 };
        let wrong = HexId { bytes: [0; 16], length: 1 };
        if text.len() % 2 == 1 || id.length > id.bytes.len() {
            return wrong;
        }
        for (byte, digits) in id.bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |place: usize| char::from(digits[place]).to_digit(16);
            let (Some(high), Some(low)) = (digit(0), digit(1)) else { return wrong };
            *byte = (high << 4 | low) as u8;
        }
        id
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Reads a string field into the table; `null` is the empty text.
pub(crate) fn text_field<'de, A: MapAccess<'de>>(sink: &mut Sink<'_>, map: &mut A) -> Result<model::TextId, A::Error> {
    let text = map.next_value_seed(Text)?.unwrap_or_default();
    sink.charge(text.len());
    Ok(sink.text(&text))
}
