//! From a span to its root: every span has at most one cause that is followed, so that every span has one root.
//!
//! The cause of a span is, in this order: the span it links to; its parent; for a consumer that has neither, the producer that
//! the message leads to; what it hangs below in its trace. A span with links into several traces took several messages at once:
//! it is followed through its links only if all of them lead to the same root (what was scattered is gathered), else it is a batch
//! whose links are not followed.

use std::collections::{BTreeSet, HashMap, HashSet};

use flow::cone::{Cone, Node};
use model::TraceId;

use super::Run;
use crate::contract::QueryError;
use crate::source::Source;

/// Links of a span that are looked at to find out whether it gathers what was scattered.
const GATHERED_MAX: usize = 64;

/// Whether spans with links into several traces are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batches {
    Opaque,
    Gathering,
}

/// The way up from a span.
#[derive(Debug)]
pub(super) struct Path {
    /// The last cause, or, if the causes go round in a circle, the earliest of the circle.
    pub(super) root: Node,
    /// From the span on.
    nodes: Vec<Node>,
}

impl Path {
    /// The traces on the way that are neither the root's nor the opened span's.
    pub(super) fn between(&self, cone: &Cone, opened: Node) -> HashSet<TraceId> {
        let ends = [self.root.tree, opened.tree];
        let between = self.nodes.iter().filter(|node| !ends.contains(&node.tree));
        between.map(|&node| cone.tree(node).id).collect()
    }
}

impl<S: Source> Run<'_, S> {
    pub(super) fn climb(&mut self, opened: Node) -> Result<Path, QueryError> {
        self.path(opened, Batches::Gathering)
    }

    fn path(&mut self, from: Node, batches: Batches) -> Result<Path, QueryError> {
        let mut path = vec![from];
        let mut places = HashMap::from([(from, 0)]);
        let mut node = from;
        while let Some(cause) = self.cause(node, batches)? {
            if let Some(&place) = places.get(&cause) {
                let circle = path[place..].iter().copied();
                let root = circle.min_by_key(|&node| self.order(node)).unwrap_or(cause);
                return Ok(Path { root, nodes: path });
            }
            places.insert(cause, path.len());
            path.push(cause);
            node = cause;
        }
        Ok(Path { root: node, nodes: path })
    }

    fn cause(&mut self, node: Node, batches: Batches) -> Result<Option<Node>, QueryError> {
        if let Some(linked) = self.linked(node, batches)? {
            return Ok(Some(linked));
        }
        if let Some(sender) = self.sender(node)? {
            return Ok(Some(sender));
        }
        Ok(self.cone.parent(node))
    }

    /// The span that a span's links lead to, if they lead to one.
    fn linked(&mut self, node: Node, batches: Batches) -> Result<Option<Node>, QueryError> {
        let span = self.cone.span(node);
        let targets: BTreeSet<_> = span.links().map(|link| (link.trace_id(), link.span_id())).collect();
        let traces: BTreeSet<TraceId> = targets.iter().map(|&(trace_id, _)| trace_id).collect();
        if traces.is_empty() || traces.len() > 1 && (batches == Batches::Opaque || targets.len() > GATHERED_MAX) {
            return Ok(None);
        }
        let mut causes = Vec::new();
        let mut common = None;
        for (trace_id, span_id) in targets {
            self.load([trace_id])?;
            let cause = self.cone.find(trace_id, span_id).filter(|&cause| cause != node);
            if traces.len() > 1 {
                let Some(cause) = cause else { return Ok(None) };
                let root = self.path(cause, Batches::Opaque)?.root;
                if *common.get_or_insert(root) != root {
                    return Ok(None);
                }
            }
            causes.extend(cause);
        }
        Ok(causes.into_iter().min_by_key(|&cause| self.order(cause)))
    }

    /// Time first, then what does not depend on the order of loading.
    pub(super) fn order(&self, node: Node) -> (u64, TraceId, u32) {
        let span = self.cone.span(node);
        (span.start_unix_nano(), span.trace_id(), node.row)
    }
}
