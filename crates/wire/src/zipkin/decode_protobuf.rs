//! `zipkin2.proto3.ListOfSpans` from protobuf. Field numbers are those of openzipkin's `zipkin.proto`.

use std::net::{Ipv4Addr, Ipv6Addr};

use model::{SpanId, TraceId};

use super::intake::Intake;
use super::record::{Annotation, Endpoint, Record};
use crate::protobuf::{Broken, Cursor, Field};
use crate::sink::Sink;
use crate::{DecodeError, Format};

pub(crate) fn decode_protobuf(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    list_of_spans(&mut Intake::new(sink), body).map_err(|broken| broken.refusal(Format::ZipkinProtobuf, body))
}

fn list_of_spans(intake: &mut Intake<'_, '_>, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        if let (1, Field::Bytes(message)) = field {
            let mut record = Record::default();
            span(&mut record, message)?;
            intake.take(&record);
        }
    }
    Ok(())
}

fn span(record: &mut Record, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(id)) => record.trace_id = trace_id(id),
            (2, Field::Bytes(id)) if !id.is_empty() => record.set_parent_id(SpanId::from_slice(id)),
            (3, Field::Bytes(id)) => record.span_id = SpanId::from_slice(id).unwrap_or_default(),
            (4, Field::Varint(kind)) => set_kind(record, kind as i32),
            (5, Field::Bytes(text)) => text.clone_into(&mut record.name),
            (6, Field::Fixed64(time)) => record.timestamp_us = time,
            (7, Field::Varint(duration)) => record.duration_us = duration,
            (8, Field::Bytes(message)) => endpoint(&mut record.local, message)?,
            (9, Field::Bytes(message)) => endpoint(&mut record.remote, message)?,
            (10, Field::Bytes(message)) => record.annotations.push(annotation(message)?),
            (11, Field::Bytes(message)) => record.tags.push(tag(message)?),
            (12, Field::Varint(value)) => record.debug = value != 0,
            (13, Field::Varint(value)) => record.shared = value != 0,
            _ => {}
        }
    }
    Ok(())
}

/// 64- or 128-bit.
fn trace_id(bytes: &[u8]) -> TraceId {
    let mut id = TraceId::ZERO;
    match bytes.len() {
        8 => id.0[8..].copy_from_slice(bytes),
        16 => id.0.copy_from_slice(bytes),
        _ => {}
    }
    id
}

fn set_kind(record: &mut Record, kind: i32) {
    match kind {
        0 => record.kind = 0,
        1 => record.kind = 3,
        2 => record.kind = 2,
        3 | 4 => record.kind = kind + 1,
        unknown => record.unknown_kind = unknown.to_string().into_bytes(),
    }
}

fn endpoint(endpoint: &mut Endpoint, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(text)) => text.clone_into(&mut endpoint.service_name),
            (2, Field::Bytes(bytes)) => {
                let address = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
                endpoint.ipv4 = address.unwrap_or_default().into_bytes();
            }
            (3, Field::Bytes(bytes)) => {
                let address = <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string());
                endpoint.ipv6 = address.unwrap_or_default().into_bytes();
            }
            (4, Field::Varint(port)) => endpoint.port = i64::from(port as i32),
            _ => {}
        }
    }
    Ok(())
}

fn annotation(message: &[u8]) -> Result<Annotation, Broken> {
    let mut annotation = Annotation::default();
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Fixed64(time)) => annotation.timestamp_us = time,
            (2, Field::Bytes(text)) => text.clone_into(&mut annotation.value),
            _ => {}
        }
    }
    Ok(annotation)
}

fn tag(message: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Broken> {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(text)) => text.clone_into(&mut key),
            (2, Field::Bytes(text)) => text.clone_into(&mut value),
            _ => {}
        }
    }
    Ok((key, value))
}
