//! Spans as rows: children below parents, what a message led to below the span that sent it, and rows for what did not arrive.

use std::collections::HashMap;

use super::material::{FlowAnswer, Hop, Link, Span};

/// Walks up no further when it is looked for whether a span already stands below its sender.
const CLIMB_MAX: usize = 200;

/// What a row stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Span(usize),
    /// A message that nobody is known to have received, by its hop.
    Message(usize),
    /// A parent or sender that has not arrived.
    Missing(String),
    /// So many messages of other flows in the batch.
    Siblings(usize),
}

/// A row, with how it hangs in the tree.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) what: What,
    /// For each level above whether something follows there; the last is the row's own.
    pub(super) follows: Vec<bool>,
}

/// The forest of a flow or a trace.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) spans: &'a [Span],
    pub(super) hops: &'a [Hop],
    /// The hop that brought each span its message.
    pub(super) hop_of: Vec<Option<usize>>,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    what: What,
    parent: Option<usize>,
    at: u64,
}

type Places<'a> = HashMap<(&'a str, &'a str), usize>;

impl<'a> Tree<'a> {
    /// Of the spans of one trace.
    pub(super) fn of_trace(spans: &'a [Span]) -> Tree<'a> {
        let mut tree = Tree { spans, hops: &[], hop_of: vec![None; spans.len()], nodes: Vec::new() };
        let places = tree.hang_spans();
        tree.name_missing(&places, None);
        tree.cut_rings();
        tree
    }

    /// Of a flow.
    pub(super) fn of_flow(spans: &'a [Span], flow: &'a FlowAnswer) -> Tree<'a> {
        let mut tree = Tree { spans, hops: &flow.hops, hop_of: vec![None; spans.len()], nodes: Vec::new() };
        let places = tree.hang_spans();
        tree.hang_hops(&places);
        tree.hang_links(&places, flow);
        tree.name_missing(&places, Some(&flow.not_received));
        tree.name_siblings(&flow.batch_siblings);
        tree.cut_rings();
        tree
    }

    fn hang_spans(&mut self) -> Places<'a> {
        let mut places = HashMap::new();
        for (index, span) in self.spans.iter().enumerate() {
            // Of two sides of a call with one id, the answering one comes later and is the parent of what follows.
            places.insert((span.trace_id.as_str(), span.id.as_str()), index);
            self.nodes.push(Node { what: What::Span(index), parent: None, at: span.start_unix_nano });
        }
        let first: Places<'_> = self
            .spans
            .iter()
            .enumerate()
            .rev()
            .map(|(index, span)| ((span.trace_id.as_str(), span.id.as_str()), index))
            .collect();
        for (index, span) in self.spans.iter().enumerate() {
            let own = first.get(&(span.trace_id.as_str(), span.id.as_str())).copied().filter(|&caller| caller != index);
            let parent = || places.get(&(span.trace_id.as_str(), span.parent_id.as_deref()?)).copied();
            self.nodes[index].parent = own.or_else(parent).filter(|&parent| parent != index);
        }
        places
    }

    fn stands_below(&self, node: usize, above: usize) -> bool {
        let mut at = self.nodes[node].parent;
        for _ in 0..CLIMB_MAX {
            match at {
                Some(parent) if parent == above => return true,
                Some(parent) => at = self.nodes[parent].parent,
                None => return false,
            }
        }
        false
    }

    fn hang_hops(&mut self, places: &Places<'a>) {
        for (number, hop) in self.hops.iter().enumerate() {
            let from = places.get(&(hop.from.trace_id.as_str(), hop.from.span_id.as_str())).copied();
            let to = hop.to.as_ref().and_then(|to| places.get(&(to.trace_id.as_str(), to.span_id.as_str())).copied());
            match (from, to) {
                (Some(from), None) if hop.to.is_none() => {
                    let at = self.spans[from].start_unix_nano + self.spans[from].duration_ns;
                    self.nodes.push(Node { what: What::Message(number), parent: Some(from), at });
                }
                (from, Some(to)) if self.hop_of[to].is_none() => {
                    self.hop_of[to] = Some(number);
                    if let Some(from) = from.filter(|&from| from != to && !self.stands_below(to, from)) {
                        self.nodes[to].parent = Some(from);
                    }
                }
                _ => {}
            }
        }
    }

    /// Traces that only a link without a message leads to.
    fn hang_links(&mut self, places: &Places<'a>, flow: &FlowAnswer) {
        for (index, span) in self.spans.iter().enumerate() {
            let is_root = span.id == flow.root.span_id && span.trace_id == flow.root.trace_id;
            if self.nodes[index].parent.is_some() || span.parent_id.is_some() || is_root {
                continue;
            }
            let place = |link: &Link| places.get(&(link.trace_id.as_str(), link.span_id.as_str())).copied();
            self.nodes[index].parent = span.links.iter().find_map(place).filter(|&cause| cause != index);
        }
    }

    /// Rows for parents that have not arrived, below the origin of their trace: the same trace id says that they belong together.
    fn name_missing(&mut self, places: &Places<'a>, named: Option<&[Link]>) {
        let mut groups: HashMap<(&str, &str), usize> = HashMap::new();
        let mut origins: HashMap<&str, usize> = HashMap::new();
        for (index, span) in self.spans.iter().enumerate().filter(|(_, span)| span.parent_id.is_none()) {
            origins.entry(span.trace_id.as_str()).or_insert(index);
        }
        for (index, span) in self.spans.iter().enumerate() {
            let Some(parent) = span.parent_id.as_deref().filter(|_| self.nodes[index].parent.is_none()) else {
                continue;
            };
            let key = (span.trace_id.as_str(), parent);
            if places.contains_key(&key) || named.is_some_and(|named| self.is_outside(index, key, places, named)) {
                continue;
            }
            let node = *groups.entry(key).or_insert_with(|| {
                let above = origins.get(span.trace_id.as_str()).copied().filter(|_| named.is_some());
                let what = What::Missing(parent.to_owned());
                self.nodes.push(Node { what, parent: above, at: span.start_unix_nano });
                self.nodes.len() - 1
            });
            self.nodes[index].parent = Some(node);
        }
    }

    /// What joined by a message or a link may have a parent that is no part of the flow, as a consumer that polls for all.
    fn is_outside(&self, index: usize, parent: (&str, &str), places: &Places<'a>, named: &[Link]) -> bool {
        let key = |link: &'a Link| (link.trace_id.as_str(), link.span_id.as_str());
        let is_joined =
            self.hop_of[index].is_some() || self.spans[index].links.iter().any(|link| places.contains_key(&key(link)));
        is_joined && !named.iter().any(|one| (one.trace_id.as_str(), one.span_id.as_str()) == parent)
    }

    fn name_siblings(&mut self, siblings: &[Link]) {
        let named: std::collections::HashSet<(&str, &str)> =
            siblings.iter().map(|one| (one.trace_id.as_str(), one.span_id.as_str())).collect();
        for (index, span) in self.spans.iter().enumerate().filter(|(_, span)| span.links.len() > 1) {
            let count = span
                .links
                .iter()
                .filter(|link| named.contains(&(link.trace_id.as_str(), link.span_id.as_str())))
                .count();
            if count > 0 {
                self.nodes.push(Node { what: What::Siblings(count), parent: Some(index), at: 0 });
            }
        }
    }

    /// However parents are wired, walking up ends: the earliest of a ring becomes a root.
    fn cut_rings(&mut self) {
        let mut walk = vec![0_usize; self.nodes.len()];
        for first in 0..self.nodes.len() {
            let mut at = Some(first);
            while let Some(node) = at.filter(|&node| walk[node] == 0) {
                walk[node] = first + 1;
                at = self.nodes[node].parent;
            }
            let Some(member) = at.filter(|&node| walk[node] == first + 1) else { continue };
            let mut earliest = member;
            let mut next = self.nodes[member].parent;
            while let Some(node) = next.filter(|&node| node != member) {
                if self.nodes[node].at < self.nodes[earliest].at {
                    earliest = node;
                }
                next = self.nodes[node].parent;
            }
            self.nodes[earliest].parent = None;
        }
    }

    /// All rows, parents before children, each list in order of time.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        let mut roots = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            match node.parent {
                Some(parent) => children[parent].push(index),
                None => roots.push(index),
            }
        }
        let by_time = |list: &mut Vec<usize>| list.sort_by_key(|&node| (self.nodes[node].at, node));
        children.iter_mut().for_each(by_time);
        by_time(&mut roots);
        let mut stack: Vec<(usize, Vec<bool>)> = roots.iter().rev().map(|&root| (root, Vec::new())).collect();
        let mut rows = Vec::with_capacity(self.nodes.len());
        while let Some((node, follows)) = stack.pop() {
            for (place, &child) in children[node].iter().enumerate().rev() {
                let mut below = follows.clone();
                below.push(place + 1 < children[node].len());
                stack.push((child, below));
            }
            rows.push(Row { what: self.nodes[node].what.clone(), follows });
        }
        rows
    }
}
