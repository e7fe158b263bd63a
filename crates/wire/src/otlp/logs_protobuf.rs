//! `LogsData` from protobuf into columns, the way [`super::decode_protobuf()`] reads spans.
//!
//! Field numbers are those of `opentelemetry/proto/logs/v1/logs.proto`. A record without ids is as good as one with them; ids of
//! a wrong length are counted, and the record is kept without.

use model::{Level, LogRow};

use super::decode_protobuf::{LARGE_SPAN_BYTES, resource, scope};
use super::protobuf_value::{AnyValue, attribute};
use crate::context::{OpenResource, OpenScope};
use crate::logs::LogSink;
use crate::protobuf::{Broken, Cursor, Field, Problem};
use crate::sink::AttributeCount;
use crate::{DecodeError, Format};

pub(crate) fn decode_logs_protobuf(body: &[u8], logs: &mut LogSink<'_>) -> Result<(), DecodeError> {
    logs_data(logs, body).map_err(|broken| broken.refusal(Format::OtlpProtobuf, body))
}

fn logs_data(logs: &mut LogSink<'_>, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        if let (1, Field::Bytes(message)) = field {
            let mut open = logs.sink.open_resource();
            resource_logs(logs, &mut open, message)?;
            logs.sink.close_resource(&open);
        }
    }
    Ok(())
}

fn resource_logs(logs: &mut LogSink<'_>, open: &mut OpenResource, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => resource(&mut logs.sink, open, message)?,
            (2, Field::Bytes(message)) => {
                let mut scope = logs.sink.open_scope();
                scope_logs(logs, &mut scope, message)?;
                logs.sink.close_scope(&scope);
            }
            (3, Field::Bytes(text)) => open.schema_url = logs.sink.text(text),
            _ => {}
        }
    }
    Ok(())
}

fn scope_logs(logs: &mut LogSink<'_>, open: &mut OpenScope, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => scope(&mut logs.sink, open, message)?,
            (2, Field::Bytes(message)) => log_record(logs, message)?,
            (3, Field::Bytes(text)) => open.schema_url = logs.sink.text(text),
            _ => {}
        }
    }
    Ok(())
}

fn log_record(logs: &mut LogSink<'_>, message: &[u8]) -> Result<(), Broken> {
    let sink = &mut logs.sink;
    sink.begin_span();
    if message.len() >= LARGE_SPAN_BYTES {
        sink.look();
    }
    if sink.is_overfull() {
        return Err(Broken::at(message, Problem::TooMuch));
    }
    if message.len() > sink.limits.span_bytes_max {
        sink.refuse_large_span(message.len());
        return Ok(());
    }
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
    let (mut severity_text, mut event_name): (&[u8], &[u8]) = (&[], &[]);
    let mut row = LogRow { scope: sink.current_scope(), ..LogRow::default() };
    let (mut attributes, mut body) = (AttributeCount::new(Level::Span), AnyValue::default());
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Fixed64(time)) => row.time_unix_nano = time,
            (11, Field::Fixed64(time)) => row.observed_unix_nano = time,
            (2, Field::Varint(number)) => row.severity_number = number as i32,
            (3, Field::Bytes(text)) => severity_text = text,
            (5, Field::Bytes(message)) => body.merge(message)?,
            (6, Field::Bytes(message)) => attribute(sink, &mut attributes, message)?,
            (7, Field::Varint(count)) => row.dropped_attributes_count = count as u32,
            (8, Field::Fixed32(flags)) => row.flags = flags,
            (9, Field::Bytes(id)) => trace_id = id,
            (10, Field::Bytes(id)) => span_id = id,
            (12, Field::Bytes(text)) => event_name = text,
            _ => {}
        }
    }
    row.dropped_attributes_count = attributes.total_dropped(row.dropped_attributes_count);
    row.severity_text = sink.text(severity_text);
    row.event_name = sink.text(event_name);
    row.body = body.store(sink)?;
    logs.set_ids(&mut row, trace_id, span_id);
    logs.push(row);
    Ok(())
}
