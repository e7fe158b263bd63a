//! [`Stop`]: how a question is called off, and the [`Source`] that listens to it.
//!
//! A clock has no place in this crate: whoever asks decides when an answer comes too late or nobody waits for it any more, and says
//! so from another thread. It is looked at before every reading of a part or a trace, which is where the time goes.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Level, SpanBatch, TraceId};
use store::{Projection, Selection, ServiceBounds};

use crate::contract::QueryError;
use crate::source::{Part, Source};

/// Calls a question off; clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Calls off: the question ends with [`QueryError::Stopped`] at its next reading.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Says so if the question was called off.
    pub fn check(&self) -> Result<(), QueryError> {
        if self.0.load(Ordering::Relaxed) { Err(QueryError::Stopped) } else { Ok(()) }
    }
}

/// A source of which nothing more is read once its [`Stop`] is set.
#[derive(Debug)]
pub struct Stoppable<S> {
    source: S,
    stop: Stop,
}

impl<S> Stoppable<S> {
    /// Listens to `stop`.
    pub fn new(source: S, stop: Stop) -> Self {
        Stoppable { source, stop }
    }
}

impl<S: Source> Source for Stoppable<S> {
    type Part = Stoppable<S::Part>;

    fn parts(&self) -> Vec<Self::Part> {
        let parts = self.source.parts().into_iter();
        parts.map(|part| Stoppable::new(part, self.stop.clone())).collect()
    }

    fn parts_of(&self, starts: &RangeInclusive<u64>, service: Option<&str>) -> Vec<Self::Part> {
        let parts = self.source.parts_of(starts, service).into_iter();
        parts.map(|part| Stoppable::new(part, self.stop.clone())).collect()
    }

    fn trace(&self, id: TraceId) -> Result<Vec<SpanBatch>, QueryError> {
        self.stop.check()?;
        self.source.trace(id)
    }

    fn traces(&self, ids: &[TraceId]) -> Result<Vec<Vec<SpanBatch>>, QueryError> {
        self.stop.check()?;
        self.source.traces(ids)
    }

    fn linking_traces(&self, id: TraceId) -> Result<Vec<TraceId>, QueryError> {
        self.stop.check()?;
        self.source.linking_traces(id)
    }
}

impl<P: Part> Part for Stoppable<P> {
    fn start_bounds(&self) -> (u64, u64) {
        self.source.start_bounds()
    }

    fn duration_bounds(&self) -> (u64, u64) {
        self.source.duration_bounds()
    }

    fn service_bounds(&self, service: &str) -> Option<ServiceBounds> {
        self.source.service_bounds(service)
    }

    fn span_count(&self) -> usize {
        self.source.span_count()
    }

    fn may_contain(&self, pair_hash: u64) -> Result<bool, QueryError> {
        self.stop.check()?;
        self.source.may_contain(pair_hash)
    }

    fn may_have_key(&self, level: Level, key: &str) -> bool {
        self.source.may_have_key(level, key)
    }

    fn read(&self, projection: &Projection) -> Result<Arc<SpanBatch>, QueryError> {
        self.stop.check()?;
        self.source.read(projection)
    }

    fn read_some(&self, projection: &Projection, selection: &Selection) -> Result<Arc<SpanBatch>, QueryError> {
        self.stop.check()?;
        self.source.read_some(projection, selection)
    }
}
