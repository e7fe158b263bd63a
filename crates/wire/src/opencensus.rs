//! OpenCensus: `opencensus.proto.agent.trace.v1.ExportTraceServiceRequest` from protobuf.
//!
//! The agent's protocol is a stream whose first message says who sends; the receiver puts what was said before the messages that leave
//! it out, so that each is whole here. Where OpenCensus's words have a place in the model they go there:
//!
//! | OpenCensus | model |
//! |---|---|
//! | `node` | the resource: `service.name`, `host.name`, `process.pid`, `telemetry.sdk.*`, `opencensus.starttime`, its attributes |
//! | `resource` | the resource's labels, and `opencensus.resourcetype` |
//! | `kind`, or the attribute `span.kind` where there is none | the kind |
//! | a status code other than 0 | status error; the code stays as `census.status_code` |
//! | annotations, message events | events; a message event is `message` with `message.type`, `message.id` and sizes |
//! | links | links, with `opencensus.link_type` |
//! | `same_process_as_parent_span` | the attribute `opencensus.same_process_as_parent_span` |
//!
//! A span's stack trace has no place and is left out; so is what was cut from texts before they were sent.

use std::borrow::Cow;

use model::{Level, Link, SpanId, SpanKind, SpanRow, StatusCode, TraceId, Value};

use crate::context::OpenResource;
use crate::protobuf::{Broken, Cursor, Field, Problem, Writer};
use crate::report::Reason;
use crate::sink::{AttributeCount, Sink};
use crate::{DecodeError, Format};

/// Names of `LibraryInfo.Language`, as OpenTelemetry has them in `telemetry.sdk.language`.
const LANGUAGES: [&str; 10] = ["", "cpp", "dotnet", "erlang", "go", "java", "nodejs", "php", "python", "ruby"];
const LINK_TYPES: [&str; 3] = ["unspecified", "child", "parent"];
const MESSAGE_TYPES: [&str; 3] = ["", "SENT", "RECEIVED"];

pub(crate) fn decode_protobuf(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    request(sink, body).map_err(|broken| broken.refusal(Format::OpenCensusProtobuf, body))
}

/// The sender's own words that are remembered at most.
const SENDER_BYTES_MAX: usize = 16 << 10;

/// What the messages of one stream have said of their sender so far.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    /// The fields `node` and `resource`, as they came.
    said: [Vec<u8>; 2],
}

impl Sender {
    /// Looks at a message of the stream; answers what has to be put before it, because it was said earlier and is not said again.
    /// A message that cannot be read changes nothing.
    pub fn listen(&mut self, message: &[u8]) -> Vec<u8> {
        let Ok(said) = said_of_sender(message) else { return Vec::new() };
        let mut before = Writer::default();
        for (number, (known, said)) in [1, 3].into_iter().zip(self.said.iter_mut().zip(said)) {
            match said {
                Some(said) if said.len() <= SENDER_BYTES_MAX => said.clone_into(known),
                None if !known.is_empty() => before.blob(number, known),
                _ => {}
            }
        }
        before.bytes
    }
}

fn said_of_sender(message: &[u8]) -> Result<[Option<&[u8]>; 2], Broken> {
    let mut said = [None; 2];
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(node)) => said[0] = Some(node),
            (3, Field::Bytes(resource)) => said[1] = Some(resource),
            _ => {}
        }
    }
    Ok(said)
}

fn request(sink: &mut Sink<'_>, message: &[u8]) -> Result<(), Broken> {
    let mut open = sink.open_resource();
    let read = spans_of_process(sink, &mut open, message);
    sink.close_resource(&open);
    if read? {
        spans_with_resource(sink, message)?;
    }
    Ok(())
}

/// Reads the spans that have the request's resource; whether there are others.
fn spans_of_process(sink: &mut Sink<'_>, open: &mut OpenResource, message: &[u8]) -> Result<bool, Broken> {
    let mut others = false;
    let scope = sink.open_scope();
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => node(sink, open, message)?,
            (2, Field::Bytes(message)) if own_resource(message)?.is_some() => others = true,
            (2, Field::Bytes(message)) => span(sink, message)?,
            (3, Field::Bytes(message)) => resource(sink, open, message)?,
            _ => {}
        }
    }
    sink.close_scope(&scope);
    Ok(others)
}

/// A larger node is not repeated for every resource that spans bring: time must not grow faster than what is read.
const REPEATED_NODE_BYTES_MAX: usize = 16 << 10;

/// Spans may be of other resources than the request's; the node is the same.
fn spans_with_resource(sink: &mut Sink<'_>, request: &[u8]) -> Result<(), Broken> {
    let sender = last_node(request)?.filter(|node| node.len() <= REPEATED_NODE_BYTES_MAX).unwrap_or_default();
    let mut cursor = Cursor::new(request);
    while let Some(field) = cursor.field()? {
        let (2, Field::Bytes(message)) = field else { continue };
        let Some(own) = own_resource(message)? else { continue };
        let mut open = sink.open_resource();
        let read = node(sink, &mut open, sender).and_then(|()| resource(sink, &mut open, own));
        let scope = sink.open_scope();
        let read = read.and_then(|()| span(sink, message));
        sink.close_scope(&scope);
        sink.close_resource(&open);
        read?;
    }
    Ok(())
}

fn last_node(request: &[u8]) -> Result<Option<&[u8]>, Broken> {
    let mut found = None;
    let mut cursor = Cursor::new(request);
    while let Some(field) = cursor.field()? {
        if let (1, Field::Bytes(message)) = field {
            found = Some(message);
        }
    }
    Ok(found)
}

fn own_resource(span: &[u8]) -> Result<Option<&[u8]>, Broken> {
    let mut found = None;
    let mut cursor = Cursor::new(span);
    while let Some(field) = cursor.field()? {
        if let (16, Field::Bytes(message)) = field {
            found = Some(message);
        }
    }
    Ok(found)
}

fn node(sink: &mut Sink<'_>, open: &mut OpenResource, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => process(sink, open, message)?,
            (2, Field::Bytes(message)) => library(sink, open, message)?,
            (3, Field::Bytes(message)) => {
                let mut cursor = Cursor::new(message);
                while let Some(field) = cursor.field()? {
                    if let (1, Field::Bytes(name)) = field {
                        text(sink, &mut open.attributes, b"service.name", name);
                    }
                }
            }
            (4, Field::Bytes(message)) => label(sink, open, message)?,
            _ => {}
        }
    }
    Ok(())
}

fn process(sink: &mut Sink<'_>, open: &mut OpenResource, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(name)) => text(sink, &mut open.attributes, b"host.name", name),
            (2, Field::Varint(pid)) => {
                plain(sink, &mut open.attributes, b"process.pid", Value::Int(i64::from(pid as u32)));
            }
            (3, Field::Bytes(message)) => {
                let time = nanoseconds(message)?;
                plain(sink, &mut open.attributes, b"opencensus.starttime_unix_nano", Value::Int(time as i64));
            }
            _ => {}
        }
    }
    Ok(())
}

fn library(sink: &mut Sink<'_>, open: &mut OpenResource, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Varint(language)) => {
                let name = usize::try_from(language).ok().and_then(|number| LANGUAGES.get(number)).copied();
                text(sink, &mut open.attributes, b"telemetry.sdk.language", name.unwrap_or_default().as_bytes());
            }
            (2, Field::Bytes(version)) => text(sink, &mut open.attributes, b"opencensus.exporterversion", version),
            (3, Field::Bytes(version)) => text(sink, &mut open.attributes, b"telemetry.sdk.version", version),
            _ => {}
        }
    }
    Ok(())
}

fn resource(sink: &mut Sink<'_>, open: &mut OpenResource, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(kind)) => text(sink, &mut open.attributes, b"opencensus.resourcetype", kind),
            (2, Field::Bytes(message)) => label(sink, open, message)?,
            _ => {}
        }
    }
    Ok(())
}

/// A pair of a map of texts.
fn label(sink: &mut Sink<'_>, open: &mut OpenResource, message: &[u8]) -> Result<(), Broken> {
    let (key, value) = entry(message)?;
    if let Some(key) = sink.key(&mut open.attributes, key) {
        let value = Value::Str(sink.string(value));
        sink.push(Level::Resource, key, value);
    }
    Ok(())
}

fn entry(message: &[u8]) -> Result<(&[u8], &[u8]), Broken> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(bytes)) => key = bytes,
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Adds a text under a key of ours, unless it is empty.
fn text(sink: &mut Sink<'_>, count: &mut AttributeCount, key: &[u8], value: &[u8]) {
    if value.is_empty() {
        return;
    }
    if let Some(key) = sink.key(count, key) {
        let value = Value::Str(sink.string(value));
        sink.push(count.level, key, value);
    }
}

fn plain(sink: &mut Sink<'_>, count: &mut AttributeCount, key: &[u8], value: Value) {
    if let Some(key) = sink.key(count, key) {
        sink.push(count.level, key, value);
    }
}

/// What is said of a span beside its attributes, events and links.
#[derive(Default)]
struct Said<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    name: &'a [u8],
    trace_state: Vec<u8>,
    kind: i32,
    status: (i64, &'a [u8]),
    times: [u64; 2],
    same_process: Option<bool>,
}

/// What was dropped of a span, by the sender or by a limit.
struct Dropped {
    attributes: AttributeCount,
    by_sender: u32,
    events: u32,
    links: u32,
}

fn span(sink: &mut Sink<'_>, message: &[u8]) -> Result<(), Broken> {
    sink.begin_span();
    if sink.is_overfull() {
        return Err(Broken::at(message, Problem::TooMuch));
    }
    if message.len() > sink.limits.span_bytes_max {
        sink.refuse_large_span(message.len());
        return Ok(());
    }
    let mut said = Said::default();
    let attributes = AttributeCount::new(Level::Span);
    let mut dropped = Dropped { attributes, by_sender: 0, events: 0, links: 0 };
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(id)) => said.trace_id = id,
            (2, Field::Bytes(id)) => said.span_id = id,
            (3, Field::Bytes(id)) => said.parent_id = id,
            (4, Field::Bytes(message)) => said.name = truncatable(message)?,
            (5, Field::Bytes(message)) => said.times[0] = nanoseconds(message)?,
            (6, Field::Bytes(message)) => said.times[1] = nanoseconds(message)?,
            (7, Field::Bytes(message)) => {
                dropped.by_sender = attributes_of(sink, &mut dropped.attributes, message, &mut said.kind)?;
            }
            (9, Field::Bytes(message)) => time_events(sink, &mut dropped, message)?,
            (10, Field::Bytes(message)) => links(sink, &mut dropped, message)?,
            (11, Field::Bytes(message)) => said.status = status(message)?,
            (12, Field::Bytes(message)) => said.same_process = Some(wrapped(message)? != 0),
            (14, Field::Varint(kind)) if kind != 0 => said.kind = opencensus_kind(kind),
            (15, Field::Bytes(message)) => said.trace_state = trace_state(message)?,
            _ => {}
        }
    }
    close(sink, &said, dropped);
    Ok(())
}

fn opencensus_kind(kind: u64) -> i32 {
    match kind {
        1 => SpanKind::SERVER.0,
        2 => SpanKind::CLIENT.0,
        _ => 0,
    }
}

fn close(sink: &mut Sink<'_>, said: &Said<'_>, mut dropped: Dropped) {
    let Some(trace_id) = TraceId::from_slice(said.trace_id).filter(|id| !id.is_zero()) else {
        sink.refuse_span(Reason::InvalidTraceId, format_args!("the trace id must be 16 bytes, not all zero"));
        return;
    };
    let Some(span_id) = SpanId::from_slice(said.span_id).filter(|id| !id.is_zero()) else {
        sink.refuse_span(Reason::InvalidSpanId, format_args!("the span id must be 8 bytes, not all zero"));
        return;
    };
    let (code, message) = said.status;
    if code != 0 {
        plain(sink, &mut dropped.attributes, b"census.status_code", Value::Int(code));
    }
    if let Some(same) = said.same_process {
        plain(sink, &mut dropped.attributes, b"opencensus.same_process_as_parent_span", Value::Bool(same));
    }
    let row = SpanRow {
        trace_id,
        span_id,
        parent_span_id: sink.parent_span_id(said.parent_id),
        start_unix_nano: said.times[0],
        end_unix_nano: said.times[1],
        name: sink.text(said.name),
        kind: said.kind,
        status_code: if code == 0 { 0 } else { StatusCode::ERROR.0 },
        status_message: sink.text(message),
        trace_state: sink.text(&said.trace_state),
        flags: 0,
        dropped_attributes_count: dropped.attributes.total_dropped(dropped.by_sender),
        dropped_events_count: dropped.events,
        dropped_links_count: dropped.links,
        scope: sink.current_scope(),
        notes: 0,
    };
    sink.batch.push_span(row);
}

/// Reads `Attributes`; answers how many the sender dropped. The kind of a span may be among them, for want of a better place.
fn attributes_of(
    sink: &mut Sink<'_>,
    count: &mut AttributeCount,
    message: &[u8],
    kind: &mut i32,
) -> Result<u32, Broken> {
    let mut dropped = 0;
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => attribute(sink, count, message, kind)?,
            (2, Field::Varint(number)) => dropped = number as u32,
            _ => {}
        }
    }
    Ok(dropped)
}

fn attribute(sink: &mut Sink<'_>, count: &mut AttributeCount, message: &[u8], kind: &mut i32) -> Result<(), Broken> {
    let (key, message) = entry(message)?;
    let mut cursor = Cursor::new(message);
    let mut last = None;
    while let Some(field) = cursor.field()? {
        last = Some(field);
    }
    if let (b"span.kind", Some((1, Field::Bytes(message))), true) = (key, last, count.level == Level::Span)
        && let Some(known) = span_kind(truncatable(message)?)
    {
        *kind = if *kind == 0 { known } else { *kind };
        return Ok(());
    }
    let Some(key) = sink.key(count, key) else { return Ok(()) };
    let value = match last {
        Some((1, Field::Bytes(message))) => {
            let text = truncatable(message)?;
            Value::Str(sink.string(text))
        }
        Some((2, Field::Varint(value))) => Value::Int(value as i64),
        Some((3, Field::Varint(value))) => Value::Bool(value != 0),
        Some((4, Field::Fixed64(bits))) => Value::Double(f64::from_bits(bits)),
        _ => Value::Empty,
    };
    sink.push(count.level, key, value);
    Ok(())
}

fn span_kind(name: &[u8]) -> Option<i32> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    SpanKind::from_name(&name).map(|kind| kind.0).filter(|&kind| kind > 0)
}

fn time_events(sink: &mut Sink<'_>, dropped: &mut Dropped, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) if sink.event_fits() => time_event(sink, message)?,
            (1, Field::Bytes(_)) => dropped.events = dropped.events.saturating_add(1),
            (2 | 3, Field::Varint(number)) => dropped.events = dropped.events.saturating_add(number as u32),
            _ => {}
        }
    }
    Ok(())
}

fn time_event(sink: &mut Sink<'_>, message: &[u8]) -> Result<(), Broken> {
    let (mut time_unix_nano, mut name): (u64, Cow<'_, [u8]>) = (0, Cow::Borrowed(&[]));
    let (mut count, mut by_sender) = (AttributeCount::new(Level::Event), 0);
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(message)) => time_unix_nano = nanoseconds(message)?,
            (2, Field::Bytes(message)) => {
                let mut cursor = Cursor::new(message);
                while let Some(field) = cursor.field()? {
                    match field {
                        (1, Field::Bytes(message)) => name = Cow::Borrowed(truncatable(message)?),
                        (2, Field::Bytes(message)) => by_sender = attributes_of(sink, &mut count, message, &mut 0)?,
                        _ => {}
                    }
                }
            }
            (3, Field::Bytes(message)) => {
                name = Cow::Borrowed(b"message");
                message_event(sink, &mut count, message)?;
            }
            _ => {}
        }
    }
    let name = sink.text(&name);
    sink.batch.events.push(time_unix_nano, name, count.total_dropped(by_sender));
    Ok(())
}

fn message_event(sink: &mut Sink<'_>, count: &mut AttributeCount, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Varint(kind)) => {
                let name = usize::try_from(kind).ok().and_then(|number| MESSAGE_TYPES.get(number)).copied();
                text(sink, count, b"message.type", name.unwrap_or_default().as_bytes());
            }
            (2, Field::Varint(id)) => plain(sink, count, b"message.id", Value::Int(id as i64)),
            (3, Field::Varint(size)) => plain(sink, count, b"message.uncompressed_size", Value::Int(size as i64)),
            (4, Field::Varint(size)) => plain(sink, count, b"message.compressed_size", Value::Int(size as i64)),
            _ => {}
        }
    }
    Ok(())
}

fn links(sink: &mut Sink<'_>, dropped: &mut Dropped, message: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        let kept = match field {
            (1, Field::Bytes(message)) => sink.link_fits() && link(sink, message)?,
            (2, Field::Varint(number)) => {
                dropped.links = dropped.links.saturating_add(number as u32);
                true
            }
            _ => true,
        };
        dropped.links = dropped.links.saturating_add(u32::from(!kept));
    }
    Ok(())
}

/// Whether the link could be kept.
fn link(sink: &mut Sink<'_>, message: &[u8]) -> Result<bool, Broken> {
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
    let (mut count, mut by_sender) = (AttributeCount::new(Level::Link), 0);
    let (mut kind, mut state) = (0, Vec::new());
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(id)) => trace_id = id,
            (2, Field::Bytes(id)) => span_id = id,
            (3, Field::Varint(number)) => kind = number,
            (4, Field::Bytes(message)) => by_sender = attributes_of(sink, &mut count, message, &mut 0)?,
            (5, Field::Bytes(message)) => state = trace_state(message)?,
            _ => {}
        }
    }
    let (Some(trace_id), Some(span_id)) = (TraceId::from_slice(trace_id), SpanId::from_slice(span_id)) else {
        sink.drop_open_link();
        return Ok(false);
    };
    if let Some(name) = usize::try_from(kind).ok().and_then(|number| LINK_TYPES.get(number)) {
        text(sink, &mut count, b"opencensus.link_type", name.as_bytes());
    }
    let trace_state = sink.text(&state);
    let dropped_attributes_count = count.total_dropped(by_sender);
    sink.batch.links.push(Link { trace_id, span_id, trace_state, flags: 0, dropped_attributes_count });
    Ok(true)
}

fn status(message: &[u8]) -> Result<(i64, &[u8]), Broken> {
    let (mut code, mut text): (i64, &[u8]) = (0, &[]);
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Varint(number)) => code = i64::from(number as i32),
            (2, Field::Bytes(bytes)) => text = bytes,
            _ => {}
        }
    }
    Ok((code, text))
}

/// `TruncatableString`.
fn truncatable(message: &[u8]) -> Result<&[u8], Broken> {
    Ok(entry(message)?.0)
}

/// `BoolValue` and the like.
fn wrapped(message: &[u8]) -> Result<u64, Broken> {
    let mut value = 0;
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        if let (1, Field::Varint(number)) = field {
            value = number;
        }
    }
    Ok(value)
}

/// A `Timestamp`; what is before 1970 is as good as nothing.
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

/// `Tracestate` as its header has it.
fn trace_state(message: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut header = Vec::new();
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        let (1, Field::Bytes(message)) = field else { continue };
        let (key, value) = entry(message)?;
        if !header.is_empty() {
            header.push(b',');
        }
        header.extend([key, b"=", value].concat());
    }
    Ok(header)
}
