//! A list of Zipkin v1 spans from JSON.

use serde::de::{DeserializeSeed, Deserializer, MapAccess};

use super::decode_json::{TagValue, bytes_field};
use super::intake::Intake;
use super::record::push_part;
use super::v1::{AnnotationV1, BinaryAnnotation, SpanV1};
use crate::json_read::{Elements, Fields, List, Object, read_body};
use crate::report::Report;
use crate::sink::Sink;
use crate::{DecodeError, Format};

pub(crate) fn decode_v1_json(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let mut before = Report::default();
    let mut spans = SpanList { intake: Intake::new(sink) };
    read_body(Format::ZipkinV1Json, body, &mut before, |deserializer| List(&mut spans).deserialize(deserializer))?;
    sink.report.merge(&before);
    Ok(())
}

struct SpanList<'m, 'l> {
    intake: Intake<'m, 'l>,
}

impl Elements for SpanList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let mut span = SpanV1::default();
        Object(&mut span).deserialize(deserializer)?;
        self.intake.take_v1(span);
        Ok(())
    }
}

impl Fields for SpanV1 {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "annotations" => map.next_value_seed(List(&mut self.annotations)),
            "binaryAnnotations" => map.next_value_seed(List(&mut self.binary)),
            // What v1 does not have is not looked for.
            "kind" | "localEndpoint" | "remoteEndpoint" | "tags" | "shared" => crate::json_read::skip(map),
            _ => self.common.field(name, map),
        }
    }
}

impl Elements for Vec<AnnotationV1> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let mut annotation = AnnotationV1::default();
        Object(&mut annotation).deserialize(deserializer)?;
        push_part(self, annotation);
        Ok(())
    }
}

impl Fields for AnnotationV1 {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "timestamp" => self.timestamp_us = super::decode_json::microseconds_field(map)?,
            "value" => self.value = bytes_field(map)?.unwrap_or_default(),
            "endpoint" => map.next_value_seed(Object(&mut self.endpoint)).map(drop)?,
            _ => crate::json_read::skip(map)?,
        }
        Ok(())
    }
}

impl Elements for Vec<BinaryAnnotation> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let mut pair = BinaryAnnotation::default();
        Object(&mut pair).deserialize(deserializer)?;
        push_part(self, pair);
        Ok(())
    }
}

impl Fields for BinaryAnnotation {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "key" => self.key = bytes_field(map)?.unwrap_or_default(),
            // Numbers and booleans come as such, whatever `type` says of them.
            "value" => self.value = map.next_value_seed(TagValue)?,
            "endpoint" => map.next_value_seed(Object(&mut self.endpoint)).map(drop)?,
            _ => crate::json_read::skip(map)?,
        }
        Ok(())
    }
}
