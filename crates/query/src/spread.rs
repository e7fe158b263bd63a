//! How matching spans are spread over time and duration: counts for a heat map, over a bounded sample of what is stored.
//!
//! Parts that cannot hold a match are left out by their bounds; if those that are left hold more records than may be looked at, every
//! so-many-th of them is taken, in order of time, so that a sample is as even over time as the whole, and the answer says what share of
//! them it is of. Records are counted: a span that was stored twice counts twice. Which attributes a part of the map has in common is
//! [`crate::explain`]'s work.

use store::Selection;

use crate::contract::{QueryError, TimeRange};
use crate::filter::Filter;
use crate::source::{Part, Source};

/// Records that a heat map looks at.
pub const LOOKED_AT_MAX: usize = 1 << 20;
/// Most columns of a heat map.
pub const COLUMNS_MAX: usize = 240;
/// Rows of a decade of durations, while they are few.
const ROWS_PER_DECADE: i32 = 4;
/// With more rows than this, half of them are enough.
const ROWS_MAX: usize = 28;
/// Durations below are one row, 1 µs; and those above, 11 days.
const DECADES: (i32, i32) = (3, 15);

/// What a heat map is asked of.
#[derive(Debug, Clone)]
pub struct HeatQuery {
    /// Which spans.
    pub filter: Filter,
    /// When they start; where a side is open, the spans found decide.
    pub range: TimeRange,
    /// Steps of time, 1 to [`COLUMNS_MAX`].
    pub columns: usize,
}

/// Matching spans by when they start and how long they take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeatMap {
    /// The beginning of the first column.
    pub start_unix_nano: u64,
    /// How long a column is.
    pub step_ns: u64,
    /// How many columns there are.
    pub columns: usize,
    /// The borders of the rows, one more than there are rows; the first row reaches down to nothing, the last is open.
    pub edges_ns: Vec<u64>,
    /// What is not empty, by column, then row.
    pub cells: Vec<HeatCell>,
    /// Spans in all cells.
    pub spans: u64,
    /// How much was looked at.
    pub sample: Sample,
}

/// Spans of one column and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeatCell {
    /// Which step of time.
    pub column: usize,
    /// Which durations.
    pub row: usize,
    /// Spans.
    pub spans: u64,
    /// Those of them whose status is an error.
    pub errors: u64,
}

/// How much of what could match was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Records that were looked at.
    pub looked_at: u64,
    /// Records of all parts that can hold a match.
    pub stored: u64,
}

impl Sample {
    /// Whether something was left out.
    pub fn is_partial(self) -> bool {
        self.looked_at < self.stored
    }
}

/// A matching span as far as the map needs it.
#[derive(Debug, Clone, Copy)]
struct Dot {
    start_unix_nano: u64,
    duration_ns: u64,
    is_error: bool,
}

/// The heat map of matching spans.
pub fn heat_map<S: Source>(source: &S, query: &HeatQuery) -> Result<HeatMap, QueryError> {
    heat_map_within(source, query, LOOKED_AT_MAX)
}

/// As [`heat_map`], looking at about `looked_at_max` records.
pub fn heat_map_within<S: Source>(source: &S, query: &HeatQuery, looked_at_max: usize) -> Result<HeatMap, QueryError> {
    let (parts, sample) = sampled(source, &query.filter, query.range, looked_at_max)?;
    let mut projection = query.filter.projection();
    projection.fields.end = true;
    projection.fields.status = true;
    let selection = within(&query.filter, query.range);
    let mut dots = Vec::new();
    for part in parts {
        let batch = part.read_some(&projection, &selection)?;
        let rows = query.filter.bind(&batch);
        let found = rows.rows().map(|row| batch.span(row)).filter(|span| query.range.contains(span.start_unix_nano()));
        dots.extend(found.map(|span| Dot {
            start_unix_nano: span.start_unix_nano(),
            duration_ns: span.duration_ns(),
            is_error: span.status() == model::StatusCode::ERROR,
        }));
    }
    Ok(HeatMap { sample, ..drawn(&dots, query) })
}

/// What spans of a range have that a filter means.
pub(crate) fn within(filter: &Filter, range: TimeRange) -> Selection {
    let last = range.end_unix_nano.map_or(u64::MAX, |end| end.saturating_sub(1));
    Selection { starts: range.start_unix_nano..=last, ..filter.selection() }
}

/// The parts to look at, earliest first: all that can hold a match, or evenly spread ones of them.
pub(crate) fn sampled<S: Source>(
    source: &S,
    filter: &Filter,
    range: TimeRange,
    looked_at_max: usize,
) -> Result<(Vec<S::Part>, Sample), QueryError> {
    let needed = filter.needed();
    let durations = filter.duration_bounds();
    let mut parts = Vec::new();
    for part in source.parts() {
        let (shortest, longest) = part.duration_bounds();
        let can_match = range.overlaps(part.start_bounds())
            && *durations.start() <= longest
            && shortest <= *durations.end()
            && filter.required_service().is_none_or(|service| part.service_bounds(service).is_some());
        if can_match && needed.is_possible(None, &|hash| part.may_contain(hash))? {
            parts.push(part);
        }
    }
    parts.sort_by_key(Part::start_bounds);
    let stored: usize = parts.iter().map(Part::span_count).sum();
    if stored > looked_at_max {
        // Of equal distances between them, so that no stretch of time is preferred.
        let every = stored.div_ceil(looked_at_max).max(1);
        parts = parts.into_iter().step_by(every).collect();
    }
    let looked_at: usize = parts.iter().map(Part::span_count).sum();
    Ok((parts, Sample { looked_at: looked_at as u64, stored: stored as u64 }))
}

fn drawn(dots: &[Dot], query: &HeatQuery) -> HeatMap {
    let starts = || dots.iter().map(|dot| dot.start_unix_nano);
    let (Some(earliest), Some(latest)) = (starts().min(), starts().max()) else {
        return HeatMap::default();
    };
    let start = if query.range.start_unix_nano > 0 { query.range.start_unix_nano } else { earliest };
    let end = query.range.end_unix_nano.unwrap_or(latest + 1).max(start + 1);
    let columns = query.columns.clamp(1, COLUMNS_MAX);
    let step_ns = (end - start).div_ceil(columns as u64).max(1);
    let edges_ns = edges(dots);
    let rows = edges_ns.len() - 1;
    let mut counts = vec![(0u64, 0u64); columns * rows];
    for dot in dots {
        let column = (((dot.start_unix_nano - start) / step_ns) as usize).min(columns - 1);
        let row = edges_ns.partition_point(|&edge| edge <= dot.duration_ns).saturating_sub(1).min(rows - 1);
        let (spans, errors) = &mut counts[column * rows + row];
        *spans += 1;
        *errors += u64::from(dot.is_error);
    }
    let filled = counts.iter().enumerate().filter(|(_, (spans, _))| *spans > 0);
    let cell =
        |(at, &(spans, errors)): (usize, &(u64, u64))| HeatCell { column: at / rows, row: at % rows, spans, errors };
    HeatMap {
        start_unix_nano: start,
        step_ns,
        columns,
        cells: filled.map(cell).collect(),
        edges_ns,
        spans: dots.len() as u64,
        sample: Sample::default(),
    }
}

/// Borders of rows around all durations, equally far apart on a logarithmic scale.
fn edges(dots: &[Dot]) -> Vec<u64> {
    let edge = |step: i32| 10f64.powf(f64::from(step) / f64::from(ROWS_PER_DECADE)).round() as u64;
    let (low, high) = (DECADES.0 * ROWS_PER_DECADE, DECADES.1 * ROWS_PER_DECADE);
    let durations = || dots.iter().map(|dot| dot.duration_ns);
    let (least, most) = (durations().min().unwrap_or_default(), durations().max().unwrap_or_default());
    let first = (low..high).rev().find(|&step| edge(step) <= least).unwrap_or(low);
    let last = (first + 1..=high).find(|&step| edge(step) > most).unwrap_or(high);
    let coarse = usize::from(last.abs_diff(first) as usize > ROWS_MAX) + 1;
    let first = first.div_euclid(coarse as i32) * coarse as i32;
    let mut edges: Vec<u64> = (first..=last).step_by(coarse).map(edge).collect();
    if edges.last().is_some_and(|&top| top <= most) || edges.len() < 2 {
        edges.push(edge(last + coarse as i32));
    }
    edges
}
