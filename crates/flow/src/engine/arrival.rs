//! [`Arrival`]: what the engine keeps of a span that received something, and how it becomes a delivery of a message.

use model::{SpanId, SpanRef, StatusCode, TraceId};

use super::messages::{Delivery, NOWHERE, short_hash, span_hash};
use super::names::NONE;
use super::seen::Recent;
use crate::cone::Evidence;
use crate::semconv::{Messaging, Role, Settlement};

/// It is a span that works on the message, not one that only took it.
pub(super) const PROCESSES: u8 = 1;
/// It failed.
pub(super) const FAILED: u8 = 2;
/// It gave the message up, or found it among dead letters.
pub(super) const DIES: u8 = 4;
/// Its message died before.
pub(super) const DIED: u8 = 16;
/// It received several messages.
pub(super) const SEVERAL: u8 = 32;
/// It asked for messages before there was one.
const POLLS: u8 = 8;

/// Nobody said how long it waited.
const NOT_SAID: u64 = u64::MAX;
/// Clocks that disagree by less are taken to agree: a sender may wait for its broker a while after the message is out.
const SKEW_TOLERATED_NS: u64 = 1_000_000_000;

/// A span that received something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) start_unix_nano: u64,
    pub(super) end_unix_nano: u64,
    /// When the span was received.
    pub(super) heard_unix_nano: u64,
    pub(super) wait_said_ns: u64,
    /// What it says of where it received from.
    pub(super) destination: u32,
    /// The group or subscription that it names.
    pub(super) label: u32,
    pub(super) service: u32,
    pub(super) partition: u32,
    pub(super) attempt_said: u16,
    pub(super) flags: u8,
    pub(super) evidence: u8,
}

impl Arrival {
    /// An arrival of which the names are not known yet.
    pub(super) fn of(span: SpanRef<'_>, view: Option<&Messaging<'_>>, heard_unix_nano: u64) -> Arrival {
        let facts = view.map(|view| view.message).unwrap_or_default();
        let role = view.map_or(Role::Process, |view| view.role);
        let start = span.start_unix_nano();
        let by_broker = facts.sent_at.map(|sent_at| start.saturating_sub(sent_at.unix_nano));
        let settled = view.and_then(|view| view.settlement);
        let dead = matches!(settled, Some(Settlement::DeadLettered | Settlement::Rejected));
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        Arrival {
            trace_id: span.trace_id(),
            span_id: span.span_id(),
            start_unix_nano: start,
            end_unix_nano: span.end_unix_nano(),
            heard_unix_nano,
            wait_said_ns: facts.queue_wait_ns.or(by_broker).unwrap_or(NOT_SAID),
            destination: NONE,
            label: NONE,
            service: NONE,
            partition: NONE,
            attempt_said: facts.attempt.unwrap_or(0).min(u32::from(u16::MAX)) as u16,
            flags: flag(role == Role::Process, PROCESSES)
                | flag(span.status() == StatusCode::ERROR, FAILED)
                | flag(dead, DIES)
                | flag(facts.dead_letter.is_some(), DIED)
                | flag(role == Role::Receive, POLLS)
                | flag(span.links().nth(1).is_some(), SEVERAL),
            evidence: Evidence::Parent as u8,
        }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// How long the message waited that was sent at an instant; nothing if clocks disagree.
    fn wait_ns(&self, sent_unix_nano: u64) -> Option<u64> {
        if self.wait_said_ns != NOT_SAID {
            return Some(self.wait_said_ns);
        }
        let polled = self.has(POLLS) && self.start_unix_nano < sent_unix_nano && sent_unix_nano <= self.end_unix_nano;
        let received = if polled { self.end_unix_nano } else { self.start_unix_nano };
        (received + SKEW_TOLERATED_NS >= sent_unix_nano).then(|| received.saturating_sub(sent_unix_nano))
    }

    /// The delivery that begins with this arrival.
    pub(super) fn delivery(&self, group: u32, sent_unix_nano: u64) -> Delivery {
        Delivery {
            trace_id: self.trace_id,
            span_id: self.span_id,
            start_unix_nano: self.start_unix_nano,
            wait_ns: self.wait_ns(sent_unix_nano).unwrap_or(SKEWED),
            last_span: short_hash(self.trace_id, self.span_id),
            group,
            service: self.service,
            destination: self.destination,
            processed: u16::from(self.has(PROCESSES)),
            attempt_said: self.attempt_said,
            failed: u16::from(self.has(FAILED)),
            evidence: self.evidence,
            next: NOWHERE,
        }
    }

    /// Whether a message is given up on by it. One that died before and came back to where it was sent is not. `deaths` are spans
    /// within which something was put aside; of several messages nobody knows which.
    pub(super) fn buries(&self, is_elsewhere: bool, deaths: &Recent) -> bool {
        let puts_aside = || !self.has(SEVERAL) && deaths.has(span_hash(self.trace_id, self.span_id));
        self.has(DIES) || is_elsewhere && self.has(DIED) || puts_aside()
    }
}

/// The wait of a message that was received before it was sent.
pub(super) const SKEWED: u64 = u64::MAX;

impl Delivery {
    /// Adds another arrival of the same message at the same group; says whether it was the earliest so far.
    pub(super) fn add(&mut self, arrival: &Arrival, sent_unix_nano: u64) -> bool {
        let span = short_hash(arrival.trace_id, arrival.span_id);
        if self.last_span == span {
            self.evidence = self.evidence.min(arrival.evidence);
            return false;
        }
        self.last_span = span;
        self.processed = self.processed.saturating_add(u16::from(arrival.has(PROCESSES)));
        self.failed = self.failed.saturating_add(u16::from(arrival.has(FAILED)));
        self.attempt_said = self.attempt_said.max(arrival.attempt_said);
        self.evidence = self.evidence.min(arrival.evidence);
        let order = (arrival.start_unix_nano, arrival.trace_id, arrival.span_id);
        if order >= (self.start_unix_nano, self.trace_id, self.span_id) {
            return false;
        }
        (self.start_unix_nano, self.trace_id, self.span_id) = order;
        self.wait_ns = arrival.wait_ns(sent_unix_nano).unwrap_or(SKEWED);
        (self.service, self.destination) = (arrival.service, arrival.destination);
        true
    }

    /// How often it was delivered, as far as anybody said or spans show.
    pub(super) fn attempts(&self) -> u32 {
        u32::from(self.attempt_said.max(self.processed).max(1))
    }
}
