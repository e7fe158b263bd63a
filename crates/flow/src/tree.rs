//! [`Tree`]: the spans of one trace and how they hang together.
//!
//! Every trace becomes one tree, whatever arrived of it: a span whose parent has not arrived, and a further root, hang below the
//! trace's origin, because the same trace id says that they belong to it. Client and server that share an id are parent and child.
//!
//! Deliberately absent: other traces (that is [`crate::cone`]).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use model::{SpanBatch, SpanId, SpanKind, SpanRef, TraceId};

/// Instead of a row: none.
const NONE: u32 = u32::MAX;

/// The spans of one trace, and who is whose child.
#[derive(Debug)]
pub struct Tree {
    /// Which trace.
    pub id: TraceId,
    /// Its spans, each once, ordered by start.
    pub spans: SpanBatch,
    origin: u32,
    parents: Vec<u32>,
    /// Where the children of each row end in `children`.
    child_ends: Vec<u32>,
    children: Vec<u32>,
    /// The span of each id; of several with one id the one that comes first in the chain.
    rows: HashMap<SpanId, u32>,
}

impl Tree {
    /// Makes a tree of the spans of a trace: each once, ordered by start; at least one.
    pub fn new(id: TraceId, spans: SpanBatch) -> Tree {
        let chains = Chains::of(&spans);
        let mut parents: Vec<u32> = (0..spans.len() as u32).map(|row| chains.parent(&spans, row)).collect();
        let origin = origin(&spans, &parents);
        for (row, parent) in parents.iter_mut().enumerate() {
            if row as u32 == origin {
                *parent = NONE;
            } else if *parent == NONE {
                *parent = origin;
            }
        }
        let (child_ends, children) = children(&parents);
        Tree { id, spans, origin, parents, child_ends, children, rows: chains.heads }
    }

    /// The row that stands for the whole trace: the earliest span without a parent, else the earliest whose parent has not arrived,
    /// else the earliest.
    pub fn origin(&self) -> u32 {
        self.origin
    }

    /// The row that a row hangs below: its parent, or the origin if that has not arrived. Nothing above the origin.
    pub fn parent(&self, row: u32) -> Option<u32> {
        let parent = self.parents[row as usize];
        (parent != NONE).then_some(parent)
    }

    /// Whether what a row hangs below is its parent, and not only the origin of its trace.
    pub fn has_parent(&self, row: u32) -> bool {
        let span = self.span(row);
        let named = span.parent_span_id().and_then(|id| self.row(id)).is_some_and(|parent| parent != row);
        let shares_id = self.parent(row).is_some_and(|parent| self.span(parent).span_id() == span.span_id());
        self.parent(row).is_some() && (named || shares_id)
    }

    /// The rows that hang below a row, by start.
    pub fn children(&self, row: u32) -> &[u32] {
        let start = if row == 0 { 0 } else { self.child_ends[row as usize - 1] };
        &self.children[start as usize..self.child_ends[row as usize] as usize]
    }

    /// The row of a span; of several with one id the sending side.
    pub fn row(&self, id: SpanId) -> Option<u32> {
        self.rows.get(&id).copied()
    }

    /// A span.
    pub fn span(&self, row: u32) -> SpanRef<'_> {
        self.spans.span(row as usize)
    }

    /// The parent that a span names and that has not arrived.
    pub fn missing_parent(&self, row: u32) -> Option<SpanId> {
        self.span(row).parent_span_id().filter(|&parent| self.row(parent).is_none())
    }
}

/// Spans that share an id, in a chain: the sending side first, each the parent of the next.
struct Chains {
    heads: HashMap<SpanId, u32>,
    /// Of ids with more than one span.
    longer: HashMap<SpanId, Vec<u32>>,
}

impl Chains {
    fn of(spans: &SpanBatch) -> Chains {
        let mut chains = Chains { heads: HashMap::with_capacity(spans.len()), longer: HashMap::new() };
        for (row, span) in spans.rows.iter().enumerate() {
            let row = row as u32;
            match chains.heads.entry(span.span_id) {
                Entry::Vacant(place) => drop(place.insert(row)),
                Entry::Occupied(head) => {
                    chains.longer.entry(span.span_id).or_insert_with(|| vec![*head.get()]).push(row);
                }
            }
        }
        let receives = |row: u32| [SpanKind::SERVER, SpanKind::CONSUMER].contains(&spans.span(row as usize).kind());
        for (&id, chain) in &mut chains.longer {
            chain.sort_by_key(|&row| (receives(row), row));
            chains.heads.insert(id, chain[0]);
        }
        chains
    }

    /// The parent of a row, if it has arrived.
    fn parent(&self, spans: &SpanBatch, row: u32) -> u32 {
        let span = &spans.rows[row as usize];
        let before = self.longer.get(&span.span_id).and_then(|chain| {
            let place = chain.iter().position(|&other| other == row)?;
            chain.get(place.checked_sub(1)?)
        });
        if let Some(&before) = before {
            return before;
        }
        let parent = span.parent_span_id;
        if parent.is_zero() || parent == span.span_id {
            return NONE;
        }
        let last = self.longer.get(&parent).and_then(|chain| chain.last());
        last.or_else(|| self.heads.get(&parent)).copied().unwrap_or(NONE)
    }
}

fn origin(spans: &SpanBatch, parents: &[u32]) -> u32 {
    let rootless = parents.iter().position(|&parent| parent == NONE);
    let root = (0..parents.len()).find(|&row| parents[row] == NONE && spans.rows[row].parent_span_id.is_zero());
    root.or(rootless).unwrap_or(0) as u32
}

/// Where the children of each row end, and the children of all rows.
fn children(parents: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let mut ends = vec![0u32; parents.len()];
    for &parent in parents.iter().filter(|&&parent| parent != NONE) {
        ends[parent as usize] += 1;
    }
    let mut end = 0;
    for place in &mut ends {
        end += *place;
        *place = end;
    }
    let mut children = vec![0; end as usize];
    let mut free = ends.clone();
    for (row, &parent) in parents.iter().enumerate().rev().filter(|&(_, &parent)| parent != NONE) {
        free[parent as usize] -= 1;
        children[free[parent as usize] as usize] = row as u32;
    }
    (ends, children)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Resource, Scope, SpanRow};

    /// A tree of spans as (id, parent, kind), which start one after the other.
    fn tree(spans: &[(u8, u8, i32)]) -> Tree {
        let mut batch = SpanBatch::default();
        let resource = batch.push_resource(Resource::default());
        let scope = batch.push_scope(Scope { resource, ..Scope::default() });
        for (start, &(id, parent, kind)) in spans.iter().enumerate() {
            let (span_id, parent_span_id) = (SpanId([id; 8]), SpanId([parent; 8]));
            let start_unix_nano = start as u64;
            batch.push_span(SpanRow { span_id, parent_span_id, start_unix_nano, kind, scope, ..SpanRow::default() });
        }
        Tree::new(TraceId([1; 16]), batch)
    }

    fn parents(tree: &Tree) -> Vec<Option<u32>> {
        (0..tree.spans.len() as u32).map(|row| tree.parent(row)).collect()
    }

    #[test]
    fn everything_hangs_below_the_origin() {
        // Guarantees that orphans and further roots belong to the trace, and that children are found in the order of time.
        let tree = tree(&[(5, 9, 0), (1, 0, 0), (2, 1, 0), (3, 0, 0), (4, 1, 0)]);
        assert_eq!((tree.origin(), parents(&tree)), (1, vec![Some(1), None, Some(1), Some(1), Some(1)]));
        assert_eq!((tree.children(1), tree.children(0)), (&[0, 2, 3, 4][..], &[][..]));
        assert_eq!((tree.missing_parent(0), tree.missing_parent(2)), (Some(SpanId([9; 8])), None));
    }

    #[test]
    fn without_a_root_the_earliest_orphan_is_the_origin() {
        // Guarantees that an origin exists whatever has not arrived, and that a cycle does not hide one.
        assert_eq!(tree(&[(2, 1, 0), (3, 2, 0)]).origin(), 0);
        let cycle = tree(&[(1, 2, 0), (2, 1, 0), (3, 8, 0)]);
        assert_eq!((cycle.origin(), parents(&cycle)), (2, vec![Some(1), Some(0), None]));
        let only = tree(&[(1, 2, 0), (2, 1, 0), (3, 3, 0)]);
        assert_eq!((only.origin(), parents(&only)), (2, vec![Some(1), Some(0), None]));
        let all = tree(&[(1, 2, 0), (2, 1, 0)]);
        assert_eq!((all.origin(), parents(&all)), (0, vec![None, Some(0)]));
    }

    #[test]
    fn client_and_server_may_share_an_id() {
        // Guarantees that the server of a shared id is the client's child, and that what is below it is the server's.
        let (client, server) = (SpanKind::CLIENT.0, SpanKind::SERVER.0);
        let tree = tree(&[(1, 0, server), (2, 1, server), (2, 1, client), (3, 2, 1)]);
        assert_eq!(parents(&tree), [None, Some(2), Some(0), Some(1)]);
        assert_eq!(tree.row(SpanId([2; 8])), Some(2));
    }
}
