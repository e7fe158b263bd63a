//! Zipkin v1 spans, in which a kind is a pair of annotations, into [`Record`]s.
//!
//! A v1 span may hold both halves of a call, or of a message; each half becomes a span of its own, as Zipkin's server does it:
//!
//! | v1 | v2 |
//! |---|---|
//! | annotations `cs`, `cr` | a client span from the one to the other |
//! | `sr`, `ss` | a server span; `shared` if the client's half is here too, or the span brought no time of its own |
//! | `ms`, `mr` | a producer span, a consumer span |
//! | the endpoint of these, else of `lc` or any other | the local endpoint |
//! | `sa`, `ca`, `ma` | the remote endpoint |
//! | any other annotation or binary annotation | an annotation or a tag of the half with the same endpoint |
//!
//! Says nothing of how v1 is written: `decode_v1_json` and `decode_v1_thrift` do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::record::{Annotation, Endpoint, Record, kind_number};

/// A span as v1 has it. The ids, name, time, duration and `debug` are those of `common`.
#[derive(Debug, Default)]
pub(super) struct SpanV1 {
    pub(super) common: Record,
    pub(super) annotations: Vec<AnnotationV1>,
    pub(super) binary: Vec<BinaryAnnotation>,
    /// How many bytes it has as sent, if what it was written in says so.
    pub(super) bytes: usize,
}

/// Something that happened, and where.
#[derive(Debug, Default)]
pub(super) struct AnnotationV1 {
    pub(super) timestamp_us: u64,
    pub(super) value: Vec<u8>,
    pub(super) endpoint: Endpoint,
}

/// A tag, and where it was set.
#[derive(Debug, Default)]
pub(super) struct BinaryAnnotation {
    pub(super) key: Vec<u8>,
    /// As a tag's value.
    pub(super) value: Vec<u8>,
    pub(super) endpoint: Endpoint,
}

/// A half of a span: its kind, the annotations that begin and end it, and the key of its other side's address.
struct Half {
    kind: &'static str,
    begin: &'static [u8],
    end: &'static [u8],
    remote: &'static [u8],
}

const HALVES: [Half; 4] = [
    Half { kind: "CLIENT", begin: b"cs", end: b"cr", remote: b"sa" },
    Half { kind: "SERVER", begin: b"sr", end: b"ss", remote: b"ca" },
    Half { kind: "PRODUCER", begin: b"ms", end: b"", remote: b"ma" },
    Half { kind: "CONSUMER", begin: b"mr", end: b"", remote: b"ma" },
];
const ADDRESSES: [&[u8]; 3] = [b"sa", b"ca", b"ma"];
const LOCAL_COMPONENT: &[u8] = b"lc";

impl SpanV1 {
    /// About how many bytes it has.
    pub(super) fn size(&self) -> usize {
        let annotations: usize = self.annotations.iter().map(|annotation| annotation.value.len() + 32).sum();
        let binary: usize = self.binary.iter().map(|pair| pair.key.len() + pair.value.len() + 32).sum();
        (self.common.size() + annotations + binary).max(self.bytes)
    }

    /// The spans it stands for, at least one.
    pub(super) fn into_records(mut self) -> Vec<Record> {
        let mut records: Vec<Record> = HALVES.iter().filter_map(|half| self.half(half)).collect();
        if records.is_empty() {
            records.push(self.whole());
        }
        let (first, others) = records.split_first_mut().expect("one was pushed");
        first.timestamp_us = own_or(self.common.timestamp_us, first.timestamp_us);
        first.duration_us = own_or(self.common.duration_us, first.duration_us);
        let server = kind_number(b"SERVER");
        first.shared = Some(first.kind) == server && self.common.timestamp_us == 0;
        for other in others {
            other.shared = Some(other.kind) == server;
        }
        self.distribute(&mut records);
        records
    }

    fn half(&self, half: &Half) -> Option<Record> {
        let at = |name: &[u8]| self.annotations.iter().find(|found| !name.is_empty() && found.value == name);
        let (begin, end) = (at(half.begin), at(half.end));
        let local = begin.or(end)?.endpoint.clone();
        let (start_us, end_us) =
            (begin.map_or(0, |found| found.timestamp_us), end.map_or(0, |found| found.timestamp_us));
        let duration_us = if start_us == 0 { 0 } else { end_us.saturating_sub(start_us) };
        let remote = self.binary.iter().find(|pair| pair.key == half.remote).map(|pair| pair.endpoint.clone());
        Some(Record {
            kind: kind_number(half.kind.as_bytes()).unwrap_or_default(),
            timestamp_us: own_or(start_us, end_us),
            duration_us,
            local,
            remote: remote.unwrap_or_default(),
            ..self.ids()
        })
    }

    /// A span without halves: work within one process, or one that only says whom it called.
    fn whole(&self) -> Record {
        let component = self.binary.iter().find(|pair| pair.key == LOCAL_COMPONENT).map(|pair| &pair.endpoint);
        let tagged = self.binary.iter().filter(|pair| !is_address(&pair.key)).map(|pair| &pair.endpoint);
        let noted = self.annotations.iter().map(|annotation| &annotation.endpoint);
        let local = component.into_iter().chain(tagged).chain(noted).find(|endpoint| !endpoint.is_empty());
        let remote = self.binary.iter().find(|pair| is_address(&pair.key)).map(|pair| pair.endpoint.clone());
        Record { local: local.cloned().unwrap_or_default(), remote: remote.unwrap_or_default(), ..self.ids() }
    }

    fn ids(&self) -> Record {
        let common = &self.common;
        Record {
            trace_id: common.trace_id,
            span_id: common.span_id,
            parent_id: common.parent_id,
            parent_id_invalid: common.parent_id_invalid,
            name: common.name.clone(),
            debug: common.debug,
            ..Record::default()
        }
    }

    /// Gives annotations and tags to the half whose endpoint they name, else to the first.
    fn distribute(&mut self, records: &mut [Record]) {
        let place = |records: &[Record], endpoint: &Endpoint| {
            let same = |record: &Record| record.local.service_name == endpoint.service_name;
            records.iter().position(same).unwrap_or(0)
        };
        let is_core = |value: &[u8]| HALVES.iter().any(|half| half.begin == value || half.end == value);
        for AnnotationV1 { timestamp_us, value, endpoint } in self.annotations.drain(..) {
            if !is_core(&value) || value.is_empty() {
                records[place(records, &endpoint)].annotations.push(Annotation { timestamp_us, value });
            }
        }
        for BinaryAnnotation { key, value, endpoint } in self.binary.drain(..) {
            let says_only_where = is_address(&key) || key == LOCAL_COMPONENT && value.is_empty();
            if !says_only_where {
                records[place(records, &endpoint)].tags.push((key, value));
            }
        }
    }
}

fn own_or(own: u64, other: u64) -> u64 {
    if own == 0 { other } else { own }
}

fn is_address(key: &[u8]) -> bool {
    ADDRESSES.contains(&key)
}

/// A tag's value from the bytes of a binary annotation, by the number of its type. Numbers are big-endian.
pub(super) fn typed_text(value: &[u8], annotation_type: i64) -> Vec<u8> {
    let text = match (annotation_type, value.len()) {
        (0, 1) => Some((value[0] != 0).to_string()),
        (2, 2) => value.try_into().ok().map(|bytes| i16::from_be_bytes(bytes).to_string()),
        (3, 4) => value.try_into().ok().map(|bytes| i32::from_be_bytes(bytes).to_string()),
        (4, 8) => value.try_into().ok().map(|bytes| i64::from_be_bytes(bytes).to_string()),
        (5, 8) => value.try_into().ok().map(|bytes| f64::from_be_bytes(bytes).to_string()),
        // Some senders call text bytes.
        (1, _) if std::str::from_utf8(value).is_err() => Some(STANDARD.encode(value)),
        _ => None,
    };
    text.map_or_else(|| value.to_owned(), String::into_bytes)
}
