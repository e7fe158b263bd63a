//! `jaeger.api_v2.PostSpansRequest` from protobuf. Field numbers are those of Jaeger's `model.proto` and `collector.proto`.
//!
//! A span may have a process of its own; such spans are read after the others, so that each process's spans lie together.

use model::{SpanId, TraceId};

use super::intake::Intake;
use super::record::{Process, Record, Reference, Tag, TagValue};
use crate::protobuf::{Broken, Cursor, Field, Problem};
use crate::sink::Sink;
use crate::{DecodeError, Format};

pub(crate) fn decode_protobuf(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    request(sink, body).map_err(|broken| broken.refusal(Format::JaegerProtobuf, body))
}

fn request(sink: &mut Sink<'_>, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        if let (1, Field::Bytes(message)) = field {
            let mut intake = Intake::open(sink);
            let read = batch(&mut intake, message);
            intake.close();
            if read? {
                spans_with_process(sink, message)?;
            }
        }
    }
    Ok(())
}

/// Reads the spans that have the batch's process; whether there are others.
fn batch(intake: &mut Intake<'_, '_>, message: &[u8]) -> Result<bool, Broken> {
    let mut others = false;
    let mut record = Record::default();
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) if has_process(message)? => others = true,
            (1, Field::Bytes(message)) => take(intake, &mut record, message)?,
            (2, Field::Bytes(message)) => intake.process(&process(message)?),
            _ => {}
        }
    }
    Ok(others)
}

fn spans_with_process(sink: &mut Sink<'_>, message: &[u8]) -> Result<(), Broken> {
    let mut record = Record::default();
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        let (1, Field::Bytes(message)) = field else { continue };
        if !has_process(message)? {
            continue;
        }
        let mut intake = Intake::open(sink);
        let read = own_process(message).map(|own| intake.process(&own));
        let read = read.and_then(|()| take(&mut intake, &mut record, message));
        intake.close();
        read?;
    }
    Ok(())
}

fn has_process(span: &[u8]) -> Result<bool, Broken> {
    let mut cursor = Cursor::new(span);
    while let Some(field) = cursor.field()? {
        if let (10, Field::Bytes(_)) = field {
            return Ok(true);
        }
    }
    Ok(false)
}

fn own_process(span: &[u8]) -> Result<Process<'_>, Broken> {
    let mut own = Process::default();
    let mut cursor = Cursor::new(span);
    while let Some(field) = cursor.field()? {
        if let (10, Field::Bytes(message)) = field {
            own = process(message)?;
        }
    }
    Ok(own)
}

fn process(message: &[u8]) -> Result<Process<'_>, Broken> {
    let mut process = Process::default();
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(text)) => process.service_name = text,
            (2, Field::Bytes(message)) if process.tags.len() < TAGS_READ_MAX => process.tags.push(tag(message)?),
            _ => {}
        }
    }
    Ok(process)
}

/// Far above what is kept of a process: what comes behind is not even read.
const TAGS_READ_MAX: usize = 64 << 10;

fn take<'a>(intake: &mut Intake<'_, '_>, record: &mut Record<'a>, message: &'a [u8]) -> Result<(), Broken> {
    if !intake.begin_span() {
        return Err(Broken::at(message, Problem::TooMuch));
    }
    record.clear();
    if message.len() <= intake.sink.limits.span_bytes_max {
        span(record, message)?;
    }
    intake.take(record, message.len());
    Ok(())
}

fn span<'a>(record: &mut Record<'a>, message: &'a [u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(id)) => record.trace_id = trace_id(id),
            (2, Field::Bytes(id)) => record.span_id = SpanId::from_slice(id).unwrap_or_default(),
            (3, Field::Bytes(text)) => record.name = text,
            (4, Field::Bytes(message)) => record.references.push(reference(message)?),
            (5, Field::Varint(flags)) => record.flags = flags as u32,
            (6, Field::Bytes(message)) => record.start_unix_nano = nanoseconds(message)?,
            (7, Field::Bytes(message)) => record.duration_ns = nanoseconds(message)?,
            (8, Field::Bytes(message)) => record.tags.push(tag(message)?),
            (9, Field::Bytes(message)) => log(record, message)?,
            (12, Field::Bytes(text)) => record.warnings.push(text),
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

/// A `Timestamp` or a `Duration`; what is negative is as good as nothing.
fn nanoseconds(message: &[u8]) -> Result<u64, Broken> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Varint(value)) => seconds = value as i64,
            (2, Field::Varint(value)) => nanos = i64::from(value as i32),
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1_000_000_000).saturating_add(nanos).max(0) as u64)
}

fn reference(message: &[u8]) -> Result<Reference, Broken> {
    let mut reference = Reference::default();
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(id)) => reference.trace_id = trace_id(id),
            (2, Field::Bytes(id)) => reference.span_id = SpanId::from_slice(id).unwrap_or_default(),
            (3, Field::Varint(ref_type)) => reference.ref_type = i64::from(ref_type as i32),
            _ => {}
        }
    }
    Ok(reference)
}

fn log<'a>(record: &mut Record<'a>, message: &'a [u8]) -> Result<(), Broken> {
    let mut time_unix_nano = 0;
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => time_unix_nano = nanoseconds(message)?,
            (2, Field::Bytes(message)) => record.log_fields.push(tag(message)?),
            _ => {}
        }
    }
    record.push_log(time_unix_nano);
    Ok(())
}

/// All values are fields beside each other, absent at their defaults; the type says which one is meant.
fn tag(message: &[u8]) -> Result<Tag<'_>, Broken> {
    let mut key: &[u8] = &[];
    let (mut tag_type, mut text, mut bytes): (u64, &[u8], &[u8]) = (0, &[], &[]);
    let (mut truth, mut int, mut double) = (false, 0, 0.0);
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(name)) => key = name,
            (2, Field::Varint(number)) => tag_type = number,
            (3, Field::Bytes(value)) => text = value,
            (4, Field::Varint(value)) => truth = value != 0,
            (5, Field::Varint(value)) => int = value as i64,
            (6, Field::Fixed64(bits)) => double = f64::from_bits(bits),
            (7, Field::Bytes(value)) => bytes = value,
            _ => {}
        }
    }
    let value = match tag_type {
        0 => TagValue::Str(text),
        1 => TagValue::Bool(truth),
        2 => TagValue::Int(int),
        3 => TagValue::Double(double),
        4 => TagValue::Bytes(bytes),
        _ => TagValue::Absent,
    };
    Ok(Tag { key, value })
}
