//! [`LocalStore`]: the answers of the store on this machine's disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Level, SpanKind, TraceId};
use store::Store;

use crate::contract::{
    COMPLETION_LIMIT_MAX, Capabilities, Dependency, KeyCount, KeyQuery, OperationCount, QueryError, Search, SearchPage,
    ServiceCount, SpanStore, TimeRange, ValueCount, ValueQuery,
};
use crate::links::TraceLinks;
use crate::trace::Trace;

/// The store on this machine's disk. Each question is answered from one snapshot.
#[derive(Debug, Clone)]
pub struct LocalStore {
    store: Arc<Store>,
}

impl LocalStore {
    /// Answers from `store`.
    pub fn new(store: Arc<Store>) -> Self {
        LocalStore { store }
    }
}

impl SpanStore for LocalStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { incoming_links: true, attribute_values: true, dependencies: true }
    }

    fn trace(&self, id: TraceId) -> Result<Option<Trace>, QueryError> {
        Ok(Trace::merge(id, &self.store.snapshot().trace(id)?))
    }

    fn search(&self, search: &Search) -> Result<SearchPage, QueryError> {
        crate::search::search(&self.store.snapshot(), search)
    }

    fn links(&self, id: TraceId) -> Result<TraceLinks, QueryError> {
        crate::links::links(&self.store.snapshot(), id)
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
        crate::values::values(&self.store.snapshot(), query)
    }

    fn dependencies(&self, range: TimeRange) -> Result<Vec<Dependency>, QueryError> {
        crate::dependencies::dependencies(&self.store.snapshot(), range)
    }
}

fn key_count(((key, level), mut types): ((String, Level), Vec<(u64, String)>)) -> KeyCount {
    types.sort_unstable_by(|a, b| b.cmp(a));
    let spans = types.iter().map(|(spans, _)| spans).sum();
    KeyCount { key, level, types: types.into_iter().map(|(_, name)| name).collect(), spans }
}
