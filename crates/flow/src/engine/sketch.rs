//! [`Sketch`]: durations, kept as counts in buckets that grow by a constant factor, so that quantiles are right to within
//! [`RELATIVE_ERROR`] and two sketches merge by adding.
//!
//! This is DDSketch without its variants: the bucket of `v` is `ceil(log_γ v)` with `γ = (1 + e) / (1 − e)`, and the middle of a
//! bucket is at most `e` away from everything in it. Buckets are sparse and sorted. All 64-bit durations fit into 1,110 buckets,
//! so nothing is ever collapsed, and what was added can be taken out again, which corrections need.

/// How far a quantile may be off, as a share of it.
pub const RELATIVE_ERROR: f64 = 0.02;
const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// 1 / ln γ.
const BUCKETS_PER_E: f64 = 24.996_666_133_231_85;

/// Places of buckets: all 64-bit durations fit.
pub(super) const BUCKETS: u16 = 1_111;

/// Durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sketch {
    /// Bucket and count, sorted, none of count 0.
    buckets: Vec<(u16, u32)>,
}

fn bucket(value_ns: u64) -> u16 {
    if value_ns <= 1 { 0 } else { ((value_ns as f64).ln() * BUCKETS_PER_E).ceil() as u16 }
}

fn middle_ns(bucket: u16) -> u64 {
    if bucket == 0 { 0 } else { (2.0 * GAMMA.powi(i32::from(bucket)) / (GAMMA + 1.0)) as u64 }
}

impl Sketch {
    /// Adds a duration.
    pub fn add(&mut self, value_ns: u64) {
        self.add_bucket(bucket(value_ns), 1);
    }

    fn add_bucket(&mut self, bucket: u16, count: u32) {
        match self.buckets.binary_search_by_key(&bucket, |&(known, _)| known) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    /// Takes out a duration that was added.
    pub fn remove(&mut self, value_ns: u64) {
        let Ok(at) = self.buckets.binary_search_by_key(&bucket(value_ns), |&(known, _)| known) else { return };
        self.buckets[at].1 -= 1;
        if self.buckets[at].1 == 0 {
            self.buckets.remove(at);
        }
    }

    /// Adds everything of another.
    pub fn merge(&mut self, other: &Sketch) {
        for &(bucket, count) in &other.buckets {
            self.add_bucket(bucket, count);
        }
    }

    /// Halves all counts: what is old matters less.
    pub fn fade(&mut self) {
        self.buckets.iter_mut().for_each(|(_, count)| *count = count.div_ceil(2));
    }

    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|&(_, count)| u64::from(count)).sum()
    }

    /// The duration that a share of all does not exceed; nothing of none. 0 is the least, 1 the greatest.
    pub fn quantile_ns(&self, share: f64) -> Option<u64> {
        let count = self.count();
        let rank = (share * count.saturating_sub(1) as f64).round() as u64;
        let mut passed = 0;
        let reached = self.buckets.iter().find(|&&(_, count)| {
            passed += u64::from(count);
            passed > rank
        });
        reached.map(|&(bucket, _)| middle_ns(bucket))
    }

    /// The sum of all durations, each taken for the middle of its bucket.
    pub fn sum_ns(&self) -> u64 {
        self.buckets.iter().fold(0, |sum: u64, &(bucket, count)| {
            sum.saturating_add(middle_ns(bucket).saturating_mul(u64::from(count)))
        })
    }

    /// How many durations lie below a bound, to within the error.
    pub fn count_below(&self, bound_ns: u64) -> u64 {
        let last = bucket(bound_ns);
        self.buckets.iter().take_while(|&&(bucket, _)| bucket <= last).map(|&(_, count)| u64::from(count)).sum()
    }

    /// Bucket and count of each bucket.
    pub(super) fn buckets(&self) -> &[(u16, u32)] {
        &self.buckets
    }

    /// From buckets that are sorted.
    pub(super) fn from_buckets(buckets: Vec<(u16, u32)>) -> Sketch {
        Sketch { buckets }
    }

    /// Memory held beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(u16, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_within_the_error(mut values in prop::collection::vec(1u64..1_000_000_000_000_000, 1..300), share in 0.0f64..=1.0) {
            // Guarantees the documented error for any durations, and that merging and taking out are exact.
            let mut whole = Sketch::default();
            let mut parts = [Sketch::default(), Sketch::default()];
            for (number, &value) in values.iter().enumerate() {
                whole.add(value);
                parts[number % 2].add(value);
            }
            let [mut first, second] = parts;
            first.merge(&second);
            prop_assert_eq!(&first, &whole);
            whole.add(77);
            whole.remove(77);
            prop_assert_eq!(&first, &whole);
            values.sort_unstable();
            let exact = values[(share * (values.len() - 1) as f64).round() as usize] as f64;
            let told = whole.quantile_ns(share).unwrap() as f64;
            prop_assert!((told - exact).abs() <= exact * RELATIVE_ERROR * 1.001 + 1.0, "{told} for {exact}");
        }
    }

    #[test]
    fn the_greatest_fits() {
        // Guarantees that no duration is out of range, and that nothing has no quantile.
        let mut sketch = Sketch::default();
        assert_eq!(sketch.quantile_ns(0.5), None);
        for value in [0, 1, u64::MAX] {
            sketch.add(value);
        }
        assert_eq!((sketch.count(), sketch.quantile_ns(0.0)), (3, Some(0)));
        assert!(sketch.quantile_ns(1.0).unwrap() > u64::MAX / 2);
    }
}
