//! `TracesData` from protobuf straight into columns: the hottest code there is.
//!
//! One pass, no intermediate messages. Fields may come in any order and singular messages more than once: they are then read
//! into the same place again, which is what protobuf's merging means. Field numbers are those of
//! `opentelemetry/proto/trace/v1/trace.proto`; the former `instrumentation_library_spans` (1000) is skipped as any unknown field.

use model::{Level, Link, SpanId, SpanRow, TraceId};

use super::protobuf_value::attribute;
use super::span_end::{SpanIds, close_span};
use crate::context::{OpenResource, OpenScope};
use crate::protobuf::{Broken, Cursor, Field, Problem};
use crate::sink::{AttributeCount, Sink};
use crate::{DecodeError, Format};

/// Before a span of this size the memory of the batch is looked at.
pub(super) const LARGE_SPAN_BYTES: usize = 16 << 10;

pub(crate) fn decode_protobuf(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    traces_data(sink, body).map_err(|broken| broken.refusal(Format::OtlpProtobuf, body))
}

fn traces_data(sink: &mut Sink<'_>, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        if let (1, Field::Bytes(message)) = field {
            let mut open = sink.open_resource();
            resource_spans(sink, &mut open, message)?;
            sink.close_resource(&open);
        }
    }
    Ok(())
}

fn resource_spans(sink: &mut Sink<'_>, open: &mut OpenResource, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => resource(sink, open, message)?,
            (2, Field::Bytes(message)) => {
                let mut scope = sink.open_scope();
                scope_spans(sink, &mut scope, message)?;
                sink.close_scope(&scope);
            }
            (3, Field::Bytes(text)) => open.schema_url = sink.text(text),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn resource(sink: &mut Sink<'_>, open: &mut OpenResource, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => attribute(sink, &mut open.attributes, message)?,
            (2, Field::Varint(count)) => open.dropped_attributes_count = count as u32,
            _ => {}
        }
    }
    Ok(())
}

fn scope_spans(sink: &mut Sink<'_>, open: &mut OpenScope, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => scope(sink, open, message)?,
            (2, Field::Bytes(message)) => span(sink, message)?,
            (3, Field::Bytes(text)) => open.schema_url = sink.text(text),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn scope(sink: &mut Sink<'_>, open: &mut OpenScope, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(text)) => open.name = sink.text(text),
            (2, Field::Bytes(text)) => open.version = sink.text(text),
            (3, Field::Bytes(message)) => attribute(sink, &mut open.attributes, message)?,
            (4, Field::Varint(count)) => open.dropped_attributes_count = count as u32,
            _ => {}
        }
    }
    Ok(())
}

/// The ids and texts of a span, kept as slices until the last of each is known.
#[derive(Default)]
struct SpanSlices<'a> {
    ids: SpanIds<'a>,
    name: &'a [u8],
    trace_state: &'a [u8],
    status_message: &'a [u8],
}

/// What the limits dropped of a span.
struct SpanDrops {
    attributes: AttributeCount,
    events: u32,
    links: u32,
}

fn span(sink: &mut Sink<'_>, message: &[u8]) -> Result<(), Broken> {
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
    let mut slices = SpanSlices::default();
    let mut row = SpanRow { scope: sink.current_scope(), ..SpanRow::default() };
    let mut drops = SpanDrops { attributes: AttributeCount::new(Level::Span), events: 0, links: 0 };
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (9, Field::Bytes(message)) => attribute(sink, &mut drops.attributes, message)?,
            (1, Field::Bytes(id)) => slices.ids.trace = id,
            (2, Field::Bytes(id)) => slices.ids.span = id,
            (3, Field::Bytes(text)) => slices.trace_state = text,
            (4, Field::Bytes(id)) => slices.ids.parent = id,
            (5, Field::Bytes(text)) => slices.name = text,
            (6, Field::Varint(kind)) => row.kind = kind as i32,
            (7, Field::Fixed64(time)) => row.start_unix_nano = time,
            (8, Field::Fixed64(time)) => row.end_unix_nano = time,
            (10, Field::Varint(count)) => row.dropped_attributes_count = count as u32,
            (11, Field::Bytes(message)) => event(sink, &mut drops, message)?,
            (12, Field::Varint(count)) => row.dropped_events_count = count as u32,
            (13, Field::Bytes(message)) => link(sink, &mut drops, message)?,
            (14, Field::Varint(count)) => row.dropped_links_count = count as u32,
            (15, Field::Bytes(message)) => status(&mut row, &mut slices, message)?,
            (16, Field::Fixed32(flags)) => row.flags = flags,
            _ => {}
        }
    }
    row.dropped_attributes_count = drops.attributes.total_dropped(row.dropped_attributes_count);
    row.dropped_events_count = row.dropped_events_count.saturating_add(drops.events);
    row.dropped_links_count = row.dropped_links_count.saturating_add(drops.links);
    row.name = sink.text(slices.name);
    row.trace_state = sink.text(slices.trace_state);
    row.status_message = sink.text(slices.status_message);
    close_span(sink, row, &slices.ids);
    Ok(())
}

fn status<'a>(row: &mut SpanRow, slices: &mut SpanSlices<'a>, message: &'a [u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (2, Field::Bytes(text)) => slices.status_message = text,
            (3, Field::Varint(code)) => row.status_code = code as i32,
            _ => {}
        }
    }
    Ok(())
}

fn event(sink: &mut Sink<'_>, drops: &mut SpanDrops, message: &[u8]) -> Result<(), Broken> {
    if !sink.event_fits() {
        drops.events = drops.events.saturating_add(1);
        return Ok(());
    }
    let (mut time_unix_nano, mut name, mut dropped): (u64, &[u8], u32) = (0, &[], 0);
    let mut attributes = AttributeCount::new(Level::Event);
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Fixed64(time)) => time_unix_nano = time,
            (2, Field::Bytes(text)) => name = text,
            (3, Field::Bytes(message)) => attribute(sink, &mut attributes, message)?,
            (4, Field::Varint(count)) => dropped = count as u32,
            _ => {}
        }
    }
    let name = sink.text(name);
    sink.batch.events.push(time_unix_nano, name, attributes.total_dropped(dropped));
    Ok(())
}

fn link(sink: &mut Sink<'_>, drops: &mut SpanDrops, message: &[u8]) -> Result<(), Broken> {
    if !sink.link_fits() {
        drops.links = drops.links.saturating_add(1);
        return Ok(());
    }
    let (mut trace_id, mut span_id, mut trace_state): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    let (mut flags, mut dropped) = (0, 0);
    let mut attributes = AttributeCount::new(Level::Link);
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(id)) => trace_id = id,
            (2, Field::Bytes(id)) => span_id = id,
            (3, Field::Bytes(text)) => trace_state = text,
            (4, Field::Bytes(message)) => attribute(sink, &mut attributes, message)?,
            (5, Field::Varint(count)) => dropped = count as u32,
            (6, Field::Fixed32(bits)) => flags = bits,
            _ => {}
        }
    }
    let (Some(trace_id), Some(span_id)) = (TraceId::from_slice(trace_id), SpanId::from_slice(span_id)) else {
        sink.drop_open_link();
        drops.links = drops.links.saturating_add(1);
        return Ok(());
    };
    let trace_state = sink.text(trace_state);
    let dropped_attributes_count = attributes.total_dropped(dropped);
    sink.batch.links.push(Link { trace_id, span_id, trace_state, flags, dropped_attributes_count });
    Ok(())
}
