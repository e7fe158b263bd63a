//! The critical path: which span's work, and which waiting, the last effect was waiting for at every instant.
//!
//! Walked backwards from the end of the span that ended last. Within a span the child that ended last before takes over, as the
//! span was waiting for it; at a span's start its cause does: for what received a message the wait in the queue and then the
//! producer (or the attempt before), for everything else the span it hangs below. Time between a cause's end and its effect's
//! start that no queue explains is on nobody's account, so that the path is at most as long as the flow. Clocks that disagree
//! shorten segments, none is negative.
//!
//! Every span is entered a bounded number of times and every child is looked at once: O(n log n), without recursion.

use std::collections::{HashMap, HashSet};

use crate::cone::{Cone, Node};

/// What a flow did with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// A span was busy with something of its own.
    Working,
    /// A message waited for its receiver.
    Waiting,
}

impl SegmentKind {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            SegmentKind::Working => "working",
            SegmentKind::Waiting => "waiting",
        }
    }
}

/// A span's share of the critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The span; of waiting, the one that waited for its message.
    pub node: Node,
    /// How long in all.
    pub self_ns: u64,
    /// What it did.
    pub kind: SegmentKind,
}

/// What of a flow's hops the path needs.
#[derive(Debug, Default)]
pub struct Causes {
    /// For what received a message: where it came from.
    pub hops: HashMap<Node, Node>,
    /// For other spans that link: the span they link to.
    pub links: HashMap<Node, Node>,
    /// Spans that only ask for messages.
    pub polls: HashSet<Node>,
}

/// The path to the last effect, from the beginning; one segment a span and kind, ordered by when it first was on the path.
pub fn critical_path(cone: &Cone, causes: &Causes, start_unix_nano: u64) -> Vec<Segment> {
    let last = cone.joined().iter().copied().max_by_key(|&node| (end(cone, node), cone.span(node).key()));
    let Some(last) = last else { return Vec::new() };
    let mut walk = Walk {
        cone,
        causes,
        start: start_unix_nano,
        waiting_children: HashMap::new(),
        left: HashSet::new(),
        now: end(cone, last),
        segments: Vec::new(),
    };
    let mut at = Some(last);
    while let Some(node) = at.filter(|_| walk.now > start_unix_nano) {
        at = walk.step(node);
    }
    walk.merged()
}

/// When a span ended, never before it started.
pub(crate) fn end(cone: &Cone, node: Node) -> u64 {
    let row = cone.span(node).row();
    row.end_unix_nano.max(row.start_unix_nano)
}

struct Walk<'a> {
    cone: &'a Cone,
    causes: &'a Causes,
    start: u64,
    /// Children of spans on the path that may still take over, the last to end at the end.
    waiting_children: HashMap<Node, Vec<Node>>,
    /// Spans whose start was reached.
    left: HashSet<Node>,
    now: u64,
    segments: Vec<Segment>,
}

impl Walk<'_> {
    /// Goes back from `now` within a span, to the span that the walk goes on with.
    fn step(&mut self, node: Node) -> Option<Node> {
        self.now = self.now.min(end(self.cone, node));
        let start = self.cone.span(node).start_unix_nano();
        if let Some(child) = self.last_child(node).filter(|&child| end(self.cone, child) > start) {
            self.spend(node, end(self.cone, child), SegmentKind::Working);
            return Some(child);
        }
        let producer = self.causes.hops.get(&node).copied();
        if self.causes.polls.contains(&node) {
            // It asked for a message before there was one.
            let sent = producer.map_or(0, |producer| end(self.cone, producer).min(self.now));
            self.spend(node, start.max(sent), SegmentKind::Waiting);
        } else {
            self.spend(node, start, SegmentKind::Working);
        }
        if !self.left.insert(node) {
            return None;
        }
        if let Some(producer) = producer {
            self.spend(node, end(self.cone, producer), SegmentKind::Waiting);
            return Some(producer);
        }
        let linked = self.causes.links.get(&node).copied();
        linked.or_else(|| self.cone.parent(node).filter(|&parent| self.cone.has(parent)))
    }

    /// The child that ended last, but not after now; each is given once.
    fn last_child(&mut self, node: Node) -> Option<Node> {
        let Walk { cone, causes, waiting_children, .. } = self;
        let waiting = waiting_children.entry(node).or_insert_with(|| {
            // What a span sent to somebody else is not a part of it, but an answer that it took is.
            let is_sent = |child: &Node| causes.hops.get(child) == Some(&node);
            let is_part = |child: &Node| cone.has(*child) && !is_sent(child);
            let mut children: Vec<Node> = cone.children(node).filter(is_part).collect();
            children.sort_by_key(|&child| end(cone, child));
            children
        });
        while let Some(child) = waiting.pop() {
            if end(cone, child) <= self.now && !self.left.contains(&child) {
                return Some(child);
            }
        }
        None
    }

    /// Charges the time from `until` to now to a span.
    fn spend(&mut self, node: Node, until: u64, kind: SegmentKind) {
        let until = until.max(self.start);
        if until < self.now {
            self.segments.push(Segment { node, self_ns: self.now - until, kind });
            self.now = until;
        }
    }

    fn merged(mut self) -> Vec<Segment> {
        self.segments.reverse();
        let mut places: HashMap<(Node, SegmentKind), usize> = HashMap::new();
        let mut merged: Vec<Segment> = Vec::new();
        for segment in self.segments {
            let place = *places.entry((segment.node, segment.kind)).or_insert(merged.len());
            match merged.get_mut(place) {
                Some(known) => known.self_ns += segment.self_ns,
                None => merged.push(segment),
            }
        }
        merged
    }
}
