//! What was written, and up to where it has been read at each age.
//!
//! Bounded: of a very long run every second of the older traces is forgotten again and again, so that all ages stay covered.

use std::collections::BTreeMap;
use std::ops::Range;

/// Traces remembered, of 16 bytes each.
const TRACES_MAX: usize = 2 << 20;
/// Ages at which a trace is read again, in seconds.
pub(crate) const AGES_S: [u64; 10] = [1, 10, 60, 600, 3_600, 6 * 3_600, 86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400];
/// A reader that is so far behind leaves traces out.
const BEHIND_MAX: usize = 20_000;

/// A trace that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Its number: when it starts, in Unix microseconds.
    pub(crate) n: u64,
    /// Whether all of it was acknowledged.
    pub(crate) is_acknowledged: bool,
}

/// Everything that was written.
#[derive(Debug)]
pub(crate) struct Ledger {
    written: Vec<Written>,
    /// For each age, the next trace to be read.
    next: [usize; AGES_S.len()],
    /// The age whose turn it is.
    turn: usize,
    /// From here on nothing has been forgotten.
    whole_from: usize,
    oldest_s: u64,
    /// Traces that were not read at some age because there was no time.
    pub(crate) left_out: u64,
}

impl Ledger {
    /// Nothing written yet; traces older than `oldest_s` seconds are not read.
    pub(crate) fn new(oldest_s: u64) -> Ledger {
        Ledger { written: Vec::new(), next: [0; AGES_S.len()], turn: 0, whole_from: 0, oldest_s, left_out: 0 }
    }

    pub(crate) fn push(&mut self, written: Written) {
        if self.written.len() >= TRACES_MAX {
            self.forget();
        }
        self.written.push(written);
    }

    /// Forgets every second trace of the older half.
    fn forget(&mut self) {
        let half = self.written.len() / 2;
        let mut place = 0;
        self.written.retain(|_| {
            place += 1;
            place > half || place % 2 == 0
        });
        let moved = |next: usize| if next < half { next / 2 } else { next - half.div_ceil(2) };
        self.next = self.next.map(moved);
        self.whole_from = moved(self.whole_from.max(half));
    }

    /// The next trace that has come to an age at which it has not been read, and the place of that age. The ages take turns, so that a
    /// reader that is too slow for all of them still sees what was written long ago.
    pub(crate) fn due(&mut self, now_us: u64) -> Option<(usize, Written)> {
        for age in (0..AGES_S.len()).map(|step| (self.turn + step) % AGES_S.len()) {
            let age_s = AGES_S[age];
            if age_s > self.oldest_s {
                continue;
            }
            let is_ripe = |written: &Written| written.n + age_s * 1_000_000 <= now_us;
            let next = self.next[age];
            if !self.written.get(next).is_some_and(is_ripe) {
                continue;
            }
            let ripe = next + self.written[next..].partition_point(is_ripe);
            if ripe - next > BEHIND_MAX {
                self.next[age] = ripe - BEHIND_MAX / 2;
                self.left_out += (self.next[age] - next) as u64;
            }
            self.turn = age + 1;
            return Some((age, self.written[self.next[age]]));
        }
        None
    }

    /// The trace that was due at an age has been read.
    pub(crate) fn done(&mut self, age: usize) {
        self.next[age] += 1;
    }

    /// What was written in a range of microseconds, if all of it is remembered.
    pub(crate) fn within(&self, range: &Range<u64>) -> Option<BTreeMap<u64, bool>> {
        let from = self.written.partition_point(|written| written.n < range.start);
        let to = self.written.partition_point(|written| written.n < range.end);
        let known = from >= self.whole_from;
        known.then(|| self.written[from..to].iter().map(|written| (written.n, written.is_acknowledged)).collect())
    }

    /// At most `most` traces that are old enough, evenly spread over all that were written.
    pub(crate) fn sample(&self, most: usize, now_us: u64) -> Vec<Written> {
        let is_kept = |written: &&Written| {
            let age_us = now_us.saturating_sub(written.n);
            (AGES_S[0] * 1_000_000..=self.oldest_s * 1_000_000).contains(&age_us)
        };
        let all: Vec<Written> = self.written.iter().filter(is_kept).copied().collect();
        let step = all.len().div_ceil(most.max(1)).max(1);
        all.into_iter().step_by(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_due_at_each_age_once() {
        // Guarantees that every trace is read once at each age it comes to, and never past the oldest age.
        let mut ledger = Ledger::new(60);
        (0..5).for_each(|second| ledger.push(Written { n: second * 1_000_000, is_acknowledged: true }));
        let mut seen = Vec::new();
        for now_s in 0..100_000 {
            while let Some((age, written)) = ledger.due(now_s * 1_000_000) {
                assert_eq!(now_s, written.n / 1_000_000 + AGES_S[age]);
                seen.push((age, written.n));
                ledger.done(age);
            }
        }
        assert_eq!(seen.len(), 3 * 5);
        assert_eq!(ledger.within(&(1_000_000..3_000_000)).unwrap().len(), 2);
        assert_eq!(ledger.sample(2, 10_000_000).len(), 2);
    }

    #[test]
    fn a_slow_reader_sees_all_ages() {
        // Guarantees that where there is time for a few readings only, each age gets its share of them.
        let mut ledger = Ledger::new(60);
        let mut readings = [0; 3];
        for second in 0..1_000 {
            (0..100).for_each(|n| ledger.push(Written { n: second * 1_000_000 + n, is_acknowledged: true }));
            for _ in 0..6 {
                let Some((age, _)) = ledger.due(second * 1_000_000) else { break };
                readings[age] += 1;
                ledger.done(age);
            }
        }
        assert!(readings.iter().all(|&count| count > 1_500), "{readings:?}");
    }

    #[test]
    fn a_long_run_stays_bounded() {
        // Guarantees that memory has a bound, that what is still to be read stays right, and that a gap is not taken for a loss.
        let mut ledger = Ledger::new(60);
        for n in 0..(3 * TRACES_MAX as u64) {
            ledger.push(Written { n, is_acknowledged: true });
        }
        assert!(ledger.written.len() <= TRACES_MAX);
        assert!(ledger.within(&(0..10)).is_none());
        let newest = 3 * TRACES_MAX as u64 - 1;
        assert_eq!(ledger.within(&(newest - 5..newest + 1)).unwrap().len(), 6);
        let (_, written) = ledger.due(2_000_000_000).unwrap();
        assert!(ledger.left_out > 0 && written.n > newest - BEHIND_MAX as u64);
    }
}
