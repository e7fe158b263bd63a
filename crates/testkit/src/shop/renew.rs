//! A request once more, as new traces and at another time: for load that goes on longer than a corpus.
//!
//! Changes the bytes where they lie, which costs far less than making a request. Knows only what [`super::spans`] writes.

use std::ops::Range;

/// Gives every trace of a request another id, the same one in each request of the same `pass`; links follow.
pub fn renew_traces(body: &mut [u8], pass: u64) {
    for resource_spans in messages(body, 0..body.len(), 1) {
        for scope_spans in messages(body, resource_spans, 2) {
            for span in messages(body, scope_spans, 2) {
                renew_id(body, span.clone(), pass);
                for link in messages(body, span, 13) {
                    renew_id(body, link, pass);
                }
            }
        }
    }
}

/// The id that a trace has in a pass.
pub fn renewed_id(mut id: [u8; 16], pass: u64) -> [u8; 16] {
    for (byte, change) in id.iter_mut().skip(8).zip(pass.to_be_bytes()) {
        *byte ^= change;
    }
    id
}

/// Moves all spans and events of a request by so much time.
pub fn move_in_time(body: &mut [u8], by_ns: u64) {
    for resource_spans in messages(body, 0..body.len(), 1) {
        for scope_spans in messages(body, resource_spans, 2) {
            for span in messages(body, scope_spans, 2) {
                move_instants(body, span.clone(), &[START, END], by_ns);
                for event in messages(body, span, EVENTS) {
                    move_instants(body, event, &[EVENT_TIME], by_ns);
                }
            }
        }
    }
}

/// Fields of `opentelemetry.proto.trace.v1.Span` and of its events.
const START: u64 = 7;
const END: u64 = 8;
const EVENTS: u64 = 11;
const EVENT_TIME: u64 = 1;

fn move_instants(body: &mut [u8], within: Range<usize>, fields: &[u64], by_ns: u64) {
    for (field, place) in fields_of(body, within).into_iter().filter(|(_, place)| place.len() == 8) {
        if field & 7 == FIXED64 && fields.contains(&(field >> 3)) {
            let instant: [u8; 8] = body[place.clone()].try_into().expect("eight bytes");
            body[place].copy_from_slice(&u64::from_le_bytes(instant).wrapping_add(by_ns).to_le_bytes());
        }
    }
}

/// The trace id is the first field of a span and of a link.
fn renew_id(body: &mut [u8], message: Range<usize>, pass: u64) {
    let id = messages(body, message, 1).next().expect("spans and links begin with a trace id");
    let renewed = renewed_id(body[id.clone()].try_into().expect("a trace id has 16 bytes"), pass);
    body[id].copy_from_slice(&renewed);
}

/// Protobuf's wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

/// Where the messages of a field lie. They are collected, so that the bytes can be changed while they are gone through.
fn messages(body: &[u8], within: Range<usize>, field: u64) -> impl Iterator<Item = Range<usize>> + use<> {
    let key = field << 3 | BYTES;
    fields_of(body, within).into_iter().filter_map(move |(found, place)| (found == key).then_some(place))
}

/// The keys of all fields, and where their values lie.
fn fields_of(body: &[u8], within: Range<usize>) -> Vec<(u64, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = within.start;
    while at < within.end {
        let key = varint(body, &mut at);
        let start = at;
        let place = match key & 7 {
            VARINT => {
                varint(body, &mut at);
                start..at
            }
            FIXED64 => start..start + 8,
            BYTES => {
                let length = varint(body, &mut at) as usize;
                at..at + length
            }
            _ => start..start + 4,
        };
        at = place.end;
        found.push((key, place));
    }
    found
}

fn varint(body: &[u8], at: &mut usize) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = body[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}
