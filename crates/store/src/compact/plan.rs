//! Which segments are worth merging: many of one day that are of about the same, small size.
//!
//! Sizes fall into tiers, each four times the one below it. Where [`crate::options::MERGE_SEGMENTS_MIN`] segments of a day are in
//! the same tier, the oldest of them are merged into one of at most a full memtable, which lands in a higher tier. So a span is
//! written again at most once a tier, and one that was sealed from a full memtable never.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::options::MERGE_SEGMENTS_MAX;
use crate::segment::Segment;

/// What is to become one segment.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Segments of one day, those with the oldest records first.
    pub(crate) inputs: Vec<Arc<Segment>>,
    /// Others with records newer than the oldest of the inputs: of a span that is here and there, the later record counts.
    pub(crate) newer: Vec<Arc<Segment>>,
}

/// When merging is worth it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// So many segments of a tier are merged.
    pub(crate) segments_min: usize,
    /// Memory that the spans of a merged segment may take.
    pub(crate) bytes_max: u64,
}

/// The next merge, if there is one. `segments` are sorted by age of their records; those with a number in `avoided` stay.
pub(crate) fn next_merge(segments: &[Arc<Segment>], policy: Policy, avoided: &BTreeSet<u64>) -> Option<Plan> {
    let mut days: Vec<&str> = segments.iter().map(|segment| segment.meta.day.as_str()).collect();
    days.sort_unstable();
    days.dedup();
    days.into_iter().rev().find_map(|day| {
        let is_candidate = |segment: &&Arc<Segment>| segment.meta.day == day && !avoided.contains(&segment.meta.id);
        let candidates: Vec<&Arc<Segment>> = segments.iter().filter(is_candidate).collect();
        let sizes: Vec<u64> = candidates.iter().map(|segment| segment.meta.memory_bytes()).collect();
        let chosen = choose(&sizes, policy)?;
        let inputs: Vec<_> = chosen.into_iter().map(|number| Arc::clone(candidates[number])).collect();
        Some(Plan { newer: newer(segments, &inputs), inputs })
    })
}

fn newer(segments: &[Arc<Segment>], inputs: &[Arc<Segment>]) -> Vec<Arc<Segment>> {
    let oldest = inputs.first().map_or(0, |input| input.meta.wal_last);
    let is_input = |segment: &Arc<Segment>| inputs.iter().any(|input| Arc::ptr_eq(input, segment));
    let is_newer = |segment: &&Arc<Segment>| segment.meta.wal_last > oldest && !is_input(segment);
    segments.iter().filter(is_newer).cloned().collect()
}

/// The numbers of the segments to merge, of sizes in order of their age.
fn choose(sizes: &[u64], policy: Policy) -> Option<Vec<usize>> {
    let tier_of = |size: u64| tier(size, policy.bytes_max);
    let mut tiers: Vec<u32> = sizes.iter().map(|&size| tier_of(size)).filter(|&tier| tier > 0).collect();
    tiers.sort_unstable();
    // The smallest segments first: they are the cheapest to be rid of.
    let mut full = tiers.chunk_by(|a, b| a == b).filter(|tier| tier.len() >= policy.segments_min.max(2));
    let fullest = full.next_back()?[0];
    let mut left = policy.bytes_max;
    let in_tier = sizes.iter().enumerate().filter(|&(_, &size)| tier_of(size) == fullest);
    let fitting = in_tier.take_while(|&(_, &size)| {
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    Some(fitting.map(|(number, _)| number).take(MERGE_SEGMENTS_MAX).collect())
}

/// How often a size can grow four-fold before it is as large as it gets; 0 for those that are not merged any more.
fn tier(bytes: u64, bytes_max: u64) -> u32 {
    (bytes_max / bytes.max(1)).checked_ilog2().map_or(0, |doublings| doublings / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { segments_min: 8, bytes_max: 64 << 20 };

    #[test]
    fn full_segments_are_left_alone() {
        // Guarantees that what was sealed from full memtables is never written again, however much there is of it.
        assert_eq!(choose(&[64 << 20; 100], POLICY), None);
        assert_eq!(choose(&[17 << 20; 100], POLICY), None);
        assert_eq!(choose(&[200 << 20; 100], POLICY), None);
        assert_eq!(choose(&[1 << 20; 7], POLICY), None);
        assert_eq!(choose(&[], POLICY), None);
    }

    #[test]
    fn a_merge_takes_the_oldest_that_fit() {
        // Guarantees that a merge takes segments of one tier only, oldest first, at least four and no more than fit.
        assert_eq!(choose(&[16 << 20; 9], POLICY), Some(vec![0, 1, 2, 3]));
        let mut sizes = vec![3 << 20, 100 << 20, 2 << 20];
        sizes.extend([1000; 8]);
        assert_eq!(choose(&sizes, POLICY), Some((3..11).collect()));
        assert_eq!(choose(&[0; 500], POLICY).map(|chosen| chosen.len()), Some(MERGE_SEGMENTS_MAX));
    }

    #[test]
    fn writing_again_is_bounded_by_the_logarithm() {
        // Guarantees that however many segments of whatever small size come, each span is written again at most as often as
        // there are tiers, and few segments remain.
        for size in [300, 5_000, 90_000, 1 << 20, 9 << 20] {
            let (mut sizes, mut rewritten, mut sealed) = (Vec::new(), 0, 0);
            for _ in 0..3000 {
                sizes.push(size);
                sealed += size;
                while let Some(chosen) = choose(&sizes, POLICY) {
                    let sum: u64 = chosen.iter().map(|&number| sizes[number]).sum();
                    assert!(chosen.len() > 3 && sum <= POLICY.bytes_max);
                    rewritten += sum;
                    let left = sizes.iter().enumerate().filter(|(number, _)| !chosen.contains(number));
                    sizes = left.map(|(_, &size)| size).chain([sum]).collect();
                }
            }
            let tiers = u64::from(tier(size, POLICY.bytes_max));
            assert!(rewritten <= tiers * sealed, "{rewritten} of {sealed} at {size}");
            let full = sealed / (POLICY.bytes_max / 4) + 1;
            assert!((sizes.len() as u64) < 7 * tiers + full, "{} segments at {size}", sizes.len());
        }
    }
}
