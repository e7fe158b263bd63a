//! Which traces lie next to each other in a segment, so that what is alike is compressed together.
//!
//! Step *seal*, behind the sorting by time and in front of the columns. Traces of the same kind of request have the same
//! operations in the same order, hence values in the same columns; side by side, every column repeats what zstd has just seen.
//! Traces that are linked repeat each other's message and order ids, so they stay together as a family.
//!
//! Deliberately absent: moving a trace far away from those of its time. Families change places only within a window: of a few
//! blocks, or of two minutes if that is more than one block, so that bounds of time stay narrow enough to leave blocks out by.

use std::ops::Range;

use model::TraceId;

use crate::options::BLOCK_ROWS;
use crate::segment::source::SortKey;

/// Rows within which families change places, at the most.
const WINDOW_ROWS: usize = 8 * BLOCK_ROWS;
/// Rows within which they do so even if their traces start far apart.
const WINDOW_ROWS_MIN: usize = BLOCK_ROWS;
/// How far apart the traces of a larger window start.
const WINDOW_SPREAD_NS: u64 = 120_000_000_000;
/// Families do not grow beyond so many rows: one that consumes from everyone would draw everything together.
const FAMILY_ROWS_MAX: usize = 2048;
/// Traces that start further apart are no family: the block of the earlier one would get the time of the later one.
const FAMILY_SPREAD_NS: u64 = 60_000_000_000;

/// A trace: its earliest start and its id.
type Named = (u64, TraceId);

/// Puts the traces of `keys`, which are sorted, in order; returns where the keys of each lie. `links` are pairs of traces.
pub(super) fn arrange(keys: &[SortKey], links: impl Iterator<Item = [Named; 2]>) -> Vec<Range<usize>> {
    let traces = Traces::of(keys);
    let mut families = Families::new(&traces);
    for [one, other] in links.filter(|[one, other]| one.0.abs_diff(other.0) <= FAMILY_SPREAD_NS) {
        if let (Some(one), Some(other)) = (traces.place(one), traces.place(other)) {
            families.join(one, other);
        }
    }
    let by_family = families.members();
    let rows = |trace: u32| traces.ranges[trace as usize].clone();
    let keys_of = |trace: u32| &keys[rows(trace)];
    let operations: Vec<u32> =
        by_family.iter().flat_map(|&(_, trace)| keys_of(trace)).map(|key| key.operation).collect();
    let (mut row, mut windows) = (0, Windows::default());
    let mut sorted = Vec::new();
    for members in by_family.chunk_by(|a, b| a.0 == b.0) {
        let from = row;
        row += rows_of(members, &traces);
        let window = windows.next(from, keys_of(members[0].1)[0].trace_start);
        sorted.push(Family { window, operations: &operations[from..row], members });
    }
    sorted.sort_by(|a, b| (a.window, a.operations).cmp(&(b.window, b.operations)));
    sorted.iter().flat_map(|family| family.members).map(|&(_, trace)| rows(trace)).collect()
}

/// Cuts rows into windows.
#[derive(Default)]
struct Windows {
    number: usize,
    first_row: usize,
    /// The start of the first trace; `None` before there is one.
    first_start: Option<u64>,
}

impl Windows {
    /// The window of a family that begins at a row, with a trace that starts then; both only grow.
    fn next(&mut self, row: usize, trace_start: u64) -> usize {
        let first_start = *self.first_start.get_or_insert(trace_start);
        let rows = row - self.first_row;
        let is_wide = trace_start - first_start > WINDOW_SPREAD_NS;
        if rows >= WINDOW_ROWS || (rows >= WINDOW_ROWS_MIN && is_wide) {
            *self = Windows { number: self.number + 1, first_row: row, first_start: Some(trace_start) };
        }
        self.number
    }
}

/// Traces that stay together.
struct Family<'a> {
    window: usize,
    /// Of all their spans in order.
    operations: &'a [u32],
    /// The first trace of the family, which names it, with each of its traces.
    members: &'a [(u32, u32)],
}

fn rows_of(members: &[(u32, u32)], traces: &Traces<'_>) -> usize {
    members.iter().map(|&(_, trace)| traces.ranges[trace as usize].len()).sum()
}

/// The traces of sorted keys.
struct Traces<'a> {
    keys: &'a [SortKey],
    ranges: Vec<Range<usize>>,
}

impl<'a> Traces<'a> {
    fn of(keys: &'a [SortKey]) -> Self {
        let mut end = 0;
        let range = |group: &[SortKey]| {
            end += group.len();
            end - group.len()..end
        };
        let ranges = keys.chunk_by(|a, b| a.trace_id == b.trace_id).map(range).collect();
        Traces { keys, ranges }
    }

    fn place(&self, trace: Named) -> Option<u32> {
        let key = |range: &Range<usize>| (self.keys[range.start].trace_start, self.keys[range.start].trace_id);
        self.ranges.binary_search_by_key(&trace, key).ok().map(|place| place as u32)
    }
}

/// Which traces belong together.
struct Families {
    /// For each trace an earlier one of its family, or itself if it is the first.
    earlier: Vec<u32>,
    /// For the first trace of each family, how many rows the family has.
    rows: Vec<usize>,
}

impl Families {
    fn new(traces: &Traces<'_>) -> Self {
        let rows = traces.ranges.iter().map(Range::len).collect();
        Families { earlier: (0..traces.ranges.len() as u32).collect(), rows }
    }

    fn first_of(&mut self, mut trace: u32) -> u32 {
        while self.earlier[trace as usize] != trace {
            // Later searches find it in half as many steps.
            let earlier = self.earlier[self.earlier[trace as usize] as usize];
            self.earlier[trace as usize] = earlier;
            trace = earlier;
        }
        trace
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.first_of(one), self.first_of(other));
        let rows = self.rows[one as usize] + self.rows[other as usize];
        if one != other && rows <= FAMILY_ROWS_MAX {
            let (first, later) = (one.min(other), one.max(other));
            self.earlier[later as usize] = first;
            self.rows[first as usize] = rows;
        }
    }

    /// The first trace of its family with each trace, family by family in the order of their first traces.
    fn members(mut self) -> Vec<(u32, u32)> {
        let mut members: Vec<(u32, u32)> =
            (0..self.earlier.len() as u32).map(|trace| (self.first_of(trace), trace)).collect();
        members.sort_unstable();
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> TraceId {
        TraceId([number; 16])
    }

    /// Keys of traces in their order: number, start in seconds, operations.
    fn keys(traces: &[(u8, u64, &[u32])]) -> Vec<SortKey> {
        let key = |&(number, start, operations): &(u8, u64, &[u32])| {
            let key = move |&operation| SortKey::of_trace(id(number), start * 1_000_000_000, operation);
            operations.iter().map(key).collect::<Vec<_>>()
        };
        traces.iter().flat_map(key).collect()
    }

    fn arranged(keys: &[SortKey], links: &[[(u64, u8); 2]]) -> Vec<u8> {
        let named = |(start, number): (u64, u8)| (start * 1_000_000_000, id(number));
        let ranges = arrange(keys, links.iter().map(|pair| pair.map(named)));
        let mut rows: Vec<usize> = ranges.iter().cloned().flatten().collect();
        let order = ranges.iter().map(|range| keys[range.start].trace_id.0[0]).collect();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..keys.len()), "rows are lost or doubled");
        order
    }

    #[test]
    fn alike_and_linked_traces_are_neighbours() {
        // Guarantees that traces with the same operations lie together, by start among themselves, that linked ones do so in the place
        // of the first, and that a link to a trace far away in time or not there at all changes nothing.
        let keys = keys(&[(1, 0, &[7, 8]), (2, 1, &[5]), (3, 2, &[7, 8]), (4, 3, &[9]), (5, 4, &[5]), (6, 500, &[9])]);
        assert_eq!(arranged(&keys, &[]), [2, 5, 1, 3, 4, 6]);
        assert_eq!(arranged(&keys, &[[(3, 4), (1, 2)]]), [5, 2, 4, 1, 3, 6]);
        assert_eq!(arranged(&keys, &[[(500, 6), (1, 2)], [(3, 4), (3, 99)]]), [2, 5, 1, 3, 4, 6]);
    }

    #[test]
    fn windows_and_families_are_bounded() {
        // Guarantees that a trace stays among those of its time however alike others are: in windows of a block when traces start far
        // apart, of eight when they do not; and that a family stops growing.
        let large: Vec<u32> = vec![3; FAMILY_ROWS_MAX];
        let of = |count: u8, apart: u64| -> Vec<(u8, u64, &[u32])> {
            let trace = |n: u8| (n, u64::from(n) * apart, if n.is_multiple_of(2) { &large[..] } else { &[1][..] });
            (0..count).map(trace).collect()
        };
        let far = keys(&of(9, 40));
        assert_eq!(arranged(&far, &[]), [1, 3, 5, 0, 2, 4, 6, 7, 8]);
        assert_eq!(arranged(&far, &[[(0, 0), (320, 8)], [(80, 2), (120, 3)]]), [1, 3, 5, 0, 2, 4, 6, 7, 8]);
        let near = arranged(&keys(&of(9, 1)), &[]);
        assert_eq!(near, [1, 3, 5, 7, 0, 2, 4, 6, 8]);
        let many = arranged(&keys(&of(80, 0)), &[]);
        let first = many.iter().position(|&n| n == 65).expect("every trace is there");
        assert!(many[..first].iter().all(|&n| n < 65), "{many:?}");
    }
}
