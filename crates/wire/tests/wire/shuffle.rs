//! Other bytes that mean a message too: fields in any order, singular messages in pieces, unknown fields and groups between.

use crate::mutate::Random;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    TracesData,
    ResourceSpans,
    Resource,
    ScopeSpans,
    Scope,
    Span,
    Event,
    Link,
    Status,
    KeyValue,
    AnyValue,
    Array,
    Map,
}

/// The message in a field, and whether the field is singular.
fn message_of(kind: Kind, number: u64) -> Option<(Kind, bool)> {
    Some(match (kind, number) {
        (Kind::TracesData, 1) => (Kind::ResourceSpans, false),
        (Kind::ResourceSpans, 1) => (Kind::Resource, true),
        (Kind::ResourceSpans, 2) => (Kind::ScopeSpans, false),
        (Kind::ScopeSpans, 1) => (Kind::Scope, true),
        (Kind::ScopeSpans, 2) => (Kind::Span, false),
        (Kind::Resource | Kind::Map, 1) | (Kind::Scope | Kind::Event, 3) | (Kind::Span, 9) | (Kind::Link, 4) => {
            (Kind::KeyValue, false)
        }
        (Kind::Span, 11) => (Kind::Event, false),
        (Kind::Span, 13) => (Kind::Link, false),
        (Kind::Span, 15) => (Kind::Status, true),
        (Kind::KeyValue, 2) => (Kind::AnyValue, true),
        (Kind::AnyValue, 5) => (Kind::Array, true),
        (Kind::AnyValue, 6) => (Kind::Map, true),
        (Kind::Array, 1) => (Kind::AnyValue, false),
        _ => return None,
    })
}

/// Rewrites a valid message.
pub(crate) fn shuffle(kind: Kind, message: &[u8], random: &mut Random) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let (field, key, payload) = split_field(rest);
        rest = &rest[field.len()..];
        let Some((inner, singular)) = message_of(kind, key >> 3) else {
            fields.push(field.to_vec());
            continue;
        };
        let shuffled = shuffle(inner, payload, random);
        if singular && random.below(3) == 0 {
            let cut = field_border(&shuffled, random);
            fields.push(with_header(key, &shuffled[..cut]));
            fields.push(with_header(key, &shuffled[cut..]));
        } else {
            fields.push(with_header(key, &shuffled));
        }
    }
    if random.below(3) == 0 {
        fields.push(unknown_field(random));
    }
    for place in (1..fields.len()).rev() {
        if random.below(2) == 0 {
            fields.swap(place, random.below(place + 1));
        }
    }
    fields.concat()
}

fn with_header(key: u64, payload: &[u8]) -> Vec<u8> {
    let mut field = varint(key);
    field.extend(varint(payload.len() as u64));
    field.extend(payload);
    field
}

fn unknown_field(random: &mut Random) -> Vec<u8> {
    let number = [1000u64, 77, 19, (1 << 29) - 1][random.below(4)];
    match random.below(5) {
        0 => [varint(number << 3), varint(random.next())].concat(),
        1 => [varint(number << 3 | 1), vec![7; 8]].concat(),
        2 => with_header(number << 3 | 2, b"unknown"),
        3 => [varint(number << 3 | 5), vec![9; 4]].concat(),
        _ => [varint(number << 3 | 3), varint(5 << 3 | 3), varint(5 << 3 | 4), varint(number << 3 | 4)].concat(),
    }
}

/// A random border between fields.
fn field_border(message: &[u8], random: &mut Random) -> usize {
    let mut borders = vec![0];
    let mut at = 0;
    while at < message.len() {
        let (number, after_key) = read_varint(&message[at..]);
        if number & 7 == 3 {
            // An unknown group: two keys of one inner group, then its own end.
            let mut end = at + after_key;
            for _ in 0..3 {
                end += read_varint(&message[end..]).1;
            }
            at = end;
        } else {
            at += split_field(&message[at..]).0.len();
        }
        borders.push(at);
    }
    borders[random.below(borders.len())]
}

/// The first field of a message: its bytes, its key, its payload.
fn split_field(message: &[u8]) -> (&[u8], u64, &[u8]) {
    let (key, header) = read_varint(message);
    let (start, end) = match key & 7 {
        0 => (header, header + read_varint(&message[header..]).1),
        1 => (header, header + 8),
        5 => (header, header + 4),
        _ => {
            let (length, size) = read_varint(&message[header..]);
            (header + size, header + size + length as usize)
        }
    };
    (&message[..end], key, &message[start..end])
}

fn read_varint(bytes: &[u8]) -> (u64, usize) {
    let mut value = 0;
    for (place, &byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return (value, place + 1);
        }
    }
    panic!("the bytes are those of a valid message");
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A length-delimited field.
pub(crate) fn field(number: u64, payload: &[u8]) -> Vec<u8> {
    with_header(number << 3 | 2, payload)
}
