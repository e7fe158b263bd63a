//! Search: the next page of traces below a cursor, exact, reading as little as it can.
//!
//! Traces are ordered by (start of the newest matching span, trace id), newest first. Parts wait in order of the latest key they
//! can hold, candidates (traces of which a record matched) in order of theirs. In turn,
//!
//! * the best candidate is settled once no waiting part can hold a better key, together with those that come after it (neighbours lie in
//!   the same pages): its trace is loaded whole, its duplicates are removed, and the filter decides again on what is left. It becomes a hit if its key holds, waits again if its key turned out to be
//!   lower, and is dropped if nothing matches any more or its key belongs to an earlier page;
//! * otherwise the best part is skipped, by its bounds and the pairs it cannot hold, or read: with the filter narrowed to what it can
//!   hold, and without the rows that are known to lack something.
//!
//! This is exact because the true key of a trace is the key of one of its matching records, so no trace is settled too late or
//! with too low a key; and it stops at the limit, having read only parts that could hold something newer than the last hit.
//! Memory: a part leaves at most `2 * keep` candidates and, if it had more, waits again for the rest.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::ops::RangeInclusive;

use model::{SpanBatch, TraceId};
use store::Selection;

use crate::contract::{PAGE_BYTES_MAX, QueryError, SEARCH_LIMIT_MAX, Search, SearchPage, TraceHit};
use crate::cursor::Cursor;
use crate::filter::{Filter, Needed};
use crate::source::{Part, Source};
use crate::trace::Trace;

/// Candidates that a part leaves at least, however small the page.
const CANDIDATES_MIN: usize = 256;
/// Candidates that are settled at once at the most: neighbours share the pages they are stored in.
const SETTLED_AT_ONCE: usize = 64;

/// The page of traces that a search asks for.
pub fn search<S: Source>(source: &S, search: &Search) -> Result<SearchPage, QueryError> {
    search_within(source, search, PAGE_BYTES_MAX)
}

/// As [`search`], for a page that ends early once its traces take `page_bytes_max`.
pub fn search_within<S: Source>(source: &S, search: &Search, page_bytes_max: usize) -> Result<SearchPage, QueryError> {
    if search.limit == 0 || search.limit > SEARCH_LIMIT_MAX {
        return Err(QueryError::Limit { limit: search.limit });
    }
    let mut run = Run::new(source, search, page_bytes_max);
    match search.filter.trace_ids() {
        Some(ids) => run.propose(ids)?,
        None => run.queue_parts(),
    }
    run.page()
}

/// A trace's place, or a bound below which places lie. Wide enough for the instant after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    start: u128,
    trace_id: TraceId,
}

impl Key {
    /// The bound below which everything earlier than `start` lies.
    fn before(start: u128) -> Key {
        Key { start, trace_id: TraceId::ZERO }
    }
}

/// A part that waits, with the bound below which what it may still hold lies.
struct Waiting<P> {
    below: Key,
    part: P,
}

/// A trace that may be next.
struct Candidate {
    key: Key,
    /// The trace, once it is certain that this is its key.
    hit: Option<TraceHit>,
}

struct Run<'s, S: Source> {
    source: &'s S,
    search: &'s Search,
    needed: Needed,
    durations: RangeInclusive<u64>,
    /// Keys of this page are below this.
    below: Key,
    parts: BinaryHeap<Waiting<S::Part>>,
    candidates: BinaryHeap<Candidate>,
    /// Traces that were loaded.
    settled: HashSet<TraceId>,
    page: SearchPage,
    page_bytes: usize,
    page_bytes_max: usize,
}

impl<'s, S: Source> Run<'s, S> {
    fn new(source: &'s S, search: &'s Search, page_bytes_max: usize) -> Self {
        let cursor =
            search.cursor.map(|cursor| Key { start: cursor.start_unix_nano.into(), trace_id: cursor.trace_id });
        let end = Key::before(search.range.end_unix_nano.map_or(u128::from(u64::MAX) + 1, u128::from));
        Run {
            source,
            search,
            needed: search.filter.needed(),
            durations: search.filter.duration_bounds(),
            below: cursor.map_or(end, |cursor| cursor.min(end)),
            parts: BinaryHeap::new(),
            candidates: BinaryHeap::new(),
            settled: HashSet::new(),
            page: SearchPage::default(),
            page_bytes: 0,
            page_bytes_max,
        }
    }

    fn queue_parts(&mut self) {
        let (start, durations) = (self.search.range.start_unix_nano, self.durations.clone());
        let last = u64::try_from(self.below.start).unwrap_or(u64::MAX);
        for part in self.source.parts_of(&(start..=last), self.search.filter.required_service()) {
            let Some(((first, last), (shortest, longest))) = self.bounds(&part) else { continue };
            let below = self.below.min(Key::before(u128::from(last) + 1));
            let in_time = last >= start && Key::before(first.into()) < below;
            if in_time && *durations.start() <= longest && shortest <= *durations.end() {
                self.parts.push(Waiting { below, part });
            }
        }
    }

    /// The starts and durations that a matching span of a part can have; nothing if none can match.
    fn bounds(&self, part: &S::Part) -> Option<((u64, u64), (u64, u64))> {
        let Some(service) = self.search.filter.required_service() else {
            return Some((part.start_bounds(), part.duration_bounds()));
        };
        let bounds = part.service_bounds(service)?;
        Some((bounds.starts, bounds.durations))
    }

    /// What the filter comes to for a part, by the pairs it cannot hold; nothing if it cannot hold a match.
    fn narrowed(&self, part: &S::Part) -> Result<Option<Filter>, QueryError> {
        let service = self.search.filter.required_service();
        let has_errors = service.map(|service| part.service_bounds(service).is_some_and(|bounds| bounds.errors > 0));
        let may_contain = |hash| part.may_contain(hash);
        if !self.needed.is_possible(has_errors, &may_contain)? {
            return Ok(None);
        }
        self.search.filter.narrowed(has_errors, &may_contain, &|level, key| part.may_have_key(level, key))
    }

    /// What spans of this page have, of those below a bound that a filter means.
    fn selection(&self, filter: &Filter, below: Key) -> Selection {
        let last = u64::try_from(below.start).unwrap_or(u64::MAX);
        Selection { starts: self.search.range.start_unix_nano..=last, ..filter.selection() }
    }

    /// Makes candidates of traces that are known by their ids.
    fn propose(&mut self, ids: Vec<TraceId>) -> Result<(), QueryError> {
        for id in ids {
            if self.settled.insert(id) {
                let records = self.source.trace(id)?;
                self.candidates.extend(self.certain(id, records));
            }
        }
        Ok(())
    }

    fn page(mut self) -> Result<SearchPage, QueryError> {
        while self.page.hits.len() < self.search.limit && self.page_bytes < self.page_bytes_max {
            let best_part = self.parts.peek().map(|waiting| waiting.below);
            match self.candidates.peek() {
                Some(best) if best_part.is_none_or(|below| best.key >= below) => self.settle()?,
                _ if best_part.is_some() => self.scan()?,
                _ => return Ok(SearchPage { next: None, ..self.page }),
            }
        }
        self.candidates.retain(|candidate| candidate.hit.is_some() || !self.settled.contains(&candidate.key.trace_id));
        if self.candidates.is_empty() && self.parts.is_empty() {
            self.page.next = None;
        }
        Ok(self.page)
    }

    /// Accepts the best candidate if it is certain; decides about it, and others that will be next, if it is not.
    fn settle(&mut self) -> Result<(), QueryError> {
        let Some(candidate) = self.candidates.pop() else {
            return Ok(());
        };
        if let Some(hit) = candidate.hit {
            self.accept(candidate.key, hit);
            return Ok(());
        }
        let mut unsure = Vec::new();
        let mut sure = Vec::new();
        let mut next = Some(candidate);
        while let Some(candidate) = next {
            if candidate.hit.is_some() {
                sure.push(candidate);
            } else if self.settled.insert(candidate.key.trace_id) {
                unsure.push(candidate);
            }
            next = if self.is_filled_by(&unsure, &sure) { None } else { self.pop_next() };
        }
        self.candidates.extend(sure);
        self.load_all(&unsure)
    }

    /// Whether no more candidates need be settled now.
    fn is_filled_by(&self, unsure: &[Candidate], sure: &[Candidate]) -> bool {
        unsure.len() >= SETTLED_AT_ONCE || self.page.hits.len() + unsure.len() + sure.len() >= self.search.limit
    }

    /// The best candidate, if no part that waits can hold a better key.
    fn pop_next(&mut self) -> Option<Candidate> {
        let best_part = self.parts.peek().map(|waiting| waiting.below);
        let is_next = |best: &Candidate| best_part.is_none_or(|below| best.key >= below);
        if self.candidates.peek().is_some_and(is_next) { self.candidates.pop() } else { None }
    }

    /// Loads the traces of candidates, as many at once as the source likes; those left over wait again.
    fn load_all(&mut self, unsure: &[Candidate]) -> Result<(), QueryError> {
        let ids: Vec<TraceId> = unsure.iter().map(|candidate| candidate.key.trace_id).collect();
        let traces = if ids.is_empty() { Vec::new() } else { self.source.traces(&ids)? };
        for left in &unsure[traces.len()..] {
            self.settled.remove(&left.key.trace_id);
            self.candidates.push(Candidate { key: left.key, hit: None });
        }
        for (candidate, records) in unsure.iter().zip(traces) {
            if let Some(mut certain) = self.certain(candidate.key.trace_id, records) {
                // Only a span that arrived since the search began can make it higher; pages must not go upwards for it.
                certain.key = certain.key.min(candidate.key);
                self.candidates.push(certain);
            }
        }
        Ok(())
    }

    /// A certain candidate out of a trace's records, unless nothing matches or it belongs to an earlier page.
    fn certain(&self, id: TraceId, records: Vec<SpanBatch>) -> Option<Candidate> {
        let trace = Trace::of(id, records)?;
        let matched = trace.matching(&self.search.filter, self.search.range);
        let start = matched.iter().map(|&row| trace.spans.rows[row].start_unix_nano).max()?;
        let key = Key { start: start.into(), trace_id: id };
        (key < self.below).then_some(Candidate { key, hit: Some(TraceHit { trace, matched }) })
    }

    fn accept(&mut self, key: Key, hit: TraceHit) {
        self.page_bytes += hit.trace.spans.heap_bytes();
        self.page.hits.push(hit);
        self.page.next = Some(Cursor { start_unix_nano: key.start as u64, trace_id: key.trace_id });
    }

    /// Skips or reads the best part.
    fn scan(&mut self) -> Result<(), QueryError> {
        let Some(Waiting { below, part }) = self.parts.pop() else {
            return Ok(());
        };
        let Some(filter) = self.narrowed(&part)? else {
            return Ok(());
        };
        let batch = part.read_some(&filter.projection(), &self.selection(&filter, below))?;
        let mut best = Best::new(self.search.limit.max(CANDIDATES_MIN));
        for row in filter.bind(&batch).rows().map(|row| &batch.rows[row]) {
            let key = Key { start: row.start_unix_nano.into(), trace_id: row.trace_id };
            if key < below && row.start_unix_nano >= self.search.range.start_unix_nano {
                best.offer(key);
            }
        }
        let unsettled = best.keys().filter(|key| !self.settled.contains(&key.trace_id));
        self.candidates.extend(unsettled.map(|key| Candidate { key, hit: None }));
        if let Some(below) = best.floor {
            self.parts.push(Waiting { below, part });
        }
        Ok(())
    }
}

/// The best key of each of the best traces.
struct Best {
    keep: usize,
    starts: HashMap<TraceId, u128>,
    /// Keys below this were left out.
    floor: Option<Key>,
}

impl Best {
    fn new(keep: usize) -> Self {
        Best { keep, starts: HashMap::new(), floor: None }
    }

    fn offer(&mut self, key: Key) {
        if self.floor.is_some_and(|floor| key < floor) {
            return;
        }
        let start = self.starts.entry(key.trace_id).or_insert(key.start);
        *start = key.start.max(*start);
        if self.starts.len() >= 2 * self.keep {
            self.shrink();
        }
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        self.starts.iter().map(|(&trace_id, &start)| Key { start, trace_id })
    }

    fn shrink(&mut self) {
        let mut keys: Vec<Key> = self.keys().collect();
        let (_, &mut floor, _) = keys.select_nth_unstable_by(self.keep - 1, |a, b| b.cmp(a));
        self.starts.retain(|&trace_id, &mut start| Key { start, trace_id } >= floor);
        self.floor = Some(floor);
    }
}

impl<P> Ord for Waiting<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.below.cmp(&other.below)
    }
}

impl<P> PartialOrd for Waiting<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> PartialEq for Waiting<P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<P> Eq for Waiting<P> {}

impl Ord for Candidate {
    /// Of equal keys the certain one first.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.key, self.hit.is_some()).cmp(&(other.key, other.hit.is_some()))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}
