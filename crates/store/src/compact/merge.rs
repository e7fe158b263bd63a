//! The merging thread: reads segments block by block, keeps the last record of each span, writes one segment.
//!
//! Step *compact*. What it writes is not live: the sealing thread publishes it. Of a span with records in several inputs the last
//! one is kept; one whose last record lies in another, newer segment is left out, as the merged segment has a higher number and
//! would overtake it. Between blocks it waits while memtables wait to be sealed, for a while at the most,
//! and ends when the store stops. Its pages go through a small cache of its own, so that questions keep theirs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{SpanBatch, SpanKey};

use crate::compact::handover::{Handover, Job, Outcome};
use crate::error::{ReadError, StoreError};
use crate::metrics::Metrics;
use crate::options::StoreOptions;
use crate::seal::write_and_open;
use crate::segment::Segment;
use crate::segment::cache::PageCache;
use crate::segment::meta::SegmentMeta;
use crate::segment::source::{RowAt, SealSource, ordered_rows};
use crate::segment::write::SegmentSpec;
use crate::snapshot::{Fields, Projection};
use crate::tables::Tables;

/// How often the thread looks whether there is something to do or the store stops, if nobody tells it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long one merge waits for sealing to get on, all in all. After that it goes on beside it.
const YIELD_MAX: Duration = Duration::from_secs(10);
/// Dictionaries are needed for every block, other pages once.
const CACHE_BYTES: u64 = 8 << 20;

/// The merging thread's state.
#[derive(Debug)]
pub(crate) struct Merger {
    pub(crate) options: StoreOptions,
    pub(crate) tables: Arc<Tables>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) cache: Arc<PageCache>,
    pub(crate) handover: Arc<Handover>,
}

/// Why there is no merged segment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    /// A segment cannot be read.
    #[error("segment {id} of {day}: {error}")]
    Read {
        /// Its number.
        id: u64,
        /// Its day.
        day: String,
        /// What is wrong with it.
        error: ReadError,
    },
    /// The merged segment cannot be written.
    #[error(transparent)]
    Write(#[from] StoreError),
    /// The store stops.
    #[error("the store stops")]
    Stopped,
}

impl Merger {
    /// Merges what it is given until the store stops.
    pub(crate) fn run(self) {
        loop {
            let generation = self.tables.generation();
            if self.tables.stopping() {
                return;
            }
            match self.handover.take_job() {
                Some(job) => {
                    let outcome = self.merge(&job);
                    if self.tables.stopping() {
                        return self.undo(outcome);
                    }
                    self.handover.give_back(outcome);
                    self.tables.notify();
                }
                None => self.tables.wait(generation, LOOK_INTERVAL),
            }
        }
    }

    fn merge(&self, job: &Job) -> Outcome {
        let begin = Instant::now();
        let merged = self.try_to_merge(job);
        if matches!(merged, Ok(Some(_))) {
            self.metrics.merges.record(begin.elapsed());
        }
        merged
    }

    /// Removes what nobody will publish any more; else the next start does it.
    fn undo(&self, outcome: Outcome) {
        if let Ok(Some(segment)) = outcome {
            drop(self.options.disk.remove_directory(&segment.directory));
        }
    }

    fn try_to_merge(&self, job: &Job) -> Outcome {
        let inputs = self.read_inputs(job)?;
        // For each batch, how new its records are.
        let ages: Vec<u64> = inputs.iter().map(|(age, _)| *age).collect();
        let batches: Vec<Arc<SpanBatch>> = inputs.into_iter().map(|(_, batch)| batch).collect();
        let source = SealSource::new(&batches);
        let mut rows = ordered_rows(&source);
        let newer = self.newer_records(job, &rows, &ages)?;
        rows.retain(|at| newer.get(&key_of(at)).is_none_or(|&age| age <= ages[at.batch as usize]));
        if rows.is_empty() {
            return Ok(None);
        }
        let spec = spec_of(job);
        let (options, disk) = (&self.options, &*self.options.disk);
        let segment = write_and_open(disk, &options.directory, &self.cache, &spec, &source, &rows)?;
        let read: usize = batches.iter().map(|batch| batch.len()).sum();
        self.metrics.merge_duplicates_dropped.add((read - rows.len()) as u64);
        Ok(Some(segment))
    }

    /// The blocks of the inputs, oldest record first, each with the age of its segment.
    fn read_inputs(&self, job: &Job) -> Result<Vec<(u64, Arc<SpanBatch>)>, MergeError> {
        let mut patience = YIELD_MAX;
        let mut batches = Vec::new();
        for input in &job.plan.inputs {
            let cache = Arc::new(PageCache::new(CACHE_BYTES));
            let failed = |error| read_error(input, error);
            let own = Segment::open(&*self.options.disk, &input.directory, &cache).map_err(failed)?;
            for number in 0..own.index.blocks.len() {
                self.yield_to_sealing(&mut patience)?;
                let mut batch = own.read_block(number, &Projection::all()).map_err(failed)?;
                batch.shrink_to_fit();
                batches.push((input.meta.wal_last, Arc::new(batch)));
            }
            self.metrics.merge_bytes_read.add(input.meta.bytes());
        }
        Ok(batches)
    }

    /// Waits while memtables wait to be sealed, but not longer than `patience`.
    fn yield_to_sealing(&self, patience: &mut Duration) -> Result<(), MergeError> {
        loop {
            let generation = self.tables.generation();
            if self.tables.stopping() {
                return Err(MergeError::Stopped);
            }
            if self.tables.frozen_count() == 0 || self.tables.sealing_fails() || patience.is_zero() {
                return Ok(());
            }
            let begin = Instant::now();
            self.tables.wait(generation, *patience);
            *patience = patience.saturating_sub(begin.elapsed());
        }
    }

    /// Of spans that also have records in newer segments: how new the newest of those is.
    fn newer_records(&self, job: &Job, rows: &[RowAt], ages: &[u64]) -> Result<HashMap<SpanKey, u64>, MergeError> {
        let mut newer = HashMap::new();
        for trace in rows.chunk_by(|a, b| a.span.trace_id == b.span.trace_id) {
            let oldest = trace.iter().map(|at| ages[at.batch as usize]).min().unwrap_or(0);
            for segment in job.plan.newer.iter().filter(|segment| segment.meta.wal_last > oldest) {
                if self.tables.stopping() {
                    return Err(MergeError::Stopped);
                }
                let fields = Fields { ids: true, kind: true, ..Fields::NONE };
                let projection = Projection { fields, ..Projection::default() };
                let found = segment.trace_with(trace[0].span.trace_id, &projection);
                for span in found.map_err(|error| read_error(segment, error))?.iter().flat_map(SpanBatch::spans) {
                    let age = newer.entry(span.key()).or_insert(0);
                    *age = segment.meta.wal_last.max(*age);
                }
            }
        }
        Ok(newer)
    }
}

fn key_of(at: &RowAt) -> SpanKey {
    (at.span.trace_id, at.span.span_id, at.span.kind)
}

fn read_error(segment: &Segment, error: ReadError) -> MergeError {
    MergeError::Read { id: segment.meta.id, day: segment.meta.day.clone(), error }
}

fn spec_of(job: &Job) -> SegmentSpec {
    let metas = || job.plan.inputs.iter().map(|input| &input.meta);
    SegmentSpec {
        id: job.id,
        day: metas().next().map(|meta| meta.day.clone()).unwrap_or_default(),
        wal_first: metas().map(|meta| meta.wal_first).min().unwrap_or(0),
        wal_last: metas().map(|meta| meta.wal_last).max().unwrap_or(0),
        // Spans without a day are kept by the time at which they were sealed.
        created_unix_nano: metas().map(|meta| meta.created_unix_nano).max().unwrap_or(0),
        memory_bytes: metas().map(SegmentMeta::memory_bytes).sum(),
        merged_from: metas().map(|meta| meta.id).collect(),
    }
}
