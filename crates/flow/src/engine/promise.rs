//! `Promises`: what is declared to follow on something, over however many messages: `after POST /order, email is sent within 5m`.
//!
//! A span of the wanted name makes a promise in its trace. The promise goes on wherever a message of one of its traces is received in
//! another trace, and is kept when what it waits for happens in one of them. Hops and what happened are remembered for a while, so
//! that spans may come in any order. Everything is bounded; the oldest is forgotten first. Deliberately absent: how messages are
//! joined (`deliver`), and when time does not count (`watch`).

use std::collections::{HashMap, VecDeque};

use model::{SpanId, SpanKind, SpanRef, TraceId};

use super::checkpoint::CheckpointError;
use super::checkpoint::bytes::{Read, Reader, Writer};
use super::expect::DECLARED_LOST_FACTOR;
use super::rule::{Effect, Follows, Rule};
use super::{Batch, Engine};
use crate::destination::DestinationKey;
use crate::hop::MessageState;

/// Promises that are remembered.
pub const PROMISES_MAX: usize = 16_384;
/// Traces that a promise is followed into.
pub const TRACES_OF_PROMISE_MAX: usize = 64;
/// Hops between traces, and things that happened, remembered at least.
const REMEMBERED_MAX: usize = 65_536;
/// Promises of a rule that are named.
const NAMED_MAX: usize = 20;

/// Something that was promised.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Promise {
    rule: u32,
    span_id: SpanId,
    heard_unix_nano: u64,
    kept: bool,
    /// Where it may be kept; the first is where it was made.
    traces: Vec<TraceId>,
}

/// What was noted not long ago, by generations.
#[derive(Debug, Clone)]
struct Noted<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Noted<K, V> {
    fn default() -> Self {
        Noted { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: std::hash::Hash + Eq, V: Default> Noted<K, V> {
    fn note(&mut self, key: K) -> &mut V {
        if self.young.len() >= REMEMBERED_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.entry(key).or_default()
    }
}

/// All promises.
#[derive(Debug, Clone, Default)]
pub(super) struct Promises {
    rules: Vec<Follows>,
    /// The oldest first; the first has this number.
    all: VecDeque<Promise>,
    first: u64,
    by_trace: HashMap<TraceId, Vec<u64>>,
    onward: Noted<TraceId, Vec<TraceId>>,
    happened: Noted<(TraceId, u32), ()>,
}

/// What became of a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromiseReport {
    /// The span that made it.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// When we heard of it, Unix nanoseconds.
    pub heard_unix_nano: u64,
    /// Late or lost.
    pub state: MessageState,
}

/// What became of what a rule promised, as far back as memory reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowsReport {
    /// The rule.
    pub rule: String,
    /// Promises that are waited for.
    pub pending: u64,
    /// Promises that were kept, in time or later.
    pub kept: u64,
    /// Promises that are overdue.
    pub late: u64,
    /// Promises that are overdue four times over.
    pub lost: u64,
    /// Promises that may have been kept while nobody watched.
    pub unknown: u64,
    /// The newest of those that are late or lost.
    pub overdue: Vec<PromiseReport>,
}

impl Promises {
    /// Rules with their numbers, for what a batch says.
    pub(super) fn rules(&self) -> impl Iterator<Item = (u32, &Follows)> {
        (0u32..).zip(&self.rules)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    /// Replaces the rules; promises of those that stay are kept.
    pub(super) fn set_rules(&mut self, rules: Vec<Follows>) {
        let place = |known: &Follows| rules.iter().position(|rule| rule == known).map(|place| place as u32);
        let places: Vec<Option<u32>> = self.rules.iter().map(place).collect();
        let moved = |rule: u32| places.get(rule as usize).copied().flatten();
        let all = std::mem::take(&mut self.all);
        self.first = 0;
        self.by_trace.clear();
        for mut promise in all {
            if let Some(rule) = moved(promise.rule) {
                promise.rule = rule;
                self.push(promise);
            }
        }
        for noted in [&mut self.happened.young, &mut self.happened.old] {
            let moved = noted.drain().filter_map(|((trace_id, rule), ())| Some(((trace_id, moved(rule)?), ())));
            *noted = moved.collect();
        }
        self.rules = rules;
    }

    fn push(&mut self, promise: Promise) {
        if self.all.len() >= PROMISES_MAX {
            self.forget_oldest();
        }
        let number = self.first + self.all.len() as u64;
        for &trace_id in &promise.traces {
            self.by_trace.entry(trace_id).or_default().push(number);
        }
        self.all.push_back(promise);
    }

    fn forget_oldest(&mut self) {
        for trace_id in self.all.pop_front().map(|oldest| oldest.traces).unwrap_or_default() {
            let numbers = self.by_trace.entry(trace_id).or_default();
            numbers.retain(|&number| number != self.first);
            if numbers.is_empty() {
                self.by_trace.remove(&trace_id);
            }
        }
        self.first += 1;
    }

    /// A span makes a promise; a trace makes one of each rule.
    pub(super) fn make(&mut self, rule: u32, trace_id: TraceId, span_id: SpanId, heard_unix_nano: u64) {
        let numbers = self.by_trace.get(&trace_id).into_iter().flatten();
        let is_made = |&number: &u64| {
            let promise = &self.all[(number - self.first) as usize];
            promise.rule == rule && promise.traces[0] == trace_id
        };
        if numbers.copied().any(|number| is_made(&number)) {
            return;
        }
        self.push(Promise { rule, span_id, heard_unix_nano, kept: false, traces: vec![trace_id] });
        let number = self.first + self.all.len() as u64 - 1;
        self.follow(number, trace_id);
    }

    /// A message of one trace was received in another.
    pub(super) fn go_on(&mut self, from: TraceId, to: TraceId) {
        if from == to || self.is_idle() {
            return;
        }
        let onward = self.onward.note(from);
        if onward.len() < TRACES_OF_PROMISE_MAX && !onward.contains(&to) {
            onward.push(to);
        }
        for number in self.by_trace.get(&from).cloned().unwrap_or_default() {
            self.enter(number, to);
        }
    }

    /// A promise may be kept in another trace, too.
    fn enter(&mut self, number: u64, trace_id: TraceId) {
        let promise = &mut self.all[(number - self.first) as usize];
        if promise.traces.len() < TRACES_OF_PROMISE_MAX && !promise.traces.contains(&trace_id) {
            promise.traces.push(trace_id);
            self.by_trace.entry(trace_id).or_default().push(number);
            self.follow(number, trace_id);
        }
    }

    /// Looks whether what was promised has happened in a trace already, and where the trace went on.
    fn follow(&mut self, number: u64, trace_id: TraceId) {
        let mut traces = vec![trace_id];
        while let Some(trace_id) = traces.pop() {
            let promise = &mut self.all[(number - self.first) as usize];
            let key = (trace_id, promise.rule);
            promise.kept |= self.happened.young.contains_key(&key) || self.happened.old.contains_key(&key);
            let onward = [&self.onward.young, &self.onward.old].into_iter().filter_map(|noted| noted.get(&trace_id));
            for &next in onward.flatten() {
                if promise.traces.len() < TRACES_OF_PROMISE_MAX && !promise.traces.contains(&next) {
                    promise.traces.push(next);
                    self.by_trace.entry(next).or_default().push(number);
                    traces.push(next);
                }
            }
        }
    }

    /// What rules wait for happened in a trace.
    pub(super) fn happen(&mut self, trace_id: TraceId, is_it: impl Fn(&Effect) -> bool) {
        let rules: Vec<u32> = self.rules().filter(|(_, rule)| is_it(&rule.effect)).map(|(rule, _)| rule).collect();
        for rule in rules {
            self.happened.note((trace_id, rule));
            for number in self.by_trace.get(&trace_id).into_iter().flatten() {
                let promise = &mut self.all[(number - self.first) as usize];
                promise.kept |= promise.rule == rule;
            }
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.list(self.rules.iter(), |out, rule| out.text(rule.to_string().as_bytes()));
        out.list(self.all.iter(), |out, promise| {
            out.number(promise.rule);
            out.raw(&promise.span_id.0);
            out.number(promise.heard_unix_nano);
            out.byte(u8::from(promise.kept));
            out.list(promise.traces.iter(), |out, trace_id| out.raw(&trace_id.0));
        });
        let (young, old) = (&self.onward.young, &self.onward.old);
        out.list(old.iter().chain(young).collect::<Vec<_>>().into_iter(), |out, (trace_id, onward)| {
            out.raw(&trace_id.0);
            out.list(onward.iter(), |out, trace_id| out.raw(&trace_id.0));
        });
        let (young, old) = (&self.happened.young, &self.happened.old);
        out.list(old.keys().chain(young.keys()).collect::<Vec<_>>().into_iter(), |out, (trace_id, rule)| {
            out.raw(&trace_id.0);
            out.number(*rule);
        });
    }

    pub(super) fn read(&mut self, from: &mut Reader<'_>) -> Read<()> {
        from.list(|from| {
            let text = std::str::from_utf8(from.text()?).map_err(|_| CheckpointError::Damaged)?;
            match text.parse() {
                Ok(Rule::Follows(rule)) => self.rules.push(rule),
                _ => return Err(CheckpointError::Damaged),
            }
            Ok(())
        })?;
        from.list(|from| {
            let (rule, span_id) = (from.small()?, SpanId(from.array()?));
            let (heard_unix_nano, kept) = (from.number()?, from.byte()? != 0);
            let mut traces = Vec::new();
            from.list(|from| {
                traces.push(TraceId(from.array()?));
                Ok(())
            })?;
            if traces.is_empty() || traces.len() > TRACES_OF_PROMISE_MAX {
                return Err(CheckpointError::Damaged);
            }
            self.push(Promise { rule, span_id, heard_unix_nano, kept, traces });
            Ok(())
        })?;
        from.list(|from| {
            let onward = self.onward.note(TraceId(from.array()?));
            from.list(|from| {
                onward.push(TraceId(from.array()?));
                Ok(())
            })
        })?;
        from.list(|from| {
            let trace_id = TraceId(from.array()?);
            self.happened.note((trace_id, from.small()?));
            Ok(())
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let noted = self.onward.young.len() + self.onward.old.len();
        let happened = self.happened.young.len() + self.happened.old.len();
        self.all.len() * (size_of::<Promise>() + 64) + noted * 80 + happened * 32
    }
}

impl Engine {
    /// Something is expected after a span that serves or begins a trace.
    pub(super) fn promise(&mut self, context: &Batch, span: SpanRef<'_>) {
        let name = span.row().name;
        for &(_, rule) in context.after.iter().filter(|&&(after, _)| after == name) {
            if span.kind() == SpanKind::SERVER || span.parent_span_id().is_none() {
                self.promises.make(rule, span.trace_id(), span.span_id(), context.heard_unix_nano);
            }
        }
    }

    /// A message was sent somewhere.
    pub(super) fn sent_in(&mut self, trace_id: TraceId, destination: u32) {
        if !self.promises.is_idle() {
            let key = self.places.key(destination);
            self.promises.happen(trace_id, |effect| matches!(effect, Effect::Sent(to) if is_named(to, &key)));
        }
    }

    /// A message of one trace was received by a group in another.
    pub(super) fn received_in(&mut self, [from, to]: [TraceId; 2], destination: u32, group: u32) {
        if self.promises.is_idle() {
            return;
        }
        let key = self.places.key(destination);
        let group = self.places.names.text(group);
        self.promises.happen(from, |effect| match effect {
            Effect::Consumed { group: wanted, destination } => wanted == group && is_named(destination, &key),
            Effect::Sent(_) => false,
        });
        self.promises.go_on(from, to);
    }

    fn state_of(&self, promise: &Promise, within_ns: u64) -> MessageState {
        if promise.kept {
            return MessageState::Consumed;
        }
        let lost_ns = within_ns.saturating_mul(DECLARED_LOST_FACTOR);
        match self.watch.elapsed_ns(promise.heard_unix_nano, self.now_unix_nano) {
            elapsed if elapsed < within_ns => MessageState::Pending,
            _ if self.watch.may_have_missed(promise.heard_unix_nano, lost_ns) => MessageState::Unknown,
            elapsed if elapsed < lost_ns => MessageState::Late,
            _ => MessageState::Lost,
        }
    }

    /// What became of what is declared to follow on something.
    pub fn promised(&self) -> Vec<FollowsReport> {
        let report = |(number, rule): (u32, &Follows)| {
            let mut report = FollowsReport {
                rule: rule.to_string(),
                pending: 0,
                kept: 0,
                late: 0,
                lost: 0,
                unknown: 0,
                overdue: Vec::new(),
            };
            for promise in self.promises.all.iter().rev().filter(|promise| promise.rule == number) {
                let state = self.state_of(promise, rule.within_ns);
                *match state {
                    MessageState::Pending => &mut report.pending,
                    MessageState::Late => &mut report.late,
                    MessageState::Lost => &mut report.lost,
                    MessageState::Unknown => &mut report.unknown,
                    _ => &mut report.kept,
                } += 1;
                if matches!(state, MessageState::Late | MessageState::Lost) && report.overdue.len() < NAMED_MAX {
                    let Promise { span_id, heard_unix_nano, .. } = *promise;
                    report.overdue.push(PromiseReport { trace_id: promise.traces[0], span_id, heard_unix_nano, state });
                }
            }
            report
        };
        self.promises.rules().map(report).collect()
    }
}

/// Whether a destination has this name: its own, or with its system in front.
pub(super) fn is_named(name: &str, key: &DestinationKey) -> bool {
    let prefixed = name.strip_prefix(&*key.system).and_then(|rest| rest.strip_prefix(':'));
    name == key.name || prefixed == Some(&*key.name)
}
