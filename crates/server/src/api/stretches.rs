//! When something ran in a found trace, in few enough stretches to be drawn in the row of a list. In between, work waited.
//!
//! Times are from the start of the root span, as those of the answer and the last effect are. Pure.

use model::{SpanBatch, SpanRef, StatusCode};

/// Stretches of a trace at the most; beyond them the shortest pauses are left out.
const STRETCHES_MAX: usize = 24;
/// Failures that are marked.
const ERRORS_MAX: usize = 12;

/// From and to, in nanoseconds.
pub type Stretch = (u64, u64);

/// The stretches in which at least one span was open that does more than ask for messages, in order.
pub fn stretches(spans: &SpanBatch, origin_unix_nano: u64) -> Vec<Stretch> {
    let from_origin = |unix_nano: u64| unix_nano.saturating_sub(origin_unix_nano);
    let worked = spans.spans().filter(|&span| !only_asks(span));
    let mut open: Vec<Stretch> =
        worked.map(|span| (from_origin(span.start_unix_nano()), from_origin(span.end_unix_nano()))).collect();
    open.sort_unstable();
    let mut merged: Vec<Stretch> = Vec::new();
    for (from, to) in open {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to.max(from))),
        }
    }
    coarser(merged)
}

/// Leaves out the shortest pauses until the stretches are few enough.
fn coarser(stretches: Vec<Stretch>) -> Vec<Stretch> {
    if stretches.len() <= STRETCHES_MAX {
        return stretches;
    }
    let mut pauses: Vec<u64> = stretches.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
    pauses.sort_unstable_by(|a, b| b.cmp(a));
    let least = pauses[STRETCHES_MAX - 1];
    let mut kept: Vec<Stretch> = Vec::with_capacity(STRETCHES_MAX);
    for (from, to) in stretches {
        match kept.last_mut() {
            Some(last) if from - last.1 <= least => last.1 = to,
            _ => kept.push((from, to)),
        }
    }
    kept
}

/// When spans failed, the first ones, in order.
pub fn failures(spans: &SpanBatch, origin_unix_nano: u64) -> Vec<u64> {
    let failed = spans.spans().filter(|span| span.status() == StatusCode::ERROR);
    let mut at: Vec<u64> = failed.map(|span| span.end_unix_nano().saturating_sub(origin_unix_nano)).collect();
    at.sort_unstable();
    at.dedup();
    at.truncate(ERRORS_MAX);
    at
}

/// A span that waits for messages is open as long as there are none.
fn only_asks(span: SpanRef<'_>) -> bool {
    let keys = ["messaging.operation.type", "messaging.operation"];
    let operation = keys.iter().find_map(|key| span.attribute(key));
    operation.is_some_and(|operation| operation.comparison_text() == "receive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pauses_stay() {
        // Guarantee: at most so many stretches, in order and apart, that begin and end where the whole does.
        let many: Vec<Stretch> = (0..100u64).map(|number| (number * 1_000, number * 1_000 + 900 - number)).collect();
        let few = coarser(many.clone());
        assert!(few.len() <= STRETCHES_MAX);
        assert_eq!((few[0].0, few.last().unwrap().1), (many[0].0, many[99].1));
        assert!(few.windows(2).all(|pair| pair[0].1 < pair[1].0));
        assert_eq!(coarser(many[..5].to_vec()), many[..5]);
    }
}
