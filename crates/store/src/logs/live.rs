//! The log records of a snapshot: all their parts, and those of one trace.

use model::{LogBatch, TraceId};

use crate::error::ReadError;
use crate::logs::part::{LogPart, LogSelection, pick};
use crate::snapshot::Snapshot;

impl Snapshot {
    /// All log records, in parts.
    pub fn log_parts(&self) -> Vec<LogPart> {
        let mut parts = Vec::new();
        for segment in self.log_segments.iter() {
            parts.extend(LogPart::blocks(segment, &self.damage));
        }
        for memtable in &self.memtables {
            let held = memtable.log_batches().into_iter();
            parts.extend(held.map(|held| LogPart::in_memory(held, self.damage.clone())));
        }
        parts
    }

    /// The wanted log records of a trace. What is damaged is left out, see [`Snapshot::damage`].
    pub fn logs_of_trace(&self, id: TraceId, selection: &LogSelection) -> Result<Vec<LogBatch>, ReadError> {
        let selection = LogSelection { trace_id: Some(id), ..selection.clone() };
        let mut batches = Vec::new();
        for segment in self.log_segments.iter() {
            let batch = self.damage.pass(segment.trace(id, &selection))?;
            if !batch.is_empty() {
                let count = batch.len();
                batches.push(pick(&batch, 0..count, |log| selection.matches(log)));
            }
        }
        for memtable in &self.memtables {
            for (held, row) in memtable.logs_of_trace(id) {
                batches.push(pick(&held.batch, std::iter::once(row as usize), |log| selection.matches(log)));
            }
        }
        Ok(batches)
    }

    /// The services that have log records, each with how many.
    pub fn log_services(&self) -> Result<std::collections::BTreeMap<String, u64>, ReadError> {
        let mut services = std::collections::BTreeMap::new();
        for segment in self.log_segments.iter() {
            for (service, records) in self.damage.pass(segment.index.catalog())?.services {
                *services.entry(service).or_default() += records;
            }
        }
        for memtable in &self.memtables {
            for held in memtable.log_batches() {
                for log in held.batch.logs() {
                    *services.entry(log.service_name().to_owned()).or_default() += 1;
                }
            }
        }
        Ok(services)
    }
}
