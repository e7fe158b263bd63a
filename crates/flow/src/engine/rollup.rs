//! What is counted by the minute, for a series or an edge. Minutes that are past become hours, by adding; what is too old, or too
//! much, goes, oldest first. A cell is a few counters and a sketch, so days are answered from hours without looking at spans.

use std::collections::{BTreeMap, btree_map};

use super::sketch::Sketch;

/// Nanoseconds of a minute.
pub const MINUTE_NS: u64 = 60_000_000_000;
const HOUR_MINUTES: u32 = 60;
/// So many minutes are kept by the minute; before that, hours.
pub const MINUTES_KEPT: u32 = 6 * HOUR_MINUTES;
/// So many minutes are kept at all: 31 days.
pub const HOURS_KEPT_MINUTES: u32 = 31 * 24 * HOUR_MINUTES;

/// Counters of a minute or an hour; what each place counts is said by [`Counter`] and [`EdgeCounter`].
pub(super) const COUNTERS: usize = 8;

/// What is counted of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    Sent,
    Received,
    Processed,
    Failed,
    DeadLettered,
    Late,
    Lost,
    Skewed,
}

/// What is counted of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EdgeCounter {
    Count,
    Errors,
}

/// Counters and durations of one series in one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cell {
    pub(super) counts: [u32; COUNTERS],
    pub(super) durations: Sketch,
}

impl Cell {
    pub(super) fn merge(&mut self, other: &Cell) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.durations.merge(&other.durations);
    }

    pub(super) fn count(&self, counter: Counter) -> u64 {
        u64::from(self.counts[counter as usize])
    }

    pub(super) fn change(&mut self, counter: usize, by: i64) {
        let count = i64::from(self.counts[counter]).saturating_add(by);
        self.counts[counter] = count.clamp(0, i64::from(u32::MAX)) as u32;
    }

    fn is_empty(&self) -> bool {
        self.counts.iter().all(|&count| count == 0) && self.durations.count() == 0
    }
}

pub(super) type Row = Vec<Option<Box<Cell>>>;

/// Cells by time and series.
#[derive(Debug, Clone, Default)]
pub(super) struct Rollup {
    minutes: BTreeMap<u32, Row>,
    hours: BTreeMap<u32, Row>,
    cells: usize,
    cells_max: usize,
    /// The minute it is.
    now: u32,
    /// How many cells were dropped to make room.
    pub(super) dropped: u64,
}

fn cell_of<'a>(rows: &'a mut BTreeMap<u32, Row>, time: u32, series: u32, cells: &mut usize) -> &'a mut Cell {
    let row = rows.entry(time).or_default();
    if row.len() <= series as usize {
        row.resize_with(series as usize + 1, || None);
    }
    row[series as usize].get_or_insert_with(|| {
        *cells += 1;
        Box::default()
    })
}

impl Rollup {
    pub(super) fn new(cells_max: usize) -> Rollup {
        Rollup { cells_max: cells_max.max(1), ..Rollup::default() }
    }

    /// Changes the cell of a series at an instant; nothing at an instant that cannot be right, or is too long ago.
    pub(super) fn change(&mut self, unix_nano: u64, series: u32, change: impl FnOnce(&mut Cell)) {
        let minute = (unix_nano / MINUTE_NS) as u32;
        if minute > self.now.saturating_add(HOUR_MINUTES) || minute.saturating_add(HOURS_KEPT_MINUTES) < self.now {
            return;
        }
        let cells = &mut self.cells;
        change(if minute.saturating_add(MINUTES_KEPT) < self.now {
            cell_of(&mut self.hours, minute / HOUR_MINUTES * HOUR_MINUTES, series, cells)
        } else {
            cell_of(&mut self.minutes, minute, series, cells)
        });
    }

    /// Makes hours of minutes that are past, and drops what is too old or too much.
    pub(super) fn advance(&mut self, now_unix_nano: u64) {
        self.now = self.now.max((now_unix_nano / MINUTE_NS) as u32);
        while self.minutes.first_key_value().is_some_and(|(&minute, _)| minute.saturating_add(MINUTES_KEPT) < self.now)
        {
            self.fold_oldest();
        }
        let old = |hours: &BTreeMap<u32, Row>, now| {
            hours.first_key_value().is_some_and(|(&hour, _)| hour.saturating_add(HOURS_KEPT_MINUTES) < now)
        };
        while old(&self.hours, self.now) {
            self.drop_oldest();
        }
        while self.cells > self.cells_max {
            match self.minutes.first_key_value() {
                Some((&minute, _)) if minute.saturating_add(HOUR_MINUTES) < self.now => self.fold_oldest(),
                _ if !self.hours.is_empty() => self.dropped += self.drop_oldest(),
                _ => return,
            }
        }
    }

    fn fold_oldest(&mut self) {
        let Some((minute, row)) = self.minutes.pop_first() else { return };
        for (series, cell) in row.into_iter().enumerate() {
            let Some(cell) = cell else { continue };
            self.cells -= 1;
            if !cell.is_empty() {
                let hour = minute / HOUR_MINUTES * HOUR_MINUTES;
                cell_of(&mut self.hours, hour, series as u32, &mut self.cells).merge(&cell);
            }
        }
    }

    fn drop_oldest(&mut self) -> u64 {
        let Some((_, row)) = self.hours.pop_first() else { return 0 };
        let cells = row.iter().flatten().count();
        self.cells -= cells;
        cells as u64
    }

    /// The cells from one instant to another, with their start in Unix nanoseconds, in the order of time; hours that overlap count
    /// whole.
    pub(super) fn between(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u32, &Cell)> + '_ {
        let first = (start / MINUTE_NS) as u32;
        let last = u32::try_from(end.div_ceil(MINUTE_NS)).unwrap_or(u32::MAX);
        let hours = self.hours.range((first / HOUR_MINUTES * HOUR_MINUTES).min(last)..last);
        let minutes = self.minutes.range(first.min(last)..last);
        hours.chain(minutes).flat_map(|(&minute, row)| {
            let cells = row.iter().enumerate();
            cells.filter_map(move |(series, cell)| {
                let cell = cell.as_deref().filter(|cell| !cell.is_empty())?;
                Some((u64::from(minute) * MINUTE_NS, series as u32, cell))
            })
        })
    }

    /// All hours, or all minutes, with their cells.
    pub(super) fn rows(&self, is_hour: bool) -> btree_map::Iter<'_, u32, Row> {
        if is_hour { self.hours.iter() } else { self.minutes.iter() }
    }

    /// Puts a cell where it was.
    pub(super) fn put(&mut self, is_hour: bool, minute: u32, series: u32, cell: Cell) {
        let rows = if is_hour { &mut self.hours } else { &mut self.minutes };
        *cell_of(rows, minute, series, &mut self.cells) = cell;
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let rows = self.minutes.values().chain(self.hours.values());
        let cells = rows.clone().flatten().flatten();
        cells.map(|cell| size_of::<Cell>() + cell.durations.heap_bytes()).sum::<usize>()
            + rows.map(|row| row.capacity() * 8).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_100_000_000_000_000;

    #[test]
    fn days_are_answered_from_hours() {
        // Guarantees that sums and quantiles over days are the same before and after minutes became hours, and that cells are bounded.
        let mut rollup = Rollup::new(2_000);
        rollup.advance(NOW);
        for minute in 0..3_000u64 {
            rollup.change(NOW - minute * MINUTE_NS, 3, |cell| {
                cell.change(Counter::Sent as usize, 2);
                cell.durations.add(1_000 * (minute + 1));
            });
        }
        let total = |rollup: &Rollup| {
            let mut total = Cell::default();
            rollup.between(0, NOW + MINUTE_NS).for_each(|(_, _, cell)| total.merge(cell));
            total
        };
        let before = total(&rollup);
        assert_eq!(before.count(Counter::Sent), 6_000);
        rollup.advance(NOW + 7 * 60 * MINUTE_NS);
        assert_eq!(total(&rollup), before);
        assert!(rollup.between(0, NOW).count() <= 51);
        rollup.advance(NOW + u64::from(2 * HOURS_KEPT_MINUTES) * MINUTE_NS);
        assert_eq!(total(&rollup), Cell::default());
        assert_eq!(rollup.cells, 0);
    }

    #[test]
    fn too_many_cells_are_dropped_oldest_first() {
        // Guarantees the bound on memory, and that the newest hour outlives it.
        let mut rollup = Rollup::new(100);
        rollup.advance(NOW);
        for minute in 0..300u64 {
            for series in 0..10 {
                rollup.change(NOW - minute * MINUTE_NS, series, |cell| cell.change(0, 1));
            }
        }
        rollup.advance(NOW);
        assert!(rollup.cells <= 100 + 10 * 62 && rollup.dropped > 0);
        assert_eq!(rollup.between(NOW - 30 * MINUTE_NS, NOW).count(), 310);
    }
}
