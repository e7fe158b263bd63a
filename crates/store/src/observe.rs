//! [`Observer`]: somebody who is told of every batch, once, in order, over restarts.
//!
//! The log says what an observer has seen: batches come with the number of their log file, at arrival and again when the log is
//! replayed. An observer that keeps state of its own writes it down when files are closed, together with the last one's number, and
//! passes over replayed batches of files that it has covered. Before the log files of sealed spans are deleted it is
//! asked to be done with them, so that nothing must be read back from segments.

use std::fmt;
use std::sync::Arc;

use model::SpanBatch;

/// Somebody who is told of every batch. Calls come from the threads of the store, one after the other.
pub trait Observer: Send + Sync + fmt::Debug {
    /// A batch is searchable; it lies in this log file. May wait a moment: whoever sent the spans then waits as well.
    fn applied(&self, batch: &Arc<SpanBatch>, received_unix_nano: u64, wal_sequence: u64);
    /// All batches of log files up to this one were told; those that follow lie in later ones.
    fn closed(&self, wal_sequence: u64);
    /// Log files up to this one are about to be deleted. Returns when they are not needed any more, or will not be missed.
    fn sealing(&self, wal_sequence: u64);
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn applied(&self, _: &Arc<SpanBatch>, _: u64, _: u64) {}
    fn closed(&self, _: u64) {}
    fn sealing(&self, _: u64) {}
}
