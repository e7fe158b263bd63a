//! Log records: those that a selection means, newest first, by page; how many there are over time; those of a flow.
//!
//! A page is found part by part, the newest first, and ends as soon as no other part can hold a newer record than those that were
//! found. Order and cursor are the place of a record, which never changes, so that pages neither repeat nor skip anything while
//! records move from memory into segments.
//!
//! Deliberately absent: the trait [`crate::SpanStore`], which is about spans; another store would answer these questions in its own way.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use flow::Flow;
use model::log::{LogMerger, SEVERITIES};
use model::{LogBatch, LogPlace, LogRef, SpanId, TraceId};
use store::logs::words::Needle;
use store::{LogPart, LogSelection, Snapshot};

use crate::contract::QueryError;
use crate::local::LocalStore;
use crate::stop::Stop;

/// Records of a page at the most.
pub const LOGS_LIMIT_MAX: usize = 1_000;
/// Stretches of time that records are counted by at the most.
pub const BUCKETS_MAX: usize = 1_000;
/// Rows of a segment that are read at a time.
const CHUNK_ROWS: usize = 2048;
/// Records that are held beyond those of the page before they are sorted out.
const SPARE_RECORDS: usize = 4 * CHUNK_ROWS;
/// Message ids and business keys of a flow that are looked for in records without a trace.
const KEYS_MAX: usize = 64;
/// How long before and after a flow records that only share a key with it may have happened.
const KEY_MARGIN_NS: u64 = 60_000_000_000;
/// Keys under which spans have the id of a message.
const SPAN_MESSAGE_ID_KEYS: [&str; 2] = ["messaging.message.id", "messaging.message_id"];
/// Fields in which loggers write the id of a message.
const MESSAGE_ID_FIELDS: [&str; 7] =
    ["messaging.message.id", "message_id", "messageId", "message.id", "msg_id", "mdc.message_id", "MessageId"];

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct LogSearch {
    /// Which records.
    pub selection: LogSelection,
    /// At most so many.
    pub limit: usize,
    /// Only those older than this.
    pub before: Option<LogCursor>,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogCursor(pub LogPlace);

/// A page of records.
#[derive(Debug, Default)]
pub struct LogPage {
    /// The records, newest first.
    pub batch: LogBatch,
    /// Where the next page goes on, if there is one.
    pub next: Option<LogCursor>,
    /// Whether something damaged is missing.
    pub is_partial: bool,
}

/// Records over time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogHistogram {
    /// Where the first stretch begins, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// How long each stretch is.
    pub step_ns: u64,
    /// For each stretch, how many records of each of [`SEVERITIES`].
    pub counts: Vec<[u64; SEVERITIES.len()]>,
}

/// Why a record belongs to a flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogEvidence {
    /// It has the id of a trace of the flow.
    TraceId,
    /// It has no trace, and says the id of one of the flow's messages.
    MessageId(String),
    /// It has no trace, and has the value of one of the business keys of the flow's spans.
    BusinessKey(String, String),
}

impl LogEvidence {
    /// The name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            LogEvidence::TraceId => "trace_id",
            LogEvidence::MessageId(_) => "message_id",
            LogEvidence::BusinessKey(..) => "business_key",
        }
    }
}

/// The records of a flow.
#[derive(Debug, Default)]
pub struct FlowLogs {
    /// The page.
    pub page: LogPage,
    /// Why each of its records belongs to the flow.
    pub evidence: Vec<LogEvidence>,
}

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogPlace { time_unix_nano, received_unix_nano, number } = self.0;
        write!(f, "{time_unix_nano}.{received_unix_nano}.{number}")
    }
}

impl FromStr for LogCursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let place = match parts[..] {
            [time, received, number] => {
                let place = (time.parse(), received.parse(), number.parse());
                if let (Ok(time_unix_nano), Ok(received_unix_nano), Ok(number)) = place {
                    Some(LogPlace { time_unix_nano, received_unix_nano, number })
                } else {
                    None
                }
            }
            _ => None,
        };
        place.map(LogCursor).ok_or_else(|| format!("{text:?} is not a cursor; pass `next_cursor` as it came"))
    }
}

impl LocalStore {
    /// A page of log records.
    pub fn logs(&self, search: &LogSearch) -> Result<LogPage, QueryError> {
        let (snapshot, stop) = self.logs_now();
        let mut found = Found::new(search);
        find(&snapshot, stop, &mut found)?;
        Ok(LogPage { is_partial: !snapshot.damage().is_empty(), ..found.page() })
    }

    /// How many records there are over time, in stretches of `step_ns`, or in about `buckets` of them.
    pub fn log_histogram(
        &self,
        selection: &LogSelection,
        step_ns: Option<u64>,
        buckets: usize,
    ) -> Result<LogHistogram, QueryError> {
        let (snapshot, stop) = self.logs_now();
        histogram(&snapshot, stop, selection, step_ns, buckets)
    }

    /// Services that have log records, each with how many.
    pub fn log_services(&self) -> Result<BTreeMap<String, u64>, QueryError> {
        Ok(self.logs_now().0.log_services()?)
    }

    /// The records of a flow: those of its traces, and those without a trace that share a message id or business key with it.
    pub fn flow_logs(&self, flow: &Flow, correlate: &[String], search: &LogSearch) -> Result<FlowLogs, QueryError> {
        let (snapshot, stop) = self.logs_now();
        flow_logs(&snapshot, stop, flow, correlate, search)
    }
}

fn find(snapshot: &Snapshot, stop: &Stop, found: &mut Found<'_>) -> Result<(), QueryError> {
    let selection = &found.search.selection;
    if let Some(id) = selection.trace_id {
        stop.check()?;
        snapshot.logs_of_trace(id, selection)?.into_iter().for_each(|batch| found.add(batch));
        return Ok(());
    }
    let mut parts = snapshot.log_parts();
    parts.sort_by_key(|part| std::cmp::Reverse(part.times().1));
    for part in parts {
        if found.is_full_without(part.times().1) {
            break;
        }
        stop.check()?;
        let selection = found.narrowed();
        if part.may_match(&selection)? {
            read_part(&part, stop, found)?;
        }
    }
    Ok(())
}

/// Reads a part, its newest rows first, as far as it can hold what is looked for.
fn read_part(part: &LogPart, stop: &Stop, found: &mut Found<'_>) -> Result<(), QueryError> {
    let records = part.records();
    let chunk = if part.is_ordered() { CHUNK_ROWS } else { records };
    let mut end = records;
    while end > 0 {
        stop.check()?;
        // Chunks end where pages do.
        let start = (end - 1) / chunk * chunk;
        let batch = part.read(start..end, &found.narrowed(), true)?;
        let oldest = batch.logs().map(LogRef::time_unix_nano).min();
        found.add(batch);
        if oldest.is_some_and(|oldest| part.is_ordered() && found.is_full_without(oldest)) {
            break;
        }
        end = start;
    }
    Ok(())
}

/// The newest records found so far.
struct Found<'s> {
    search: &'s LogSearch,
    batches: Vec<LogBatch>,
    /// Place, batch and row of each, newest first.
    places: Vec<(LogPlace, usize, usize)>,
    held: usize,
}

impl<'s> Found<'s> {
    fn new(search: &'s LogSearch) -> Self {
        Found { search, batches: Vec::new(), places: Vec::new(), held: 0 }
    }

    /// One more than a page has, to know whether there is a next one.
    fn wanted(&self) -> usize {
        self.search.limit + 1
    }

    /// Whether there are enough, and none from `newest` on can be among them.
    fn is_full_without(&self, newest: u64) -> bool {
        self.places.len() >= self.wanted() && self.places.last().is_some_and(|last| last.0.time_unix_nano > newest)
    }

    /// The selection, for times that can still be among the newest.
    fn narrowed(&self) -> LogSelection {
        let mut selection = self.search.selection.clone();
        let (mut first, mut last) = selection.times.into_inner();
        if let Some(LogCursor(before)) = self.search.before {
            last = last.min(before.time_unix_nano);
        }
        if let Some(oldest) = self.places.get(self.search.limit) {
            first = first.max(oldest.0.time_unix_nano);
        }
        selection.times = first..=last;
        selection
    }

    fn add(&mut self, batch: LogBatch) {
        let number = self.batches.len();
        let before = self.search.before.map(|cursor| cursor.0);
        let is_before = |place: &LogPlace| before.is_none_or(|before| *place < before);
        let places = batch.logs().map(|log| (log.place(), number, log.index)).filter(|(place, ..)| is_before(place));
        self.places.extend(places);
        self.held += batch.len();
        self.batches.push(batch);
        self.places.sort_unstable_by(|a, b| b.cmp(a));
        self.places.truncate(self.wanted());
        if self.held > self.wanted() + SPARE_RECORDS {
            self.sort_out();
        }
    }

    /// Lets go of records that are not among the newest.
    fn sort_out(&mut self) {
        let kept = self.merged(0..self.places.len());
        self.held = kept.len();
        self.places = kept.logs().map(|log| (log.place(), 0, log.index)).collect();
        self.batches = vec![kept];
    }

    fn merged(&self, range: Range<usize>) -> LogBatch {
        let mut merger = LogMerger::default();
        let mut sources: Vec<_> = self.batches.iter().map(LogMerger::source).collect();
        for &(_, batch, row) in &self.places[range] {
            merger.push(&mut sources[batch], &self.batches[batch], row);
        }
        merger.finish()
    }

    fn page(&self) -> LogPage {
        let count = self.places.len().min(self.search.limit);
        let next = (self.places.len() > count).then(|| LogCursor(self.places[count - 1].0));
        LogPage { batch: self.merged(0..count), next, is_partial: false }
    }
}

fn histogram(
    snapshot: &Snapshot,
    stop: &Stop,
    selection: &LogSelection,
    step_ns: Option<u64>,
    buckets: usize,
) -> Result<LogHistogram, QueryError> {
    let parts: Vec<LogPart> = snapshot.log_parts();
    let (first, last) = (*selection.times.start(), *selection.times.end());
    let within = parts.iter().map(LogPart::times).filter(|(from, to)| *to >= first && *from <= last);
    let bounds = within.fold(None, |bounds: Option<(u64, u64)>, (from, to)| {
        let (least, most) = bounds.unwrap_or((u64::MAX, 0));
        Some((least.min(from), most.max(to)))
    });
    let Some((from, to)) = bounds.map(|(from, to)| (from.max(first), to.min(last))) else {
        return Ok(LogHistogram::default());
    };
    let span = to.saturating_sub(from).saturating_add(1);
    let step_ns = step_ns.unwrap_or_else(|| round_step(span / buckets as u64 + 1)).max(span / BUCKETS_MAX as u64 + 1);
    let start_unix_nano = from / step_ns * step_ns;
    let count = ((to - start_unix_nano) / step_ns + 1) as usize;
    let mut histogram = LogHistogram { start_unix_nano, step_ns, counts: vec![[0; SEVERITIES.len()]; count] };
    for part in parts {
        stop.check()?;
        if part.may_match(selection)? {
            part.tally(selection, |time, severity| {
                let bucket = time.saturating_sub(start_unix_nano) / step_ns;
                if let Some(counts) = histogram.counts.get_mut(bucket as usize) {
                    counts[SEVERITIES.iter().rposition(|(_, lowest)| severity >= *lowest).unwrap_or(0)] += 1;
                }
            })?;
        }
    }
    Ok(histogram)
}

/// The next step that people read easily.
fn round_step(least_ns: u64) -> u64 {
    const STEPS_S: [u64; 14] = [1, 2, 5, 10, 15, 30, 60, 300, 900, 3_600, 10_800, 43_200, 86_400, 604_800];
    let second = 1_000_000_000;
    STEPS_S.iter().map(|step| step * second).find(|&step| step >= least_ns).unwrap_or(least_ns)
}

/// Something that records without a trace are looked for by.
struct Key {
    selection: LogSelection,
    evidence: LogEvidence,
}

fn flow_logs(
    snapshot: &Snapshot,
    stop: &Stop,
    flow: &Flow,
    correlate: &[String],
    search: &LogSearch,
) -> Result<FlowLogs, QueryError> {
    let spans: HashSet<(TraceId, SpanId)> = flow
        .spans()
        .into_iter()
        .map(|node| flow.cone.span(node))
        .map(|span| (span.trace_id(), span.span_id()))
        .collect();
    let mut found = Found::new(search);
    let mut evidence: BTreeMap<LogPlace, LogEvidence> = BTreeMap::new();
    for trace in &flow.traces {
        stop.check()?;
        for batch in snapshot.logs_of_trace(trace.trace_id, &search.selection)? {
            // Of a trace that also served other flows, only what its spans in this flow said.
            let is_partly = matches!(trace.relation, flow::summary::Relation::Batch);
            let is_of_flow = |log: LogRef<'_>| {
                let known = log.trace_id().zip(log.span_id()).map(|ids| spans.contains(&ids));
                known.unwrap_or(!is_partly) || !is_partly
            };
            found.add(only(&batch, is_of_flow));
        }
    }
    for Key { selection, evidence: because } in keys_of(flow, correlate, &search.selection) {
        stop.check()?;
        for part in snapshot.log_parts() {
            if !part.may_match(&selection)? {
                continue;
            }
            let batch = part.read(0..part.records(), &selection, true)?;
            let batch = only(&batch, |log| log.trace_id().is_none() && !evidence.contains_key(&log.place()));
            evidence.extend(batch.logs().map(|log| (log.place(), because.clone())));
            found.add(batch);
        }
    }
    let page = LogPage { is_partial: !snapshot.damage().is_empty(), ..found.page() };
    let why = |log: LogRef<'_>| evidence.get(&log.place()).cloned().unwrap_or(LogEvidence::TraceId);
    let evidence = page.batch.logs().map(why).collect();
    Ok(FlowLogs { page, evidence })
}

/// The records of a batch that are wanted.
fn only(batch: &LogBatch, wanted: impl Fn(LogRef<'_>) -> bool) -> LogBatch {
    let mut merger = LogMerger::default();
    let mut source = LogMerger::source(batch);
    batch.logs().filter(|log| wanted(*log)).for_each(|log| merger.push(&mut source, batch, log.index));
    merger.finish()
}

/// What the messages and spans of a flow can be told by in records that have no trace.
fn keys_of(flow: &Flow, correlate: &[String], asked: &LogSelection) -> Vec<Key> {
    let first = flow.start_unix_nano.saturating_sub(KEY_MARGIN_NS).max(*asked.times.start());
    let last = flow.last_effect_unix_nano.saturating_add(KEY_MARGIN_NS).min(*asked.times.end());
    let base = LogSelection { times: first..=last, ..asked.clone() };
    let spans = || flow.spans().into_iter().map(|node| flow.cone.span(node));
    let mut ids: BTreeSet<String> = flow.hops.iter().filter_map(|hop| hop.message_id.clone()).collect();
    for span in spans() {
        let named = SPAN_MESSAGE_ID_KEYS.iter().filter_map(|key| span.attribute(key));
        ids.extend(named.map(|id| id.comparison_text().into_owned()));
    }
    let mut keys = Vec::new();
    for id in ids.into_iter().take(KEYS_MAX) {
        let evidence = LogEvidence::MessageId(id.clone());
        for field in MESSAGE_ID_FIELDS {
            let mut selection = base.clone();
            selection.attributes.push((field.to_owned(), id.clone()));
            keys.push(Key { selection, evidence: evidence.clone() });
        }
        if let Some(needle) = Needle::new(&id).filter(|needle| needle.text().len() >= MESSAGE_ID_TEXT_BYTES_MIN) {
            let mut selection = base.clone();
            selection.needles.push(needle);
            keys.push(Key { selection, evidence });
        }
    }
    let mut values: BTreeSet<(String, String)> = BTreeSet::new();
    for span in spans() {
        let named = correlate.iter().filter_map(|key| span.attribute(key).map(|value| (key, value)));
        values.extend(named.map(|(key, value)| (key.clone(), value.comparison_text().into_owned())));
    }
    for (key, value) in values.into_iter().take(KEYS_MAX) {
        let mut selection = base.clone();
        selection.attributes.push((key.clone(), value.clone()));
        keys.push(Key { selection, evidence: LogEvidence::BusinessKey(key, value) });
    }
    keys
}

/// Shorter ids of messages, such as counters, are looked for in fields only: in texts they would be found everywhere.
const MESSAGE_ID_TEXT_BYTES_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        // Guarantees that the place where a page ended survives being a text, and that other texts are refused.
        let place = LogPlace { time_unix_nano: u64::MAX, received_unix_nano: 7, number: 3 };
        assert_eq!(LogCursor(place).to_string().parse(), Ok(LogCursor(place)));
        for text in ["", "1.2", "1.2.3.4", "a.b.c", "1.2.-3"] {
            assert!(text.parse::<LogCursor>().is_err(), "{text}");
        }
    }
}
