//! What a search needs of a store: parts it can skip or read, and traces by id.
//!
//! The algorithms of this crate are written against these two traits, so that they run on a snapshot of the local store and, in
//! the tests, on plain batches.

use std::ops::RangeInclusive;
use std::sync::Arc;

use model::{Level, SpanBatch, TraceId};
use store::{Projection, Selection, ServiceBounds, Snapshot};

use crate::contract::QueryError;

/// A view of everything stored. Spans may be added to it while it is looked at, none goes away.
pub trait Source {
    /// A unit of searching.
    type Part: Part;

    /// All parts in any order; every record is in exactly one.
    fn parts(&self) -> Vec<Self::Part>;

    /// At least those of [`Source::parts`] that can have records of a service, if one is given, that start within a range.
    fn parts_of(&self, starts: &RangeInclusive<u64>, service: Option<&str>) -> Vec<Self::Part> {
        let _ = (starts, service);
        self.parts()
    }

    /// All records of a trace, oldest first.
    fn trace(&self, id: TraceId) -> Result<Vec<SpanBatch>, QueryError>;

    /// As [`Source::trace`], for the first of several different traces, at least one: as many as are best read together.
    fn traces(&self, ids: &[TraceId]) -> Result<Vec<Vec<SpanBatch>>, QueryError> {
        ids.iter().take(1).map(|&id| self.trace(id)).collect()
    }

    /// The traces of which a record carries a link to a span of this trace, in any order, repeated or not.
    fn linking_traces(&self, id: TraceId) -> Result<Vec<TraceId>, QueryError>;
}

/// A bounded number of records that are skipped or read together.
pub trait Part {
    /// The earliest and the latest start.
    fn start_bounds(&self) -> (u64, u64);

    /// The shortest and the longest duration.
    fn duration_bounds(&self) -> (u64, u64);

    /// Bounds of the records of one service; nothing if it has none here.
    fn service_bounds(&self, service: &str) -> Option<ServiceBounds>;

    /// How many records there are.
    fn span_count(&self) -> usize;

    /// Whether a record may have this pair, see [`model::attributes::pair_hash`]; false only if none has.
    fn may_contain(&self, pair_hash: u64) -> Result<bool, QueryError>;

    /// Whether an attribute of a record may have this key at this level; false only if none has.
    fn may_have_key(&self, level: Level, key: &str) -> bool {
        let _ = (level, key);
        true
    }

    /// The records with at least what is asked for filled in.
    fn read(&self, projection: &Projection) -> Result<Arc<SpanBatch>, QueryError>;

    /// As [`Part::read`], without some or all of the records that lack something of a selection.
    fn read_some(&self, projection: &Projection, selection: &Selection) -> Result<Arc<SpanBatch>, QueryError> {
        let _ = selection;
        self.read(projection)
    }
}

impl Source for Snapshot {
    type Part = store::Part;

    fn parts(&self) -> Vec<store::Part> {
        Snapshot::parts(self)
    }

    fn parts_of(&self, starts: &RangeInclusive<u64>, service: Option<&str>) -> Vec<store::Part> {
        Snapshot::parts_of(self, starts, service)
    }

    fn trace(&self, id: TraceId) -> Result<Vec<SpanBatch>, QueryError> {
        Ok(Snapshot::trace(self, id)?)
    }

    fn traces(&self, ids: &[TraceId]) -> Result<Vec<Vec<SpanBatch>>, QueryError> {
        Ok(Snapshot::traces(self, ids)?)
    }

    fn linking_traces(&self, id: TraceId) -> Result<Vec<TraceId>, QueryError> {
        Ok(self.incoming_links(id)?.into_iter().map(|link| link.to_trace_id).collect())
    }
}

impl Part for store::Part {
    fn start_bounds(&self) -> (u64, u64) {
        store::Part::start_bounds(self)
    }

    fn duration_bounds(&self) -> (u64, u64) {
        store::Part::duration_bounds(self)
    }

    fn service_bounds(&self, service: &str) -> Option<ServiceBounds> {
        store::Part::service_bounds(self, service)
    }

    fn span_count(&self) -> usize {
        store::Part::span_count(self)
    }

    fn may_contain(&self, pair_hash: u64) -> Result<bool, QueryError> {
        Ok(store::Part::may_contain(self, pair_hash)?)
    }

    fn may_have_key(&self, level: Level, key: &str) -> bool {
        store::Part::may_have_key(self, level, key)
    }

    fn read(&self, projection: &Projection) -> Result<Arc<SpanBatch>, QueryError> {
        Ok(store::Part::read(self, projection)?)
    }

    fn read_some(&self, projection: &Projection, selection: &Selection) -> Result<Arc<SpanBatch>, QueryError> {
        Ok(store::Part::read_some(self, projection, selection)?)
    }
}
