//! Reading of a segment what a search looks for: some rows of a block, several traces at once.

use std::collections::HashMap;
use std::ops::Range;

use model::{BatchMerger, Source, SpanBatch, TraceId};

use crate::error::ReadError;
use crate::options::BLOCK_ROWS;
use crate::segment::Segment;
use crate::segment::index::Place;
use crate::segment::read::RowReader;
use crate::selection::Selection;
use crate::snapshot::Projection;

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

    /// Reads the rows of several traces in one pass; for each trace its rows, if it has any. `places` may be too many.
    pub(crate) fn traces(&self, ids: &[TraceId], places: Vec<Place>) -> Result<Vec<Option<SpanBatch>>, ReadError> {
        let mut found = vec![None; ids.len()];
        let ranges = ranges_of(places);
        if ranges.is_empty() {
            return Ok(found);
        }
        let batch = self.read(&ranges, &Projection::all())?;
        let numbers: HashMap<TraceId, usize> = ids.iter().enumerate().map(|(number, &id)| (id, number)).collect();
        let mut row = 0;
        for rows in batch.rows.chunk_by(|a, b| a.trace_id == b.trace_id) {
            if let Some(&number) = numbers.get(&rows[0].trace_id) {
                let mut merger = BatchMerger::default();
                let mut source = Source::new(&batch);
                (row..row + rows.len()).for_each(|row| merger.push(&mut source, row));
                found[number] = Some(merger.finish());
            }
            row += rows.len();
        }
        Ok(found)
    }
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
