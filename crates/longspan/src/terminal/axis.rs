//! From time to columns. Long idle time is folded to a few columns, as on the page; everywhere else there is one scale.

/// A fold takes so many columns.
const FOLD_COLUMNS: f64 = 3.0;
/// More folds than this would leave no room for work.
const FOLDS_MAX: usize = 12;
/// Idle time shorter than this share of what remains is left as it is.
const FOLD_FROM_SHARE: f64 = 0.08;

/// Idle time that was folded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fold {
    pub(super) from: f64,
    pub(super) to: f64,
    column: f64,
}

/// Maps nanoseconds from the start to columns.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) columns: usize,
    pub(super) folds: Vec<Fold>,
    columns_per_ns: f64,
}

impl Axis {
    /// Of `busy` times (from, to), in any order, over `duration_ns`; without folds if `is_linear`.
    pub(super) fn new(busy: &[(f64, f64)], duration_ns: f64, columns: usize, is_linear: bool) -> Axis {
        let room = columns / (4 * FOLD_COLUMNS as usize);
        let gaps = if is_linear { Vec::new() } else { worth_folding(idle(busy, duration_ns), duration_ns, room) };
        let folded: f64 = gaps.iter().map(|(from, to)| to - from).sum();
        let scaled = columns as f64 - gaps.len() as f64 * FOLD_COLUMNS;
        let columns_per_ns = scaled / (duration_ns - folded).max(1.0);
        let (mut time, mut column) = (0.0, 0.0);
        let folds = gaps.into_iter().map(|(from, to)| {
            column += (from - time) * columns_per_ns;
            let fold = Fold { from, to, column };
            column += FOLD_COLUMNS;
            time = to;
            fold
        });
        Axis { columns, folds: folds.collect(), columns_per_ns }
    }

    fn place(&self, ns: f64) -> f64 {
        let (mut time, mut column) = (0.0, 0.0);
        for fold in &self.folds {
            if ns <= fold.from {
                break;
            }
            if ns < fold.to {
                return fold.column + (ns - fold.from) / (fold.to - fold.from) * FOLD_COLUMNS;
            }
            (time, column) = (fold.to, fold.column + FOLD_COLUMNS);
        }
        column + (ns - time) * self.columns_per_ns
    }

    /// The column that an instant is in.
    pub(super) fn column(&self, ns: f64) -> usize {
        (self.place(ns.max(0.0)) + 1e-9).floor().min(self.columns.saturating_sub(1) as f64) as usize
    }

    /// The columns of a time: at least one.
    pub(super) fn reach(&self, from: f64, to: f64) -> std::ops::Range<usize> {
        let first = self.column(from);
        let end = (self.place(to) - 1e-9).ceil().clamp(0.0, self.columns as f64) as usize;
        first..end.max(first + 1)
    }

    /// The columns of a fold.
    pub(super) fn fold_columns(&self, fold: &Fold) -> std::ops::Range<usize> {
        let first = fold.column.round() as usize;
        first.min(self.columns)..(first + FOLD_COLUMNS as usize).min(self.columns)
    }
}

/// When nothing ran, in order.
fn idle(busy: &[(f64, f64)], duration_ns: f64) -> Vec<(f64, f64)> {
    let mut busy = busy.to_vec();
    busy.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut gaps = Vec::new();
    let mut until = 0.0_f64;
    for (from, to) in busy {
        if from > until {
            gaps.push((until, from));
        }
        until = until.max(to);
    }
    if until < duration_ns {
        gaps.push((until, duration_ns));
    }
    gaps
}

/// The long ones, in order of time; no more than there is room for.
fn worth_folding(mut gaps: Vec<(f64, f64)>, duration_ns: f64, room: usize) -> Vec<(f64, f64)> {
    gaps.sort_by(|a, b| (b.1 - b.0).total_cmp(&(a.1 - a.0)));
    let mut remaining = duration_ns;
    let mut picked = Vec::new();
    for (from, to) in gaps.into_iter().take(room.min(FOLDS_MAX)) {
        let length = to - from;
        if length <= remaining * FOLD_FROM_SHARE || length >= duration_ns {
            break;
        }
        picked.push((from, to));
        remaining -= length;
    }
    picked.sort_by(|a, b| a.0.total_cmp(&b.0));
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_folded_and_time_never_turns_around() {
        // Two hours between two seconds of work take three columns; later is never further left, and nothing leaves the line.
        let axis = Axis::new(&[(0.0, 1e9), (7_199e9, 7_200e9)], 7_200e9, 60, false);
        assert_eq!(axis.folds.len(), 1);
        assert!(axis.column(1e9) > 25, "{}", axis.column(1e9));
        let mut before = 0;
        for tenths in 0..=72_000 {
            let column = axis.column(f64::from(tenths) * 1e8);
            assert!((before..60).contains(&column));
            before = column;
        }
        assert_eq!(axis.reach(0.0, 7_200e9), 0..60);
        assert_eq!(axis.reach(5.0, 5.0).len(), 1);
    }

    #[test]
    fn a_linear_axis_and_a_narrow_one_fold_nothing() {
        // What is asked for is done, and folds never take the room of work.
        let busy = [(0.0, 1.0), (99.0, 100.0)];
        assert!(Axis::new(&busy, 100.0, 60, true).folds.is_empty());
        assert!(Axis::new(&busy, 100.0, 8, false).folds.is_empty());
        assert_eq!(Axis::new(&[], 0.0, 10, false).column(0.0), 0);
    }
}
