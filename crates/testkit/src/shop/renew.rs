//! A request once more, as new traces: for load that goes on longer than a corpus.
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

/// The trace id is the first field of a span and of a link.
fn renew_id(body: &mut [u8], message: Range<usize>, pass: u64) {
    let id = messages(body, message, 1).next().expect("spans and links begin with a trace id");
    for (byte, change) in body[id].iter_mut().skip(8).zip(pass.to_be_bytes()) {
        *byte ^= change;
    }
}

/// Where the messages of a field lie. They are collected, so that the bytes can be changed while they are gone through.
fn messages(body: &[u8], within: Range<usize>, field: u64) -> impl Iterator<Item = Range<usize>> + use<> {
    let mut found = Vec::new();
    let mut at = within.start;
    while at < within.end {
        let key = varint(body, &mut at);
        match key & 7 {
            0 => drop(varint(body, &mut at)),
            1 => at += 8,
            5 => at += 4,
            _ => {
                let length = varint(body, &mut at) as usize;
                if key >> 3 == field {
                    found.push(at..at + length);
                }
                at += length;
            }
        }
    }
    found.into_iter()
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
