//! Which days are past their time, and which time it is: a clock that is wrong must not cost fresh days.
//!
//! Part of step *seal*; the sealing thread drops what is found here. Deliberately absent: dropping ([`crate::seal`]).

use crate::clock::{Clock, DAY_NS};
use crate::filenames::UNPLACED;
use crate::options::StoreOptions;
use crate::segment::meta::SegmentMeta;

/// A clock that has gone further ahead than this share of the retention age is not believed at once.
const STEP_SHARE: u64 = 8;
/// A clock that stays ahead for so long is believed.
const PERSISTENCE_NS: u64 = DAY_NS;

/// The wall clock, as far as days may be dropped by it.
///
/// A step forward of more than an eighth of the retention age, while the store works or since the newest stored span, is believed
/// only when it has lasted for a day. A step back is believed at once: it can only keep days longer.
#[derive(Debug, Default)]
pub(crate) struct TrustedClock {
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    trusted_unix_nano: u64,
    monotonic_ns: u64,
    /// Since when the wall clock is ahead.
    ahead_since_ns: Option<u64>,
}

impl TrustedClock {
    /// The instant to judge by. `newest` is the newest start among stored spans, if there are any.
    pub(crate) fn now(&mut self, clock: &dyn Clock, age_ns: u64, newest_unix_nano: Option<u64>) -> u64 {
        let (wall, monotonic_ns) = (clock.now_unix_nano(), clock.monotonic_ns());
        let first = || newest_unix_nano.unwrap_or(wall).min(wall);
        let (expected, ahead_since_ns) = match self.seen {
            None => (first(), None),
            Some(seen) => {
                let passed = monotonic_ns.saturating_sub(seen.monotonic_ns);
                (seen.trusted_unix_nano.saturating_add(passed), seen.ahead_since_ns)
            }
        };
        let is_ahead = wall > expected.saturating_add(age_ns / STEP_SHARE);
        let ahead_since_ns = is_ahead.then(|| ahead_since_ns.unwrap_or(monotonic_ns));
        let lasts = ahead_since_ns.is_some_and(|since| monotonic_ns.saturating_sub(since) >= PERSISTENCE_NS);
        let (trusted_unix_nano, ahead_since_ns) =
            if is_ahead && !lasts { (expected, ahead_since_ns) } else { (wall, None) };
        if let (true, Some(Seen { ahead_since_ns: None, .. }) | None) = (ahead_since_ns.is_some(), self.seen) {
            let hours = (wall - expected) / 3_600_000_000_000;
            tracing::warn!(
                hours,
                "the clock is ahead of what was to be expected; no day is dropped by it unless it stays so for a day"
            );
        }
        self.seen = Some(Seen { trusted_unix_nano, monotonic_ns, ahead_since_ns });
        trusted_unix_nano
    }

    /// Whether the wall clock is not believed at the moment.
    pub(crate) fn is_ahead(&self) -> bool {
        self.seen.is_some_and(|seen| seen.ahead_since_ns.is_some())
    }
}

/// The latest start among spans whose time can be right.
pub(crate) fn newest_start(segments: &[&SegmentMeta]) -> Option<u64> {
    let placed = segments.iter().filter(|meta| meta.day != UNPLACED);
    placed.map(|meta| meta.start_max_unix_nano).max()
}

struct Day {
    name: String,
    end_unix_nano: u64,
    bytes: u64,
}

/// The days that retention wants gone at an instant. The newest day always stays, however large it is.
pub(crate) fn expired_days(segments: &[&SegmentMeta], options: &StoreOptions, now_unix_nano: u64) -> Vec<String> {
    let mut days: Vec<Day> = Vec::new();
    for meta in segments {
        let end = if meta.day == UNPLACED {
            meta.created_unix_nano
        } else {
            (meta.start_min_unix_nano / DAY_NS * DAY_NS).saturating_add(DAY_NS)
        };
        if let Some(day) = days.iter_mut().find(|day| day.name == meta.day) {
            day.bytes += meta.bytes();
            day.end_unix_nano = day.end_unix_nano.max(end);
        } else {
            days.push(Day { name: meta.day.clone(), end_unix_nano: end, bytes: meta.bytes() });
        }
    }
    days.sort_by_key(|day| day.end_unix_nano);
    let oldest_kept = options.retention_age_ns.map_or(0, |age| now_unix_nano.saturating_sub(age));
    let mut left: u64 = days.iter().map(|day| day.bytes).sum();
    let mut expired = Vec::new();
    for (number, day) in days.iter().enumerate() {
        let too_much = options.retention_bytes.is_some_and(|most| left > most) && number + 1 < days.len();
        if day.end_unix_nano < oldest_kept || too_much {
            left -= day.bytes;
            expired.push(day.name.clone());
        }
    }
    expired
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    const NOW: u64 = 1_795_100_000_000_000_000;
    const AGE: u64 = 30 * DAY_NS;

    #[derive(Debug)]
    struct TwoClocks {
        wall: AtomicU64,
        monotonic: AtomicU64,
    }

    impl TwoClocks {
        fn pass(&self, by_ns: u64) {
            self.wall.fetch_add(by_ns, Relaxed);
            self.monotonic.fetch_add(by_ns, Relaxed);
        }
    }

    impl Clock for TwoClocks {
        fn now_unix_nano(&self) -> u64 {
            self.wall.load(Relaxed)
        }

        fn monotonic_ns(&self) -> u64 {
            self.monotonic.load(Relaxed)
        }
    }

    fn clocks() -> TwoClocks {
        TwoClocks { wall: AtomicU64::new(NOW), monotonic: AtomicU64::new(5) }
    }

    #[test]
    fn a_step_forward_has_to_last() {
        // Guarantees that a step far ahead is believed after a day and not before, that time goes on meanwhile, and that a step that is
        // taken back never counts.
        let (clock, mut trusted) = (clocks(), TrustedClock::default());
        assert_eq!(trusted.now(&clock, AGE, Some(NOW)), NOW);
        clock.wall.fetch_add(365 * DAY_NS, Relaxed);
        assert_eq!(trusted.now(&clock, AGE, Some(NOW)), NOW);
        assert!(trusted.is_ahead());
        clock.pass(DAY_NS / 2);
        assert_eq!(trusted.now(&clock, AGE, Some(NOW)), NOW + DAY_NS / 2);
        clock.wall.fetch_sub(365 * DAY_NS, Relaxed);
        assert_eq!(trusted.now(&clock, AGE, Some(NOW)), NOW + DAY_NS / 2);
        assert!(!trusted.is_ahead());
        clock.wall.fetch_add(365 * DAY_NS, Relaxed);
        for _ in 0..23 {
            clock.pass(DAY_NS / 24);
            assert!(trusted.now(&clock, AGE, None) < NOW + 2 * DAY_NS);
        }
        clock.pass(DAY_NS / 48);
        assert!(trusted.now(&clock, AGE, None) < NOW + 3 * DAY_NS, "it is seen since the first look after the step");
        clock.pass(DAY_NS);
        assert_eq!(trusted.now(&clock, AGE, None), clock.now_unix_nano());
    }

    #[test]
    fn a_start_long_after_the_newest_span_waits_a_day() {
        // Guarantees that a store that is opened with a clock far ahead of its newest span judges by that span at first.
        let (clock, mut trusted) = (clocks(), TrustedClock::default());
        assert_eq!(trusted.now(&clock, AGE, Some(NOW - 200 * DAY_NS)), NOW - 200 * DAY_NS);
        clock.pass(DAY_NS);
        assert_eq!(trusted.now(&clock, AGE, None), NOW + DAY_NS);
        assert_eq!(TrustedClock::default().now(&clock, AGE, None), NOW + DAY_NS, "an empty store has nothing to lose");
    }

    #[test]
    fn a_step_back_counts_at_once() {
        // Guarantees that a clock that is set back keeps days longer, and that small steps are simply followed.
        let (clock, mut trusted) = (clocks(), TrustedClock::default());
        trusted.now(&clock, AGE, None);
        clock.wall.fetch_sub(3 * DAY_NS, Relaxed);
        assert_eq!(trusted.now(&clock, AGE, None), NOW - 3 * DAY_NS);
        clock.wall.fetch_add(3 * DAY_NS, Relaxed);
        assert_eq!(trusted.now(&clock, AGE, None), NOW);
    }
}
