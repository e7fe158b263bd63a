//! Everything stored, each span once, in bounded pieces: for taking it elsewhere.
//!
//! Beside the pipe. A trace may lie in many segments and its spans may have come again; a trace is handed out where its oldest records
//! lie, merged with whatever newer places have of it, and skipped in those. Traces of one place, which nearly all are, go
//! straight from block to piece. Deliberately absent: what the pieces are written as.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use model::text::hash_text;
use model::{BatchMerger, Source, SpanBatch, SpanId, TraceId};

use crate::error::ReadError;
use crate::segment::Segment;
use crate::snapshot::{Projection, Snapshot};

/// Spans handed out together, at the least; the end of a trace may bring more.
const PIECE_SPANS: usize = 2048;

/// A sealed segment, for those who take its files as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSegment {
    /// Where its files lie.
    pub directory: PathBuf,
    /// The UTC day of its spans, or `unplaced`.
    pub day: String,
    /// Its number.
    pub id: u64,
    /// Its spans.
    pub spans: u64,
    /// The earliest and latest start, Unix nanoseconds.
    pub starts: (u64, u64),
}

impl Snapshot {
    /// All segments, those with the oldest records first.
    pub fn sealed_segments(&self) -> Vec<SealedSegment> {
        let sealed = |segment: &Arc<Segment>| SealedSegment {
            directory: segment.directory.clone(),
            day: segment.meta.day.clone(),
            id: segment.meta.id,
            spans: segment.meta.spans,
            starts: (segment.meta.start_min_unix_nano, segment.meta.start_max_unix_nano),
        };
        self.segments.iter().map(sealed).collect()
    }

    /// Hands out every span that starts within `starts` once, in its last record, together with those of its trace. What is in memory only
    /// comes last. What cannot be read is left out, and `unreadable` is told of it, maybe more than once.
    ///
    /// # Errors
    /// As soon as `out` has had enough.
    pub fn each_span<E>(
        &self,
        starts: Range<u64>,
        unreadable: &mut dyn FnMut(ReadError),
        out: &mut dyn FnMut(SpanBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut walk = Walk { snapshot: self, starts, piece: BatchMerger::default(), unreadable, out };
        for number in 0..self.segments.len() {
            walk.segment(number)?;
        }
        walk.memory()?;
        walk.flush()
    }
}

struct Walk<'a, E> {
    snapshot: &'a Snapshot,
    starts: Range<u64>,
    piece: BatchMerger,
    unreadable: &'a mut dyn FnMut(ReadError),
    out: &'a mut dyn FnMut(SpanBatch) -> Result<(), E>,
}

/// What happens to the rows of a trace in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// They are all there is of the trace.
    Taken,
    /// They went out with the rest of the trace.
    Done,
}

impl<E> Walk<'_, E> {
    fn flush(&mut self) -> Result<(), E> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() { Ok(()) } else { (self.out)(piece.finish()) }
    }

    fn segment(&mut self, number: usize) -> Result<(), E> {
        let segment = Arc::clone(&self.snapshot.segments[number]);
        if !self.is_wanted(&segment) {
            return Ok(());
        }
        let mut current: Option<(TraceId, Rows)> = None;
        for block in 0..segment.index.blocks.len() {
            let batch = match segment.read_block(block, &Projection::all()) {
                Ok(batch) => batch,
                Err(error) => {
                    (self.unreadable)(error);
                    continue;
                }
            };
            let mut source = Source::new(&batch);
            for group in groups(&batch) {
                let id = batch.rows[group.start].trace_id;
                let rows = match current {
                    Some((known, rows)) if known == id => rows,
                    _ => self.begin(number, id)?,
                };
                current = Some((id, rows));
                if rows == Rows::Taken {
                    let wanted = group.filter(|&row| self.starts.contains(&batch.rows[row].start_unix_nano));
                    wanted.for_each(|row| self.piece.push(&mut source, row));
                }
                if self.piece.len() >= PIECE_SPANS {
                    self.flush()?;
                    source = Source::new(&batch);
                }
            }
        }
        Ok(())
    }

    /// Whether a segment may have a span of the range. One that has none is not gone through, so no trace counts as handed out there.
    fn is_wanted(&self, segment: &Segment) -> bool {
        segment.meta.start_min_unix_nano < self.starts.end && segment.meta.start_max_unix_nano >= self.starts.start
    }

    /// Decides about a trace that begins in a segment; sends it out if other places have some of it too.
    fn begin(&mut self, number: usize, id: TraceId) -> Result<Rows, E> {
        for older in &self.snapshot.segments[..number] {
            if self.is_wanted(older) && self.has(older, id) {
                return Ok(Rows::Done);
            }
        }
        let mut alone = self.snapshot.memtables.iter().all(|memtable| memtable.trace(id).is_empty());
        for newer in &self.snapshot.segments[number + 1..] {
            alone = alone && !self.has(newer, id);
        }
        if alone {
            return Ok(Rows::Taken);
        }
        self.merged(id)?;
        Ok(Rows::Done)
    }

    /// Whether a segment has some of a trace that can be read.
    fn has(&mut self, segment: &Segment, id: TraceId) -> bool {
        // Most answers come from the filter alone; only a place with the same hash is looked at.
        match segment.index.trace_rows(hash_text(&id.0)) {
            Ok(places) => !places.is_empty() && self.rows_of(segment, id).is_some(),
            Err(error) => {
                (self.unreadable)(error);
                false
            }
        }
    }

    fn rows_of(&mut self, segment: &Segment, id: TraceId) -> Option<SpanBatch> {
        segment.trace(id).unwrap_or_else(|error| {
            (self.unreadable)(error);
            None
        })
    }

    /// All records of a trace, oldest first.
    fn records(&mut self, id: TraceId) -> Vec<SpanBatch> {
        let snapshot = self.snapshot;
        let mut records: Vec<SpanBatch> =
            snapshot.segments.iter().filter_map(|segment| self.rows_of(segment, id)).collect();
        let memory = Snapshot { segments: Arc::default(), ..snapshot.clone() };
        records.extend(memory.trace(id).expect("memory can be read"));
        records
    }

    fn merged(&mut self, id: TraceId) -> Result<(), E> {
        let records = self.records(id);
        let mut last: HashMap<(SpanId, i32), (usize, usize)> = HashMap::new();
        for (number, batch) in records.iter().enumerate() {
            let rows = batch.rows.iter().enumerate().filter(|(_, row)| row.trace_id == id);
            last.extend(rows.map(|(index, row)| ((row.span_id, row.kind), (number, index))));
        }
        let mut places: Vec<(usize, usize)> = last.into_values().collect();
        places.sort_unstable();
        let mut sources: Vec<Source<'_>> = records.iter().map(Source::new).collect();
        for (number, index) in places {
            if self.starts.contains(&records[number].rows[index].start_unix_nano) {
                self.piece.push(&mut sources[number], index);
            }
        }
        if self.piece.len() >= PIECE_SPANS { self.flush() } else { Ok(()) }
    }

    /// Traces that no segment has.
    fn memory(&mut self) -> Result<(), E> {
        let memtables = &self.snapshot.memtables;
        let batches = memtables.iter().flat_map(|memtable| memtable.batches());
        let mut ids: Vec<TraceId> =
            batches.flat_map(|held| held.batch.rows.iter().map(|row| row.trace_id).collect::<Vec<_>>()).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let mut is_sealed = false;
            for segment in self.snapshot.segments.iter() {
                is_sealed = is_sealed || (self.is_wanted(segment) && self.has(segment, id));
            }
            if !is_sealed {
                self.merged(id)?;
            }
        }
        Ok(())
    }
}

/// Consecutive rows of the same trace.
fn groups(batch: &SpanBatch) -> Vec<Range<usize>> {
    let mut start = 0;
    let chunks = batch.rows.chunk_by(|a, b| a.trace_id == b.trace_id);
    let ranges = chunks.map(|rows| {
        start += rows.len();
        start - rows.len()..start
    });
    ranges.collect()
}
