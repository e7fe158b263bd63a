//! [`Cone`]: the spans that a span caused, across traces, as far as their traces are loaded.
//!
//! An edge leads from a cause to its effect: from parent to child, from the span linked to to the span that carries the link,
//! and, where the context was lost, from a producer to the consumer that [`crate::correlate`] found. The cone of a span is
//! what these edges reach. Traces may be added in any order: what joins once their links are known joins then.
//!
//! Deliberately absent: finding and loading traces (that is `query`), and what the edges mean (that is [`crate::hop`]).

use std::collections::HashMap;

use model::{BatchMerger, LinkRef, Source, SpanBatch, SpanId, SpanRef, TraceId};

use crate::tree::Tree;

/// Why we believe that a span caused another one, the strongest reason first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// The effect names the cause as its parent.
    Parent,
    /// The effect carries a link to the cause.
    Link,
    /// The broker said so.
    Broker,
    /// Both name the same message id.
    MessageId,
    /// Both name the same offset of the same partition.
    Offset,
    /// Both name the same conversation.
    ConversationId,
    /// Both carry the same value of a key that was declared to say so.
    BusinessKey,
}

impl Evidence {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 7] =
            ["parent", "link", "broker", "message_id", "offset", "conversation_id", "business_key"];
        NAMES[self as usize]
    }
}

/// A span of a loaded trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Which trace, as an index into [`Cone::trees`].
    pub tree: u32,
    /// Which span of it.
    pub row: u32,
}

/// A cause and its effect where the effect is not simply below the cause in one trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The cause.
    pub from: Node,
    /// The effect.
    pub to: Node,
    /// Why.
    pub evidence: Evidence,
    /// Which of the effect's links it is.
    pub link: Option<u32>,
}

/// Loaded traces, and which of their spans belong to a flow.
#[derive(Debug)]
pub struct Cone {
    trees: Vec<Tree>,
    /// Where each trace is; nothing if none of its spans is stored.
    places: HashMap<TraceId, Option<u32>>,
    /// For every tree, which rows belong.
    members: Vec<Vec<bool>>,
    joined: Vec<Node>,
    edges: Vec<Edge>,
    /// Spans of loaded traces that carry a link to a span, with the number of the link.
    carriers: HashMap<(TraceId, SpanId), Vec<(Node, u32)>>,
    spans_max: usize,
    truncated: bool,
}

impl Cone {
    /// An empty one, which takes at most so many spans in.
    pub fn new(spans_max: usize) -> Cone {
        Cone {
            trees: Vec::new(),
            places: HashMap::new(),
            members: Vec::new(),
            joined: Vec::new(),
            edges: Vec::new(),
            carriers: HashMap::new(),
            spans_max,
            truncated: false,
        }
    }

    /// Notes that nothing of a trace is stored.
    pub fn add_nothing(&mut self, id: TraceId) {
        self.places.entry(id).or_insert(None);
    }

    /// Adds a loaded trace, once. Spans of it that link to the cone join.
    pub fn add(&mut self, tree: Tree) {
        if self.is_known(tree.id) {
            return;
        }
        let place = self.trees.len() as u32;
        self.places.insert(tree.id, Some(place));
        let mut effects = Vec::new();
        for (row, span) in tree.spans.spans().enumerate() {
            let node = Node { tree: place, row: row as u32 };
            for (number, link) in span.links().enumerate() {
                let target = (link.trace_id(), link.span_id());
                self.carriers.entry(target).or_default().push((node, number as u32));
                effects.push((target, node, number as u32));
            }
        }
        self.members.push(vec![false; tree.spans.len()]);
        self.trees.push(tree);
        // Looked up before any of them joins: what joins later is followed then.
        let cause = |(trace_id, span_id)| self.find(trace_id, span_id).filter(|&cause| self.has(cause));
        let found = effects.into_iter().filter_map(|(target, to, number)| Some((cause(target)?, to, number)));
        for (from, to, number) in found.collect::<Vec<_>>() {
            self.connect(Edge { from, to, evidence: Evidence::Link, link: Some(number) });
        }
    }

    /// Whether a trace was added, or is known not to be stored.
    pub fn is_known(&self, id: TraceId) -> bool {
        self.places.contains_key(&id)
    }

    /// A span of a loaded trace.
    pub fn find(&self, trace_id: TraceId, span_id: SpanId) -> Option<Node> {
        let tree = (*self.places.get(&trace_id)?)?;
        let row = self.trees[tree as usize].row(span_id)?;
        Some(Node { tree, row })
    }

    /// A loaded trace.
    pub fn tree_of(&self, id: TraceId) -> Option<u32> {
        *self.places.get(&id)?
    }

    /// All loaded traces.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// The trace of a span.
    pub fn tree(&self, node: Node) -> &Tree {
        &self.trees[node.tree as usize]
    }

    /// A span.
    pub fn span(&self, node: Node) -> SpanRef<'_> {
        self.tree(node).span(node.row)
    }

    /// What a span hangs below in its own trace.
    pub fn parent(&self, node: Node) -> Option<Node> {
        self.tree(node).parent(node.row).map(|row| Node { row, ..node })
    }

    /// What hangs below a span in its own trace.
    pub fn children(&self, node: Node) -> impl Iterator<Item = Node> + '_ {
        self.tree(node).children(node.row).iter().map(move |&row| Node { row, ..node })
    }

    /// Whether a span belongs.
    pub fn has(&self, node: Node) -> bool {
        self.members[node.tree as usize][node.row as usize]
    }

    /// The spans that belong, in the order in which they joined.
    pub fn joined(&self) -> &[Node] {
        &self.joined
    }

    /// Edges between spans that belong, but for those from parent to child.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Whether spans were left out.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Lets a span join with all that it caused, as far as traces are loaded.
    pub fn join(&mut self, node: Node) {
        let mut waiting = vec![node];
        while let Some(node) = waiting.pop() {
            if self.has(node) {
                continue;
            }
            if self.joined.len() >= self.spans_max {
                self.truncated = true;
                return;
            }
            self.members[node.tree as usize][node.row as usize] = true;
            self.joined.push(node);
            waiting.extend(self.tree(node).children(node.row).iter().rev().map(|&row| Node { row, ..node }));
            self.follow_links(node, &mut waiting);
        }
    }

    /// Adds the edges to the spans that link to a span which joins.
    fn follow_links(&mut self, from: Node, waiting: &mut Vec<Node>) {
        let (tree, span_id) = (self.tree(from), self.span(from).span_id());
        if tree.row(span_id) != Some(from.row) {
            return;
        }
        let Some(carriers) = self.carriers.get(&(tree.id, span_id)) else { return };
        for &(to, number) in carriers.iter().filter(|(to, _)| *to != from) {
            self.edges.push(Edge { from, to, evidence: Evidence::Link, link: Some(number) });
            waiting.push(to);
        }
    }

    /// Adds an edge from a span that belongs; its effect joins.
    pub fn connect(&mut self, edge: Edge) {
        self.edges.push(edge);
        self.join(edge.to);
    }

    /// Copies of some spans, in this order.
    pub fn batch(&self, nodes: &[Node]) -> SpanBatch {
        let mut sources: HashMap<u32, Source<'_>> = HashMap::new();
        let mut merger = BatchMerger::default();
        for node in nodes {
            let source = sources.entry(node.tree).or_insert_with(|| Source::new(&self.tree(*node).spans));
            merger.push(source, node.row as usize);
        }
        merger.finish()
    }

    /// The link that an edge is.
    pub fn link(&self, edge: &Edge) -> Option<LinkRef<'_>> {
        self.span(edge.to).links().nth(edge.link? as usize)
    }
}
