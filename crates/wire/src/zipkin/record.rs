//! One Zipkin span as it was sent, whatever it was written in. Zipkin is not the hot path: records own their texts.

use model::{SpanId, TraceId};

/// Annotations, tags and binary annotations of one span that are read, each. A span with more has more than the largest span that is kept
/// ([`Record::size`], [`super::v1::SpanV1::size`]), so that it is refused whatever else comes; a few bytes could otherwise take many times
/// their room.
pub(super) const PARTS_READ_MAX: usize = (1 << 20) / SMALLEST_PART_BYTES + 1;
/// What a part counts for in the size of a span, at least.
const SMALLEST_PART_BYTES: usize = 6;

/// Adds a part that was read, unless there are too many.
pub(super) fn push_part<T>(parts: &mut Vec<T>, part: T) {
    if parts.len() < PARTS_READ_MAX {
        parts.push(part);
    }
}

/// A span in Zipkin's words.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Zero if absent or not an id.
    pub(super) trace_id: TraceId,
    /// Zero if absent or not an id.
    pub(super) span_id: SpanId,
    pub(super) parent_id: Option<SpanId>,
    /// There was a parent id, but it is none.
    pub(super) parent_id_invalid: bool,
    /// OTLP's number; 0 if absent or unknown.
    pub(super) kind: i32,
    /// A kind nobody knows.
    pub(super) unknown_kind: Vec<u8>,
    pub(super) name: Vec<u8>,
    /// Microseconds since 1970; 0 if absent.
    pub(super) timestamp_us: u64,
    /// 0 if absent.
    pub(super) duration_us: u64,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    pub(super) annotations: Vec<Annotation>,
    pub(super) tags: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) debug: bool,
    pub(super) shared: bool,
}

/// One side of a call.
#[derive(Debug, Default, Clone)]
pub(super) struct Endpoint {
    pub(super) service_name: Vec<u8>,
    pub(super) ipv4: Vec<u8>,
    pub(super) ipv6: Vec<u8>,
    /// 0 if absent.
    pub(super) port: i64,
}

/// Something that happened.
#[derive(Debug, Default)]
pub(super) struct Annotation {
    pub(super) timestamp_us: u64,
    pub(super) value: Vec<u8>,
}

/// OTLP's numbers of Zipkin's kinds.
const KINDS: [(&str, i32); 4] = [("SERVER", 2), ("CLIENT", 3), ("PRODUCER", 4), ("CONSUMER", 5)];

/// OTLP's number of a kind's name in any case.
pub(super) fn kind_number(name: &[u8]) -> Option<i32> {
    KINDS.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|&(_, number)| number)
}

/// Zipkin's name of an OTLP kind, if it has one.
pub(super) fn kind_name(number: i32) -> Option<&'static str> {
    KINDS.iter().find(|&&(_, known)| known == number).map(|&(name, _)| name)
}

impl Endpoint {
    pub(super) fn is_empty(&self) -> bool {
        self.service_name.is_empty() && self.ipv4.is_empty() && self.ipv6.is_empty() && self.port == 0
    }
}

impl Record {
    pub(super) fn set_kind(&mut self, name: &[u8]) {
        match kind_number(name) {
            Some(number) => self.kind = number,
            None => name.clone_into(&mut self.unknown_kind),
        }
    }

    pub(super) fn set_parent_id(&mut self, id: Option<SpanId>) {
        self.parent_id_invalid = id.is_none();
        self.parent_id = id.filter(|id| !id.is_zero());
    }

    /// About how many bytes it has.
    pub(super) fn size(&self) -> usize {
        let endpoint =
            |endpoint: &Endpoint| endpoint.service_name.len() + endpoint.ipv4.len() + endpoint.ipv6.len() + 8;
        let annotations: usize = self.annotations.iter().map(|annotation| annotation.value.len() + 12).sum();
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len() + SMALLEST_PART_BYTES).sum();
        self.name.len() + endpoint(&self.local) + endpoint(&self.remote) + annotations + tags + 64
    }
}
