//! What a reader sees of the log records: parts, each a batch in memory or a block of a segment, and which of their records are wanted.
//!
//! A [`LogSelection`] is asked twice: columns and filters of a segment by what they can say cheaply, which may leave too much and never
//! too little; then every record that is left, exactly.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use model::attributes::{filter_hash, pair_hash};
use model::log::LogMerger;
use model::text::hash_text;
use model::{Level, LogBatch, LogRef, SpanId, TraceId};

use crate::damage::Damage;
use crate::error::ReadError;
use crate::logs::table::HeldLogs;
use crate::logs::words::Needle;
use crate::segment::logs::LogSegment;

/// Which log records are wanted: those of which all of this is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSelection {
    /// When they happened, Unix nanoseconds.
    pub times: RangeInclusive<u64>,
    /// Their severity, at least.
    pub severity_min: i32,
    /// Their service.
    pub service: Option<String>,
    /// Their trace.
    pub trace_id: Option<TraceId>,
    /// Their span.
    pub span_id: Option<SpanId>,
    /// What their bodies contain.
    pub needles: Vec<Needle>,
    /// What an attribute of theirs, of their scope or of their resource is: key and comparison text.
    pub attributes: Vec<(String, String)>,
}

impl Default for LogSelection {
    fn default() -> Self {
        LogSelection {
            times: 0..=u64::MAX,
            severity_min: i32::MIN,
            service: None,
            trace_id: None,
            span_id: None,
            needles: Vec::new(),
            attributes: Vec::new(),
        }
    }
}

impl LogSelection {
    /// Whether a record is wanted.
    pub fn matches(&self, log: LogRef<'_>) -> bool {
        let span = log.span();
        self.times.contains(&log.time_unix_nano())
            && log.severity_number() >= self.severity_min
            && self.trace_id.is_none_or(|id| log.trace_id() == Some(id))
            && self.span_id.is_none_or(|id| log.span_id() == Some(id))
            && self.service.as_deref().is_none_or(|service| log.service_name() == service)
            && self.needles.iter().all(|needle| needle.is_in(&log.body().comparison_text()))
            && self.attributes.iter().all(|(key, text)| {
                [Level::Span, Level::Scope, Level::Resource]
                    .iter()
                    .any(|&level| span.any_value_at(level, key, |value| value.comparison_text() == *text))
            })
    }

    /// Groups of hashes: a part with a wanted record has one of each group.
    pub(crate) fn hashes(&self) -> Vec<Vec<u64>> {
        let words = self.needles.iter().flat_map(Needle::hashes).map(|hash| vec![hash]);
        let pair = |(key, text): &(String, String)| {
            let value_hash = filter_hash(key.as_bytes(), text);
            let levels = [Level::Span, Level::Scope, Level::Resource];
            levels.iter().map(|&level| pair_hash(level, hash_text(key.as_bytes()), value_hash)).collect()
        };
        words.chain(self.attributes.iter().map(pair)).collect()
    }
}

/// Log records that lie together.
#[derive(Debug, Clone)]
pub struct LogPart {
    place: Place,
    damage: Damage,
}

#[derive(Debug, Clone)]
enum Place {
    Memory(Arc<HeldLogs>),
    Block(Arc<LogSegment>, usize),
}

impl LogPart {
    pub(crate) fn in_memory(held: Arc<HeldLogs>, damage: Damage) -> Self {
        LogPart { place: Place::Memory(held), damage }
    }

    pub(crate) fn blocks(segment: &Arc<LogSegment>, damage: &Damage) -> impl Iterator<Item = LogPart> {
        let block = |number| LogPart { place: Place::Block(Arc::clone(segment), number), damage: damage.clone() };
        (0..segment.index.blocks.len()).map(block)
    }

    /// The earliest and latest time.
    pub fn times(&self) -> (u64, u64) {
        match &self.place {
            Place::Memory(held) => held.times,
            Place::Block(segment, number) => {
                let block = &segment.index.blocks[*number];
                (block.start_min, block.start_max)
            }
        }
    }

    /// The highest number of severity.
    pub fn severity_max(&self) -> i32 {
        match &self.place {
            Place::Memory(held) => held.severities.1,
            Place::Block(segment, number) => segment.index.blocks[*number].duration_max as i32,
        }
    }

    /// How many records there are.
    pub fn records(&self) -> usize {
        match &self.place {
            Place::Memory(held) => held.batch.len(),
            Place::Block(segment, number) => segment.index.blocks[*number].rows as usize,
        }
    }

    /// Whether its rows are in the order of their places, so that the last ones are the newest.
    pub fn is_ordered(&self) -> bool {
        matches!(self.place, Place::Block(..))
    }

    /// Whether it may have wanted records.
    pub fn may_match(&self, selection: &LogSelection) -> Result<bool, ReadError> {
        let (first, last) = self.times();
        if last < *selection.times.start()
            || first > *selection.times.end()
            || self.severity_max() < selection.severity_min
        {
            return Ok(false);
        }
        let Place::Block(segment, number) = &self.place else { return Ok(true) };
        if let Some(service) = &selection.service
            && segment.index.bounds(*number, Some(service)).is_none()
        {
            return Ok(false);
        }
        for group in selection.hashes() {
            let mut found = false;
            for hash in group {
                found = found || self.damage.pass(segment.index.block_may_contain(*number, hash))?;
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Calls `found` with time and number of severity of each wanted record.
    pub fn tally(&self, selection: &LogSelection, mut found: impl FnMut(u64, i32)) -> Result<(), ReadError> {
        if let (Place::Block(segment, number), true) = (&self.place, selection.attributes.is_empty()) {
            let start = number * crate::options::BLOCK_ROWS;
            let rows = start..start + self.records();
            let read = segment.times_and_severities(std::slice::from_ref(&rows), selection);
            self.damage.pass(read)?.into_iter().for_each(|(time, severity)| found(time, severity));
            return Ok(());
        }
        if let Place::Memory(held) = &self.place {
            let wanted = held.batch.logs().filter(|log| selection.matches(*log));
            wanted.for_each(|log| found(log.time_unix_nano(), log.severity_number()));
            return Ok(());
        }
        let batch = self.read(0..self.records(), selection, false)?;
        batch.logs().for_each(|log| found(log.time_unix_nano(), log.severity_number()));
        Ok(())
    }

    /// The wanted records among some rows. Without `fields`, what is not needed to tell time and severity may be missing.
    pub fn read(&self, rows: Range<usize>, selection: &LogSelection, fields: bool) -> Result<LogBatch, ReadError> {
        match &self.place {
            Place::Memory(held) => Ok(pick(&held.batch, rows, |log| selection.matches(log))),
            Place::Block(segment, number) => {
                let start = number * crate::options::BLOCK_ROWS;
                let rows = start + rows.start..start + rows.end;
                let read = segment.select(std::slice::from_ref(&rows), selection, fields);
                let batch = self.damage.pass(read)?;
                if batch.logs().all(|log| selection.matches(log)) {
                    return Ok(batch);
                }
                let count = batch.len();
                Ok(pick(&batch, 0..count, |log| selection.matches(log)))
            }
        }
    }
}

/// Some records of a batch.
pub(crate) fn pick(
    batch: &LogBatch,
    mut rows: impl Iterator<Item = usize>,
    wanted: impl Fn(LogRef<'_>) -> bool,
) -> LogBatch {
    let mut merger = LogMerger::default();
    let mut source = LogMerger::source(batch);
    rows.by_ref().filter(|&row| wanted(batch.log(row))).for_each(|row| merger.push(&mut source, batch, row));
    merger.finish()
}
