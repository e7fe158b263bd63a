//! The shop's dice: one small seeded generator, so that the same seed plays the same scenarios.
//!
//! Every choice and every latency of the demo shop is drawn here. It is not a source of identifiers that must be unique
//! between runs (trace and span ids come from the SDK, message ids from the broker's run tag).

use std::time::Duration;

/// SplitMix64: tiny, fast, and good enough to pick latencies and fates.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next_u64() % (high - low + 1)
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.between(0, choices.len() as u64 - 1);
        &choices[index as usize]
    }

    /// A duration in `low..high`, evenly spread.
    pub(crate) fn spread(&mut self, low: Duration, high: Duration) -> Duration {
        low + high.saturating_sub(low).mul_f64(self.unit())
    }

    /// A latency as services have them: mostly near the median, with a long tail to the right.
    pub(crate) fn around(&mut self, median: Duration) -> Duration {
        // Box-Muller; `1 - unit` keeps the logarithm away from zero.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
        median.mul_f64((0.35 * normal).exp().min(6.0))
    }

    /// The gap to the next of many independent arrivals.
    pub(crate) fn gap(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }
}
