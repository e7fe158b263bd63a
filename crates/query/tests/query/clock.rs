//! The machine's clock steps: forward, back, to before everything. What is stored and what is found does not depend on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::SpanBatch;
use query::{Filter, LocalStore, Search, SpanStore, TimeRange};
use store::clock::Clock;
use store::{Durability, Store, StoreOptions};

use crate::generate;
use crate::local::{NoReplay, append};

const DAY_NS: u64 = 86_400 * 1_000_000_000;
/// An instant of 2026.
const NOON: u64 = 1_790_000_000_000_000_000;

/// A clock that somebody sets.
#[derive(Debug)]
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now_unix_nano(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One span of a trace, `offset_ns` after noon, that took so long.
fn span(trace: u8, offset_ns: i64, duration_ns: u64) -> SpanBatch {
    let mut any = generate::any_span();
    any.trace = trace;
    let mut batch = generate::batch(&[any]);
    let row = &mut batch.rows[0];
    row.start_unix_nano = NOON.saturating_add_signed(offset_ns);
    row.end_unix_nano = row.start_unix_nano + duration_ns;
    batch
}

#[test]
fn steps_of_the_clock_lose_and_reorder_nothing() {
    // Guarantees that spans received while the clock steps by seconds, days and to 1970 are all found, newest first by their own
    // times, sealed or not; that the last record of a span wins by arrival; and that retention drops none of them.
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock(AtomicU64::new(NOON)));
    let options = StoreOptions {
        durability: Durability::Async,
        retention_age_ns: Some(30 * DAY_NS),
        clock: clock.clone(),
        ..StoreOptions::new(directory.path())
    };
    let store = Arc::new(Store::open(options, &NoReplay).expect("the directory is empty"));
    let local = LocalStore::new(store.clone());
    let steps = [0, 1_000_000_000, -10 * 60 * 1_000_000_000, 2 * DAY_NS as i64, -3 * DAY_NS as i64, -(NOON as i64)];
    for (number, step) in (0u8..).zip(steps) {
        clock.0.store(NOON.saturating_add_signed(step), Ordering::Relaxed);
        append(&store, span(number, i64::from(number) * 1_000, 10));
        append(&store, span(20, -1, u64::from(number)));
        if number % 2 == 0 {
            assert!(store.seal(Duration::from_mins(1)));
        }
    }
    // The sealing thread looks for days to drop after every seal, with the clock set to after and to before them.
    for step in [20 * DAY_NS as i64, -(NOON as i64), 0] {
        clock.0.store(NOON.saturating_add_signed(step), Ordering::Relaxed);
        append(&store, span(21, -2, 0));
        assert!(store.seal(Duration::from_mins(1)));
    }
    let search = Search { filter: Filter::All, range: TimeRange::default(), limit: 100, cursor: None };
    let found: Vec<_> = local.search(&search).unwrap().hits.into_iter().map(|hit| hit.trace.id).collect();
    let want: Vec<_> = [5, 4, 3, 2, 1, 0, 20, 21].map(generate::trace_id).into();
    assert_eq!(found, want);
    let last = local.trace(generate::trace_id(20)).unwrap().unwrap();
    assert_eq!((last.spans.len(), last.spans.span(0).duration_ns()), (1, 5));
}
