//! What the engine knows of single messages and of names that flows, which are put together from stored spans, cannot: who is expected
//! and has not received, and what is bound to what.
//!
//! Deliberately absent: everything that a flow tells itself ([`crate::summary`]).

use model::{SpanId, TraceId};

use super::Engine;
use super::messages::{SAMPLED, WRAPPER};
use crate::destination::Bindings;
use crate::hop::MessageState;

/// A group that is expected to have received a message and has not; anyone, if no group in particular is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The group.
    pub group: Option<String>,
    /// Whether it is overdue: pending, late or lost.
    pub state: MessageState,
}

impl Engine {
    /// Who is expected to have received what a span sent and has not, in the order of names; nothing if the message is not in memory.
    pub fn missing_of(&self, trace_id: TraceId, span_id: SpanId) -> Option<Vec<Missing>> {
        let message = self.messages.get(self.messages.find(trace_id, span_id)?);
        if message.flags & (SAMPLED | WRAPPER) != 0 || self.verdict(message).state == MessageState::DeadLettered {
            return Some(Vec::new());
        }
        let tracks = self.lanes[message.lane as usize].missing(message.delivered, message.sent_unix_nano);
        let mut missing: Vec<Missing> = tracks
            .map(|(place, track)| {
                let group = place.map(|_| self.places.names.text(track.group).to_owned());
                Missing { group, state: self.overdue(message, track).0 }
            })
            .filter(|missing| missing.state != MessageState::Unknown)
            .collect();
        // Where a group is missing, that it may be anyone tells nothing more.
        if missing.iter().any(|missing| missing.group.is_some()) {
            missing.retain(|missing| missing.group.is_some());
        }
        missing.sort();
        Some(missing)
    }

    /// What is known to be bound to what.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }
}
