//! Hashes of what identifies messages and spans, and whether a sender records everything.

use model::SpanRef;
use model::text::hash_text;

use super::names::mix;
use crate::cone::Evidence;
use crate::semconv::Word;

/// The hash of a name, the same for a number and its digits.
pub(super) fn word_hash(word: Word<'_>) -> u64 {
    match word {
        Word::Text(text) => match text.parse::<i64>() {
            Ok(number) => mix(number as u64),
            Err(_) => hash_text(text.as_bytes()),
        },
        Word::Number(number) => mix(number as u64),
    }
}

/// The hash of what identifies a message by one sort of evidence; never 0.
pub(super) fn key_hash(evidence: Evidence, parts: [u64; 3]) -> u64 {
    parts.into_iter().fold(evidence as u64 + 1, |hash, part| mix(hash.rotate_left(17) ^ part)).max(1)
}

/// The hash of a span within which a span of the same service sends.
pub(super) fn wrapper_hash(span: u64, service: u32) -> u64 {
    mix(span ^ u64::from(service).rotate_left(40))
}

/// The hash of a span as one that sends, told from the same span as one that receives.
pub(super) fn sender_hash(span: u64) -> u64 {
    mix(span.rotate_left(23))
}

/// The hash of a span as one that received several messages.
pub(super) fn several_hash(span: u64) -> u64 {
    mix(span.rotate_left(31))
}

/// Whether the sender says that a span's parent is of its own process.
pub(super) fn is_parent_local(span: SpanRef<'_>) -> bool {
    const SAYS_WHETHER_REMOTE: u32 = 0x100;
    const IS_REMOTE: u32 = 0x200;
    span.row().flags & (SAYS_WHETHER_REMOTE | IS_REMOTE) == SAYS_WHETHER_REMOTE
}

/// Whether the sender says that it does not record everything: OpenTelemetry's `th` in the trace state, if it is not 0.
pub(super) fn is_sampled(span: SpanRef<'_>) -> bool {
    let state = span.trace_state();
    if state.is_empty() {
        return false;
    }
    let ours = state.split(',').find_map(|member| member.trim().strip_prefix("ot="));
    let threshold = ours.and_then(|ours| ours.split(';').find_map(|part| part.strip_prefix("th:")));
    threshold.is_some_and(|threshold| threshold.bytes().any(|digit| digit != b'0'))
}
