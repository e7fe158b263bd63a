//! Reading of a segment what a search looks for: some rows of a block, several traces at once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use model::{BatchMerger, Source, SpanBatch, TraceId};

use crate::error::ReadError;
use crate::options::BLOCK_ROWS;
use crate::segment::Segment;
use crate::segment::index::Place;
use crate::segment::read::RowReader;
use crate::selection::Selection;
use crate::snapshot::Projection;

/// Larger traces are read again each time: they would drive many others out of the cache.
const KEPT_ROWS_MAX: usize = 512;

impl Segment {
    /// Reads those rows of a block that a selection leaves.
    pub(crate) fn read_some(
        &self,
        number: usize,
        projection: &Projection,
        selection: &Selection,
    ) -> Result<SpanBatch, ReadError> {
        let start = number * BLOCK_ROWS;
        let block = start..start + self.index.blocks[number].rows as usize;
        let ranges = std::slice::from_ref(&block);
        let (spans, context, columns) = (&self.spans, &self.context, &self.meta.columns);
        let left = RowReader { spans, context, columns, projection, ranges }.select(selection)?;
        if left.is_empty() { Ok(SpanBatch::default()) } else { self.read(&left, projection) }
    }

    /// The rows of several traces; for each trace its rows, if it has any. `places` may be too many. Those that were not read lately are
    /// read in one pass.
    pub(crate) fn traces(&self, ids: &[TraceId], places: Vec<Place>) -> Result<Vec<Option<SpanBatch>>, ReadError> {
        let numbers: HashMap<TraceId, usize> = ids.iter().enumerate().map(|(number, &id)| (id, number)).collect();
        let mut found = vec![None; ids.len()];
        let mut unread = Vec::with_capacity(places.len());
        for place in places {
            match self.cache.trace((self.meta.id, place.row.into())) {
                Some(trace) => {
                    let number = trace.rows.first().and_then(|row| numbers.get(&row.trace_id));
                    if let Some(&number) = number {
                        found[number] = Some(SpanBatch::clone(&trace));
                    }
                }
                None => unread.push(place),
            }
        }
        let ranges = ranges_of(unread);
        if ranges.is_empty() {
            return Ok(found);
        }
        let batch = self.read(&ranges, &Projection::all())?;
        let firsts = first_rows(&ranges, &batch);
        let groups: Vec<Range<usize>> = groups(&batch).collect();
        let traces: Vec<SpanBatch> = match groups.len() {
            1 => vec![batch],
            _ => groups.into_iter().map(|rows| part_of(&batch, rows)).collect(),
        };
        for (first, trace) in firsts.into_iter().zip(traces) {
            let Some(&number) = numbers.get(&trace.rows[0].trace_id) else { continue };
            if trace.len() <= KEPT_ROWS_MAX {
                self.cache.keep_trace((self.meta.id, first as u64), Arc::new(trace.clone()));
            }
            found[number] = Some(trace);
        }
        Ok(found)
    }
}

/// Consecutive rows of the same trace.
fn groups(batch: &SpanBatch) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    batch.rows.chunk_by(|a, b| a.trace_id == b.trace_id).map(move |rows| {
        start += rows.len();
        start - rows.len()..start
    })
}

/// For each trace of a batch that was read from these rows, its first row.
fn first_rows(ranges: &[Range<usize>], batch: &SpanBatch) -> Vec<usize> {
    let rows: Vec<usize> = ranges.iter().cloned().flatten().collect();
    groups(batch).map(|group| rows[group.start]).collect()
}

/// Rows of a batch as a batch of their own.
fn part_of(batch: &SpanBatch, rows: Range<usize>) -> SpanBatch {
    let mut merger = BatchMerger::default();
    let mut source = Source::new(batch);
    rows.for_each(|row| merger.push(&mut source, row));
    merger.finish()
}

/// Ascending, disjoint ranges of the rows of places, which may repeat each other.
pub(super) fn ranges_of(mut places: Vec<Place>) -> Vec<Range<usize>> {
    places.sort_unstable_by_key(|place| (place.row, place.rows));
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(places.len());
    for place in places {
        let (start, end) = (place.row as usize, place.row as usize + place.rows as usize);
        match ranges.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => ranges.push(start..end),
        }
    }
    ranges
}
