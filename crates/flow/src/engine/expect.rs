//! What is expected of a lane: who receives from it and how soon we hear of it, learned or declared.
//!
//! A group is expected once it received [`LEARN_MIN`] messages, and nearly all ([`SHARE_MIN`]) of those sent between the first
//! and the last that it received. What was sent since the last does not count against it: a group that stopped is still
//! expected. A group that gets a part only (by a filter, or because not all its spans are recorded) is not, and what it misses
//! is unknown rather than lost. Besides the groups there is *anyone*: of workers that share a queue none gets everything.
//!
//! How soon is measured from when we heard of the sending to when we heard of the receiving, both by our own clock: no sender's
//! clock can make a message late, and the time that spans take to be exported is in it.

use super::sketch::Sketch;

/// So many messages teach what to expect.
pub const LEARN_MIN: u32 = 10;
/// A group that gets less than this share of messages is not expected to get each.
pub const SHARE_MIN: f64 = 0.8;
/// The last so many messages count; older ones count half, and half again.
const WINDOW: u32 = 8_192;
/// A message is late after so many times the 99th percentile.
pub const LATE_FACTOR: u64 = 2;
/// A message is lost after so many times the 99th percentile.
pub const LOST_FACTOR: u64 = 10;
/// A message that was declared to be received in time is lost after so many times that time.
pub const DECLARED_LOST_FACTOR: u64 = 4;
/// Groups of a lane that are told apart; more are one.
pub const GROUPS_MAX: usize = 63;

/// The least that is waited for anything, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Nothing is late before.
    pub late_ns: u64,
    /// Nothing is lost before.
    pub lost_ns: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { late_ns: 15_000_000_000, lost_ns: 60_000_000_000 }
    }
}

/// How reliably and how soon one receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) group: u32,
    pub(super) matched: u32,
    pub(super) first: u32,
    pub(super) last: u32,
    /// When the first message that it got was sent; what was sent before is none of its business.
    pub(super) since_unix_nano: u64,
    /// Declared: received within so many nanoseconds; 0 if nobody declared it.
    pub(super) declared_ns: u64,
    /// When we last heard of it receiving a message, Unix nanoseconds.
    pub(super) heard_unix_nano: u64,
    pub(super) lag: Sketch,
    /// The 99th percentile of `lag`, computed now and then.
    pub(super) p99_ns: u64,
}

impl Track {
    pub(super) fn new(group: u32) -> Track {
        Track {
            group,
            matched: 0,
            first: 0,
            last: 0,
            since_unix_nano: u64::MAX,
            declared_ns: 0,
            heard_unix_nano: 0,
            lag: Sketch::default(),
            p99_ns: 0,
        }
    }

    pub(super) fn add(&mut self, ordinal: u32, sent_unix_nano: u64, lag_ns: u64) {
        if self.matched == 0 {
            (self.first, self.last) = (ordinal, ordinal);
        }
        (self.first, self.last) = (self.first.min(ordinal), self.last.max(ordinal));
        self.since_unix_nano = self.since_unix_nano.min(sent_unix_nano);
        self.matched += 1;
        self.lag.add(lag_ns);
        let spanned = self.last - self.first;
        if spanned >= 2 * WINDOW {
            self.first = self.last - spanned / 2;
            self.matched = self.matched.div_ceil(2);
            self.lag.fade();
        }
        if self.matched < 64 || self.matched.is_multiple_of(64) {
            self.refresh();
        }
    }

    /// Computes what is kept beside the sketch.
    pub(super) fn refresh(&mut self) {
        self.p99_ns = self.lag.quantile_ns(0.99).unwrap_or(0);
    }

    /// The share of messages that it got; `skipped` of them were none.
    pub(super) fn share(&self, skipped: u32) -> f64 {
        let spanned = u64::from(self.last - self.first) + 1;
        let messages = spanned.saturating_sub(u64::from(skipped)).max(u64::from(self.matched)).max(1);
        f64::from(self.matched) / messages as f64
    }

    pub(super) fn is_expected(&self, skipped: u32) -> bool {
        self.declared_ns > 0 || (self.matched >= LEARN_MIN && self.share(skipped) >= SHARE_MIN)
    }

    /// Whether it is expected to get a message that was sent at an instant.
    fn expects(&self, skipped: u32, sent_unix_nano: u64) -> bool {
        self.is_expected(skipped) && (self.declared_ns > 0 || sent_unix_nano >= self.since_unix_nano)
    }

    /// After how long a message is late, and after how long lost.
    pub(super) fn deadlines_ns(&self, patience: Patience) -> (u64, u64) {
        if self.declared_ns > 0 {
            return (self.declared_ns, self.declared_ns.saturating_mul(DECLARED_LOST_FACTOR));
        }
        let times = |factor: u64| self.p99_ns.saturating_mul(factor);
        (times(LATE_FACTOR).max(patience.late_ns), times(LOST_FACTOR).max(patience.lost_ns))
    }
}

/// What is known of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneState {
    /// How many messages were sent.
    pub(super) ordinals: u32,
    /// How many of them turned out to be none.
    pub(super) skipped: u32,
    pub(super) groups: Vec<Track>,
    pub(super) any: Track,
    /// Whether declarations were looked up.
    pub(super) is_known: bool,
}

impl Default for LaneState {
    fn default() -> Self {
        LaneState { ordinals: 0, skipped: 0, groups: Vec::new(), any: Track::new(0), is_known: false }
    }
}

impl LaneState {
    /// The place of a group, which is added if there is room; the last place is for all others.
    pub(super) fn place(&mut self, group: u32) -> usize {
        if let Some(place) = self.groups.iter().position(|track| track.group == group) {
            return place;
        }
        if self.groups.len() < GROUPS_MAX {
            self.groups.push(Track::new(group));
            return self.groups.len() - 1;
        }
        GROUPS_MAX
    }

    /// Who is expected to receive and has not: tracks, with the bit of each; anyone has none.
    pub(super) fn missing(
        &self,
        delivered: u64,
        sent_unix_nano: u64,
    ) -> impl Iterator<Item = (Option<usize>, &Track)> + '_ {
        let is_expected = move |track: &Track| track.expects(self.skipped, sent_unix_nano);
        let groups = self.groups.iter().enumerate();
        let groups = groups.filter(move |(place, track)| delivered >> place & 1 == 0 && is_expected(track));
        let any = (delivered == 0 && is_expected(&self.any)).then_some((None, &self.any));
        groups.map(|(place, track)| (Some(place), track)).chain(any)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let tracks = self.groups.iter().chain([&self.any]);
        self.groups.capacity() * size_of::<Track>() + tracks.map(|track| track.lag.heap_bytes()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn track(ordinals: impl Iterator<Item = u32>) -> Track {
        let mut track = Track::new(2);
        ordinals.for_each(|ordinal| track.add(ordinal, 0, SECOND));
        track
    }

    #[test]
    fn who_gets_everything_is_expected() {
        // Guarantees that a group is expected after some messages, one that gets a part is not, and one that stopped still is.
        assert!(!track(0..LEARN_MIN - 1).is_expected(0));
        assert!(track(0..LEARN_MIN).is_expected(0));
        assert!(!track((0..1_000).step_by(2)).is_expected(0));
        assert!(track((0..1_000).filter(|ordinal| ordinal % 10 > 0)).is_expected(0));
        let mut recovered = track((0..200_000).step_by(2));
        assert!(!recovered.is_expected(0));
        (200_000..260_000).for_each(|ordinal| recovered.add(ordinal, 0, SECOND));
        assert!(recovered.is_expected(0), "what is long ago matters less: {}", recovered.share(0));
    }

    #[test]
    fn deadlines_follow_what_is_usual() {
        // Guarantees the floor for fast receivers, multiples of the 99th percentile for slow ones, and that what is declared counts.
        let patience = Patience::default();
        assert_eq!(track(0..100).deadlines_ns(patience), (15 * SECOND, 60 * SECOND));
        let mut slow = Track::new(2);
        (0..100).for_each(|ordinal| slow.add(ordinal, 0, 100 * SECOND));
        let (late, lost) = slow.deadlines_ns(patience);
        assert!(late.abs_diff(200 * SECOND) < 5 * SECOND && lost.abs_diff(1_000 * SECOND) < 25 * SECOND);
        slow.declared_ns = SECOND;
        assert_eq!(slow.deadlines_ns(patience), (SECOND, 4 * SECOND));
    }
}
