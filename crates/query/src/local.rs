//! [`LocalStore`]: the answers of the store on this machine's disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::Flow;
use model::{Level, SpanKind, TraceId};
use store::{ReadError, Snapshot, Store};

use crate::contract::{
    COMPLETION_LIMIT_MAX, Capabilities, Dependency, KeyCount, KeyQuery, OperationCount, PAGE_BYTES_MAX, QueryError,
    Search, SearchPage, ServiceCount, SpanStore, TimeRange, ValueCount, ValueQuery,
};
use crate::dependencies::{SPANS_HELD_MAX, dependencies_within};
use crate::explain::{ExplainQuery, Explanation};
use crate::flow::{FlowLimits, FlowQuery};
use crate::links::TraceLinks;
use crate::pairs::{Found, LookUp};
use crate::source::Source;
use crate::spread::{HeatMap, HeatQuery};
use crate::stop::{Stop, Stoppable};
use crate::trace::Trace;

/// How much memory an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A page of a search ends early at this, and a flow is cut off.
    pub page_bytes_max: usize,
    /// Spans whose ids are held at a time while calls between services are counted; see [`crate::dependencies`].
    pub spans_held_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { page_bytes_max: PAGE_BYTES_MAX, spans_held_max: SPANS_HELD_MAX }
    }
}

/// The store on this machine's disk. Each question is answered from one snapshot.
#[derive(Debug, Clone)]
pub struct LocalStore {
    store: Arc<Store>,
    bounds: Bounds,
    stop: Stop,
}

impl LocalStore {
    /// Answers from `store`.
    pub fn new(store: Arc<Store>) -> Self {
        LocalStore::within(store, Bounds::default())
    }

    /// Answers from `store` within less memory.
    pub fn within(store: Arc<Store>, bounds: Bounds) -> Self {
        LocalStore { store, bounds, stop: Stop::default() }
    }

    /// The same store for a question that `stop` calls off.
    pub fn until(&self, stop: Stop) -> Self {
        LocalStore { stop, ..self.clone() }
    }

    /// What is stored at this instant, for questions about log records.
    pub(crate) fn logs_now(&self) -> (Snapshot, &Stop) {
        (self.store.snapshot(), &self.stop)
    }

    /// Answers from one snapshot, and says whether some of what was read of it is damaged.
    fn answer<T>(
        &self,
        question: impl FnOnce(&Stoppable<Snapshot>) -> Result<T, QueryError>,
    ) -> Result<(T, Option<ReadError>), QueryError> {
        let snapshot = self.store.snapshot();
        let answer = question(&Stoppable::new(snapshot.clone(), self.stop.clone()))?;
        Ok((answer, snapshot.damage().pop()))
    }

    /// As [`LocalStore::answer`], for answers that cannot say that something is missing.
    fn whole<T>(&self, question: impl FnOnce(&Stoppable<Snapshot>) -> Result<T, QueryError>) -> Result<T, QueryError> {
        match self.answer(question)? {
            (_, Some(damage)) => Err(damage.into()),
            (answer, None) => Ok(answer),
        }
    }
}

impl SpanStore for LocalStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { incoming_links: true, attribute_values: true, dependencies: true }
    }

    fn trace(&self, id: TraceId) -> Result<Option<Trace>, QueryError> {
        match self.answer(|source| Ok(Trace::of(id, source.trace(id)?)))? {
            (None, Some(damage)) => Err(damage.into()),
            (trace, damage) => Ok(trace.map(|trace| Trace { is_partial: damage.is_some(), ..trace })),
        }
    }

    fn search(&self, search: &Search) -> Result<SearchPage, QueryError> {
        let search = |source: &_| crate::search::search_within(source, search, self.bounds.page_bytes_max);
        let (page, damage) = self.answer(search)?;
        Ok(SearchPage { is_partial: damage.is_some(), ..page })
    }

    fn links(&self, id: TraceId) -> Result<TraceLinks, QueryError> {
        self.whole(|source| crate::links::links(source, id))
    }

    fn flow(&self, query: &FlowQuery) -> Result<Option<Flow>, QueryError> {
        let bytes_max = query.limits.bytes_max.min(self.bounds.page_bytes_max);
        let limits = FlowLimits { bytes_max, ..query.limits };
        let query = FlowQuery { limits, ..query.clone() };
        self.whole(|source| crate::flow::flow(source, &query))
    }

    fn spans_with(&self, look_ups: &[LookUp], found_max: usize) -> Result<Vec<Found>, QueryError> {
        self.whole(|source| crate::pairs::spans_with(source, look_ups, found_max))
    }

    fn services(&self) -> Result<Vec<ServiceCount>, QueryError> {
        let services = self.store.snapshot().catalog().services;
        Ok(services.into_iter().map(|(name, spans)| ServiceCount { name, spans }).collect())
    }

    fn operations(&self, service: &str, kind: Option<SpanKind>) -> Result<Vec<OperationCount>, QueryError> {
        let operations = self.store.snapshot().catalog().operations.into_iter();
        let wanted = operations
            .filter(|(operation, _)| operation.service == service && kind.is_none_or(|kind| kind.0 == operation.kind));
        let named = wanted.map(|(operation, spans)| OperationCount {
            name: operation.name,
            kind: SpanKind(operation.kind),
            spans,
        });
        Ok(named.collect())
    }

    fn attribute_keys(&self, query: &KeyQuery) -> Result<Vec<KeyCount>, QueryError> {
        let mut types: BTreeMap<(String, Level), Vec<(u64, String)>> = BTreeMap::new();
        for (key, spans) in self.store.snapshot().catalog().keys {
            let wanted = query.level.is_none_or(|level| level == key.level) && key.key.starts_with(&query.prefix);
            if wanted {
                types.entry((key.key, key.level)).or_default().push((spans, key.type_name));
            }
        }
        let mut keys: Vec<_> = types.into_iter().map(key_count).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.spans));
        keys.truncate(query.limit.min(COMPLETION_LIMIT_MAX));
        Ok(keys)
    }

    fn attribute_values(&self, query: &ValueQuery) -> Result<Vec<ValueCount>, QueryError> {
        self.whole(|source| crate::values::values(source, query))
    }

    fn heat_map(&self, query: &HeatQuery) -> Result<HeatMap, QueryError> {
        self.whole(|source| crate::spread::heat_map(source, query))
    }

    fn explain(&self, query: &ExplainQuery) -> Result<Explanation, QueryError> {
        self.whole(|source| crate::explain::explain(source, query))
    }

    fn dependencies(&self, range: TimeRange) -> Result<Vec<Dependency>, QueryError> {
        self.whole(|source| dependencies_within(source, range, self.bounds.spans_held_max))
    }
}

fn key_count(((key, level), mut types): ((String, Level), Vec<(u64, String)>)) -> KeyCount {
    types.sort_unstable_by(|a, b| b.cmp(a));
    let spans = types.iter().map(|(spans, _)| spans).sum();
    KeyCount { key, level, types: types.into_iter().map(|(_, name)| name).collect(), spans }
}
