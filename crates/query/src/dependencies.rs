//! Who calls whom: parent and child spans of different services, counted over a range of time, each span once.
//!
//! Records of a trace lie in several parts, so parents are matched over all parts together: the ids of the spans of the parts that
//! overlap the range are held in memory and sorted; if those are too many, a share of the traces at a time. Parents that are
//! not among them are looked for in the other parts. Where records of one span disagree, the trace is loaded and the last one
//! counts. (A later record that lies in a part wholly outside of the range is not known of.)
//!
//! A server span that shares its client's id, as Zipkin's do, is called by that client.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::{SpanBatch, SpanId, SpanKind, SpanRow, StatusCode, TextId, TextTable, TraceId, text::hash_text};
use store::Projection;

use crate::contract::{Dependency, QueryError, TimeRange};
use crate::source::{Part, Source};
use crate::trace::Trace;

/// Spans whose ids are held at a time; 56 bytes each.
pub const SPANS_HELD_MAX: usize = 1 << 21;

/// Most times that the parts are gone through; together with [`SPANS_HELD_MAX`] the bound on the spans of a range.
pub const PASSES_MAX: usize = 16;

/// Most pairs of services that are counted.
pub const PAIRS_MAX: usize = 100_000;

/// The calls between services made by spans that start within a range, see
/// [`SpanStore::dependencies`](crate::contract::SpanStore::dependencies).
pub fn dependencies<S: Source>(source: &S, range: TimeRange) -> Result<Vec<Dependency>, QueryError> {
    dependencies_within(source, range, SPANS_HELD_MAX)
}

/// As [`dependencies`], holding at most about `held_max` spans.
pub fn dependencies_within<S: Source>(
    source: &S,
    range: TimeRange,
    held_max: usize,
) -> Result<Vec<Dependency>, QueryError> {
    let (inside, outside): (Vec<_>, Vec<_>) =
        source.parts().into_iter().partition(|part| range.overlaps(part.start_bounds()));
    let spans: usize = inside.iter().map(Part::span_count).sum();
    let passes = spans.div_ceil(held_max).max(1);
    if passes > PASSES_MAX {
        let what = "too many spans in the range";
        return Err(QueryError::TooLarge { what, found: spans, max: held_max * PASSES_MAX });
    }
    let mut calls = Calls { range, names: TextTable::default(), pairs: HashMap::new() };
    for pass in 0..passes {
        let share = Share { pass: pass as u64, passes: passes as u64 };
        calls.count_share(source, &inside, &outside, share)?;
    }
    Ok(calls.finish())
}

/// Which traces a pass looks at.
#[derive(Debug, Clone, Copy)]
struct Share {
    pass: u64,
    passes: u64,
}

impl Share {
    fn has(self, id: TraceId) -> bool {
        self.passes == 1 || hash_text(&id.0) % self.passes == self.pass
    }
}

/// A span as far as calls need it; ordered so that those of a trace and of an id lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    trace_id: TraceId,
    span_id: SpanId,
    kind: i32,
    parent_span_id: SpanId,
    service: TextId,
    in_range: bool,
    error: bool,
}

/// A child whose parent is not among the spans that are held: its service and whether it failed.
type Orphan = (TextId, bool);

struct Calls {
    range: TimeRange,
    /// The names of services.
    names: TextTable,
    /// (parent, child) → (calls, errors)
    pairs: HashMap<(TextId, TextId), (u64, u64)>,
}

impl Calls {
    fn count_share<S: Source>(
        &mut self,
        source: &S,
        inside: &[S::Part],
        outside: &[S::Part],
        share: Share,
    ) -> Result<(), QueryError> {
        let mut held = Vec::new();
        for part in inside {
            let batch = part.read(&Projection::default())?;
            self.hold(&batch, share, &mut held);
        }
        held.sort_unstable();
        held.dedup();
        let mut orphans: HashMap<(TraceId, SpanId), Vec<Orphan>> = HashMap::new();
        for trace in held.chunk_by(|a, b| a.trace_id == b.trace_id) {
            let disagree = |pair: &[Held]| pair[0].span_id == pair[1].span_id && pair[0].kind == pair[1].kind;
            if trace.windows(2).any(disagree) {
                self.count_loaded(source, trace[0].trace_id)?;
            } else {
                self.count_trace(trace, &mut orphans)?;
            }
        }
        if orphans.is_empty() { Ok(()) } else { self.find_parents(outside, &mut orphans) }
    }

    fn hold(&mut self, batch: &SpanBatch, share: Share, held: &mut Vec<Held>) {
        let services = self.services(batch);
        for row in batch.rows.iter().filter(|row| share.has(row.trace_id)) {
            held.push(self.held(row, &services));
        }
    }

    /// For each scope of a batch the number of its service's name.
    fn services(&mut self, batch: &SpanBatch) -> Vec<TextId> {
        let name = |scope: &model::Scope| batch.resources[scope.resource as usize].service_name;
        let mut number = |text| self.names.intern_hashed(batch.text.bytes(text), batch.text.hash(text));
        batch.scopes.iter().map(|scope| number(name(scope))).collect()
    }

    fn held(&self, row: &SpanRow, services: &[TextId]) -> Held {
        Held {
            trace_id: row.trace_id,
            span_id: row.span_id,
            kind: row.kind,
            parent_span_id: row.parent_span_id,
            service: services[row.scope as usize],
            in_range: self.range.contains(row.start_unix_nano),
            error: row.status_code == StatusCode::ERROR.0,
        }
    }

    /// Counts a trace of which the last records of spans must be told from earlier ones.
    fn count_loaded<S: Source>(&mut self, source: &S, id: TraceId) -> Result<(), QueryError> {
        let Some(trace) = Trace::merge(id, &source.trace(id)?) else {
            return Ok(());
        };
        let services = self.services(&trace.spans);
        let mut held: Vec<Held> = trace.spans.rows.iter().map(|row| self.held(row, &services)).collect();
        held.sort_unstable();
        self.count_trace(&held, &mut HashMap::new())
    }

    /// Counts the calls to spans of one trace, sorted; those whose parents are missing become orphans.
    fn count_trace(
        &mut self,
        trace: &[Held],
        orphans: &mut HashMap<(TraceId, SpanId), Vec<Orphan>>,
    ) -> Result<(), QueryError> {
        for child in trace.iter().filter(|span| span.in_range) {
            match caller(trace, child) {
                Some(parent) => self.add(parent.service, child.service, child.error)?,
                None if child.parent_span_id.is_zero() => {}
                None => {
                    let key = (child.trace_id, child.parent_span_id);
                    orphans.entry(key).or_default().push((child.service, child.error));
                }
            }
        }
        Ok(())
    }

    /// Finds parents in the parts outside of the range.
    fn find_parents<P: Part>(
        &mut self,
        outside: &[P],
        orphans: &mut HashMap<(TraceId, SpanId), Vec<Orphan>>,
    ) -> Result<(), QueryError> {
        let mut parents: BTreeMap<(TraceId, SpanId), ((bool, i32), TextId)> = BTreeMap::new();
        for part in outside {
            let batch = part.read(&Projection::default())?;
            let services = self.services(&batch);
            for row in batch.rows.iter().filter(|row| orphans.contains_key(&(row.trace_id, row.span_id))) {
                let found = (as_caller(row.kind), services[row.scope as usize]);
                let parent = parents.entry((row.trace_id, row.span_id)).or_insert(found);
                *parent = (*parent).max(found);
            }
        }
        for (key, (_, parent)) in parents {
            for (child, error) in orphans.remove(&key).unwrap_or_default() {
                self.add(parent, child, error)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, parent: TextId, child: TextId, error: bool) -> Result<(), QueryError> {
        if parent == child {
            return Ok(());
        }
        let (calls, errors) = self.pairs.entry((parent, child)).or_default();
        *calls += 1;
        *errors += u64::from(error);
        if self.pairs.len() > PAIRS_MAX {
            let what = "too many pairs of services in the range";
            return Err(QueryError::TooLarge { what, found: self.pairs.len(), max: PAIRS_MAX });
        }
        Ok(())
    }

    fn finish(self) -> Vec<Dependency> {
        let name = |text| self.names.str(text).to_owned();
        let named = self.pairs.iter().map(|(&(parent, child), &(calls, errors))| Dependency {
            parent: name(parent),
            child: name(child),
            calls,
            errors,
        });
        named.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The span that called `child`, if it is in `trace`: the client that shares its id, or its parent.
fn caller<'t>(trace: &'t [Held], child: &Held) -> Option<&'t Held> {
    let shared = with_id(trace, child.span_id).iter().find(|span| span.kind == SpanKind::CLIENT.0);
    if child.kind == SpanKind::SERVER.0 && shared.is_some() {
        return shared;
    }
    let parents = with_id(trace, child.parent_span_id);
    parents.iter().max_by_key(|span| as_caller(span.kind))
}

/// Which of several spans with one id calls: rather the one that was called, then whichever, but always the same.
fn as_caller(kind: i32) -> (bool, i32) {
    (kind != SpanKind::CLIENT.0, kind)
}

fn with_id(trace: &[Held], id: SpanId) -> &[Held] {
    let start = trace.partition_point(|span| span.span_id < id);
    let len = trace[start..].partition_point(|span| span.span_id == id);
    &trace[start..start + len]
}
