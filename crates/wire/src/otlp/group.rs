//! Spans under their scopes under their resources, as OTLP nests them.

use std::collections::HashMap;

use model::SpanRef;

/// Spans of one resource.
pub(super) struct ResourceGroup<'a> {
    /// Any span of it, to read the resource from.
    pub(super) any: SpanRef<'a>,
    pub(super) scopes: Vec<ScopeGroup<'a>>,
}

/// Spans of one scope of a resource.
pub(super) struct ScopeGroup<'a> {
    /// Any span of it, to read the scope from.
    pub(super) any: SpanRef<'a>,
    pub(super) spans: Vec<SpanRef<'a>>,
}

/// Groups spans; groups, and spans in a group, come in the order of first appearance.
pub(super) fn group<'a>(spans: impl Iterator<Item = SpanRef<'a>>) -> Vec<ResourceGroup<'a>> {
    let mut groups: Vec<ResourceGroup<'a>> = Vec::new();
    let mut resources: HashMap<(usize, u32), usize> = HashMap::new();
    let mut scopes: HashMap<(usize, u32), (usize, usize)> = HashMap::new();
    for span in spans {
        // Batches are told apart by where they lie: numbers of scopes mean nothing across batches.
        let batch = std::ptr::from_ref(span.batch) as usize;
        let &mut (resource, scope) = scopes.entry((batch, span.row().scope)).or_insert_with(|| {
            let resource = *resources.entry((batch, span.scope().resource)).or_insert_with(|| {
                groups.push(ResourceGroup { any: span, scopes: Vec::new() });
                groups.len() - 1
            });
            let scopes = &mut groups[resource].scopes;
            scopes.push(ScopeGroup { any: span, spans: Vec::new() });
            (resource, scopes.len() - 1)
        });
        groups[resource].scopes[scope].spans.push(span);
    }
    groups
}
