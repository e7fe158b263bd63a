//! Jaeger's Thrift: a `Batch` as such, and the agent's calls. Field numbers are those of Jaeger's `jaeger.thrift` and `agent.thrift`.

use model::{SpanId, TraceId};

use super::intake::Intake;
use super::record::{Process, Record, Reference, Tag, TagValue};
use crate::sink::Sink;
use crate::thrift::{Broken, Encoding, Fields, Reader, Type, Value};
use crate::{DecodeError, Format, zipkin};

/// A batch as the body of a request.
pub(crate) fn decode_batch(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body, Encoding::Binary);
    let read = batch(sink, &mut reader).and_then(|()| end(&reader));
    read.map_err(|broken| broken.refusal(Format::JaegerThrift))
}

/// A call of the agent, as a datagram holds it.
pub(crate) fn decode_agent(format: Format, body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let encoding = if format == Format::JaegerBinaryCall { Encoding::Binary } else { Encoding::Compact };
    let mut reader = Reader::new(body, encoding);
    let read = call(sink, &mut reader).and_then(|()| end(&reader));
    read.map_err(|broken| broken.refusal(format))
}

fn end(reader: &Reader<'_>) -> Result<(), Broken> {
    if reader.is_at_end() { Ok(()) } else { Err(reader.unexpected("something after the batch")) }
}

fn call(sink: &mut Sink<'_>, reader: &mut Reader<'_>) -> Result<(), Broken> {
    let name = reader.message()?;
    if !matches!(name, b"emitBatch" | b"emitZipkinBatch") {
        return Err(reader.unexpected("not a call of emitBatch"));
    }
    let mut fields = Fields::default();
    let mut found = false;
    while let Some((number, value)) = reader.field(&mut fields)? {
        match (number, value) {
            (1, Value::Struct) if name == b"emitBatch" => batch(sink, reader)?,
            (1, Value::List(Type::Struct, count)) if name == b"emitZipkinBatch" => {
                zipkin::read_v1_list(sink, reader, count)?;
            }
            (_, other) => {
                reader.skip(other)?;
                continue;
            }
        }
        found = true;
    }
    if found { Ok(()) } else { Err(reader.unexpected("a call without a batch")) }
}

fn batch(sink: &mut Sink<'_>, reader: &mut Reader<'_>) -> Result<(), Broken> {
    let mut intake = Intake::open(sink);
    let read = batch_fields(&mut intake, reader);
    // What was read so far has to be in order even if the rest is not read.
    intake.close();
    read
}

fn batch_fields(intake: &mut Intake<'_, '_>, reader: &mut Reader<'_>) -> Result<(), Broken> {
    let mut record = Record::default();
    let mut fields = Fields::default();
    while let Some((number, value)) = reader.field(&mut fields)? {
        match (number, value) {
            (1, Value::Struct) => {
                let process = process(reader)?;
                intake.process(&process);
            }
            (2, Value::List(Type::Struct, count)) => {
                for _ in 0..count {
                    if !intake.begin_span() {
                        return Err(reader.too_much());
                    }
                    record.clear();
                    let begin = reader.offset();
                    let bytes_max = intake.sink.limits.span_bytes_max;
                    span(&mut Limited { reader: &mut *reader, end: begin + bytes_max }, &mut record)?;
                    intake.take(&record, reader.offset() - begin);
                }
            }
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(())
}

fn process<'a>(reader: &mut Reader<'a>) -> Result<Process<'a>, Broken> {
    let mut process = Process::default();
    let mut fields = Fields::default();
    let end = reader.offset().saturating_add(PROCESS_BYTES_MAX);
    while let Some((number, value)) = reader.field(&mut fields)? {
        match (number, value) {
            (1, Value::Bytes(text)) => process.service_name = text,
            (2, Value::List(Type::Struct, count)) => {
                Limited { reader: &mut *reader, end }.each(count, |reader| tag(reader), &mut process.tags)?;
            }
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(process)
}

/// A process's tags beyond so many bytes are not kept.
const PROCESS_BYTES_MAX: usize = 1 << 20;

/// A reader that passes over what comes in a span behind the largest span there may be: the span is going to be refused.
struct Limited<'r, 'a> {
    reader: &'r mut Reader<'a>,
    end: usize,
}

impl<'a> Limited<'_, 'a> {
    /// Reads the elements of a list, and keeps those that end soon enough.
    fn each<T>(
        &mut self,
        count: usize,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Broken>,
        kept: &mut Vec<T>,
    ) -> Result<(), Broken> {
        for _ in 0..count {
            let element = read(self.reader)?;
            if self.reader.offset() <= self.end {
                kept.push(element);
            }
        }
        Ok(())
    }
}

fn span<'a>(limited: &mut Limited<'_, 'a>, record: &mut Record<'a>) -> Result<(), Broken> {
    let (mut low, mut high) = (0, 0);
    let mut fields = Fields::default();
    while let Some((number, value)) = limited.reader.field(&mut fields)? {
        match (number, value) {
            (1, Value::Int(id)) => low = id,
            (2, Value::Int(id)) => high = id,
            (3, Value::Int(id)) => record.span_id = SpanId(id.to_be_bytes()),
            (4, Value::Int(id)) => record.parent_id = SpanId(id.to_be_bytes()),
            (5, Value::Bytes(text)) => record.name = text,
            (6, Value::List(Type::Struct, count)) => limited.each(count, reference, &mut record.references)?,
            (7, Value::Int(flags)) => record.flags = flags as u32,
            (8, Value::Int(time_us)) => record.start_unix_nano = nanoseconds(time_us),
            (9, Value::Int(duration_us)) => record.duration_ns = nanoseconds(duration_us),
            (10, Value::List(Type::Struct, count)) => limited.each(count, |reader| tag(reader), &mut record.tags)?,
            (11, Value::List(Type::Struct, count)) => logs(limited, record, count)?,
            (_, other) => limited.reader.skip(other)?,
        }
    }
    record.trace_id = trace_id(high, low);
    Ok(())
}

fn trace_id(high: i64, low: i64) -> TraceId {
    TraceId((u128::from(high as u64) << 64 | u128::from(low as u64)).to_be_bytes())
}

/// What lies before 1970 is as good as nothing.
fn nanoseconds(microseconds: i64) -> u64 {
    (microseconds.max(0) as u64).saturating_mul(1000)
}

fn reference(reader: &mut Reader<'_>) -> Result<Reference, Broken> {
    let mut reference = Reference::default();
    let (mut low, mut high) = (0, 0);
    let mut fields = Fields::default();
    while let Some((number, value)) = reader.field(&mut fields)? {
        match (number, value) {
            (1, Value::Int(ref_type)) => reference.ref_type = ref_type,
            (2, Value::Int(id)) => low = id,
            (3, Value::Int(id)) => high = id,
            (4, Value::Int(id)) => reference.span_id = SpanId(id.to_be_bytes()),
            (_, other) => reader.skip(other)?,
        }
    }
    reference.trace_id = trace_id(high, low);
    Ok(reference)
}

fn logs<'a>(limited: &mut Limited<'_, 'a>, record: &mut Record<'a>, count: usize) -> Result<(), Broken> {
    for _ in 0..count {
        let mut time_us = 0;
        let mut fields = Fields::default();
        while let Some((number, value)) = limited.reader.field(&mut fields)? {
            match (number, value) {
                (1, Value::Int(time)) => time_us = time,
                (2, Value::List(Type::Struct, count)) => {
                    limited.each(count, |reader| tag(reader), &mut record.log_fields)?;
                }
                (_, other) => limited.reader.skip(other)?,
            }
        }
        if limited.reader.offset() <= limited.end {
            record.push_log(nanoseconds(time_us));
        }
    }
    Ok(())
}

/// All values are optional fields beside each other; the type says which one is meant.
fn tag<'a>(reader: &mut Reader<'a>) -> Result<Tag<'a>, Broken> {
    let mut key: &[u8] = &[];
    let mut tag_type = 0;
    let mut values = [TagValue::Absent; 5];
    let mut fields = Fields::default();
    while let Some((number, value)) = reader.field(&mut fields)? {
        match (number, value) {
            (1, Value::Bytes(text)) => key = text,
            (2, Value::Int(number)) => tag_type = number,
            (3, Value::Bytes(text)) => values[0] = TagValue::Str(text),
            (4, Value::Double(value)) => values[1] = TagValue::Double(value),
            (5, Value::Bool(value)) => values[2] = TagValue::Bool(value),
            (6, Value::Int(value)) => values[3] = TagValue::Int(value),
            (7, Value::Bytes(bytes)) => values[4] = TagValue::Bytes(bytes),
            (_, other) => reader.skip(other)?,
        }
    }
    let value = usize::try_from(tag_type).ok().and_then(|place| values.get(place).copied()).unwrap_or_default();
    Ok(Tag { key, value })
}
