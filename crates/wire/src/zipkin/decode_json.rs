//! A list of Zipkin v2 spans from JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::intake::Intake;
use super::record::{Annotation, Endpoint, Record, push_part};
use crate::json_read::{Elements, Fields, List, Object, Scalar, ScalarValue, Text, read_body, skip};
use crate::report::Report;
use crate::sink::Sink;
use crate::{DecodeError, Format};

pub(crate) fn decode_json(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let mut before = Report::default();
    let mut spans = SpanList { intake: Intake::new(sink) };
    read_body(Format::ZipkinJson, body, &mut before, |deserializer| List(&mut spans).deserialize(deserializer))?;
    sink.report.merge(&before);
    Ok(())
}

struct SpanList<'m, 'l> {
    intake: Intake<'m, 'l>,
}

impl Elements for SpanList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let mut record = Record::default();
        Object(&mut record).deserialize(deserializer)?;
        self.intake.take(&record);
        Ok(())
    }
}

impl Fields for Record {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "traceId" => self.trace_id = hex_field(map)?.flatten().unwrap_or_default(),
            "id" => self.span_id = hex_field(map)?.flatten().unwrap_or_default(),
            "parentId" => {
                if let Some(id) = hex_field(map)? {
                    self.set_parent_id(id);
                }
            }
            "kind" => {
                if let Some(kind) = bytes_field(map)? {
                    self.set_kind(&kind);
                }
            }
            "name" => self.name = bytes_field(map)?.unwrap_or_default(),
            "timestamp" => self.timestamp_us = microseconds_field(map)?,
            "duration" => self.duration_us = microseconds_field(map)?,
            "localEndpoint" => map.next_value_seed(Object(&mut self.local)).map(drop)?,
            "remoteEndpoint" => map.next_value_seed(Object(&mut self.remote)).map(drop)?,
            "annotations" => map.next_value_seed(List(&mut self.annotations))?,
            "tags" => map.next_value_seed(Object(&mut Tags(&mut self.tags))).map(drop)?,
            "debug" => self.debug = map.next_value_seed(Scalar)?.boolean()?.unwrap_or(false),
            "shared" => self.shared = map.next_value_seed(Scalar)?.boolean()?.unwrap_or(false),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Fields for Endpoint {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "serviceName" => self.service_name = bytes_field(map)?.unwrap_or_default(),
            "ipv4" => self.ipv4 = bytes_field(map)?.unwrap_or_default(),
            "ipv6" => self.ipv6 = bytes_field(map)?.unwrap_or_default(),
            "port" => self.port = map.next_value_seed(Scalar)?.integer()?.unwrap_or(0),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Elements for Vec<Annotation> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let mut annotation = Annotation::default();
        Object(&mut annotation).deserialize(deserializer)?;
        push_part(self, annotation);
        Ok(())
    }
}

impl Fields for Annotation {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "timestamp" => self.timestamp_us = microseconds_field(map)?,
            "value" => self.value = bytes_field(map)?.unwrap_or_default(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

struct Tags<'m>(&'m mut Vec<(Vec<u8>, Vec<u8>)>);

impl Fields for Tags<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        // Values are strings; some senders write numbers and booleans as such.
        let value = map.next_value_seed(TagValue)?;
        push_part(self.0, (name.as_bytes().to_owned(), value));
        Ok(())
    }
}

pub(super) struct TagValue;

impl<'de> DeserializeSeed<'de> for TagValue {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for TagValue {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tag's value: a string")
    }

    fn visit_unit<E>(self) -> Result<Vec<u8>, E> {
        Ok(Vec::new())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Vec<u8>, E> {
        Ok(value.to_string().into_bytes())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Vec<u8>, E> {
        Ok(value.to_string().into_bytes())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Vec<u8>, E> {
        Ok(value.to_string().into_bytes())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Vec<u8>, E> {
        Ok(value.to_string().into_bytes())
    }

    fn visit_str<E>(self, value: &str) -> Result<Vec<u8>, E> {
        Ok(value.as_bytes().to_owned())
    }
}

/// A string field, `None` for `null`.
pub(super) fn bytes_field<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Vec<u8>>, A::Error> {
    Ok(map.next_value_seed(Text)?.map(std::borrow::Cow::into_owned))
}

/// An id in hex, left out zeros on the left allowed: `None` for absent, `Some(None)` for what is no id.
#[expect(clippy::option_option, reason = "absent and invalid are told apart for the length of one line")]
fn hex_field<'de, T: std::str::FromStr, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Option<T>>, A::Error> {
    let text = map.next_value_seed(Text)?.filter(|text| !text.is_empty());
    Ok(text.map(|text| std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok())))
}

pub(super) fn microseconds_field<'de, A: MapAccess<'de>>(map: &mut A) -> Result<u64, A::Error> {
    match map.next_value_seed(Scalar)? {
        // Some senders compute microseconds from floating-point seconds and forget to round.
        ScalarValue::Double(value) if value >= 0.0 => Ok(value as u64),
        other => Ok(other.integer()?.unwrap_or(0)),
    }
}
