//! What can be said of messages for the time in which nobody watched: the server was down, or receivers lost the context of what they
//! received.
//!
//! Time does not pass for a message while nobody watches, nor in the [`GRACE_NS`] after that, in which senders deliver what they
//! kept. Senders keep little: what was open during a longer absence and is not found soon after is unknown, not lost. The same holds
//! for a group that receives messages which it cannot name while it is missed for others: it may well have had them.

use std::collections::HashMap;

use super::Engine;
use super::arrival::Arrival;
use super::checkpoint::bytes::{Read, Reader, Writer};
use super::expect::Track;
use super::messages::Message;
use super::names::{NONE, Places};
use crate::hop::MessageState;

/// After an absence time stands still for so long, so that senders can catch up.
pub const GRACE_NS: u64 = 30_000_000_000;
/// After an absence of so long not everything is sent again.
pub const ABSENCE_LONG_NS: u64 = 30_000_000_000;
/// Absences that are remembered.
const ABSENCES_MAX: usize = 16;
/// Groups whose lost contexts are remembered.
const STRAYS_MAX: usize = 4_096;

/// A time in which nobody watched, Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Absence {
    from: u64,
    back: u64,
}

impl Absence {
    fn settled(self) -> u64 {
        self.back.saturating_add(GRACE_NS)
    }
}

/// What is known of not knowing.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    absences: Vec<Absence>,
    /// When a group was last heard of with a message that it could not name: by destination and group, and by what it reads.
    strays: HashMap<(u32, u32), u64>,
}

impl Watch {
    /// How much of the time between two instants does not count.
    fn away_ns(&self, from: u64, to: u64) -> u64 {
        let away = |absence: &Absence| absence.settled().min(to).saturating_sub(absence.from.max(from));
        self.absences.iter().map(away).fold(0, u64::saturating_add)
    }

    /// How much time that counts passed between two instants.
    pub(super) fn elapsed_ns(&self, from: u64, to: u64) -> u64 {
        to.saturating_sub(from).saturating_sub(self.away_ns(from, to))
    }

    /// The instant at which so much time that counts will have passed since another, Unix nanoseconds.
    pub(super) fn due_unix_nano(&self, from: u64, after_ns: u64) -> u64 {
        from.saturating_add(after_ns).saturating_add(self.away_ns(from, u64::MAX))
    }

    /// Whether something that ends a time after an instant may have happened in a long absence.
    pub(super) fn may_have_missed(&self, from: u64, within_ns: u64) -> bool {
        let is_long = |absence: &&Absence| absence.back.saturating_sub(absence.from) >= ABSENCE_LONG_NS;
        let long = self.absences.iter().filter(is_long);
        long.filter(|absence| from <= absence.from).any(|absence| self.elapsed_ns(from, absence.from) < within_ns)
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.list(self.absences.iter(), |out, absence| {
            out.number(absence.from);
            out.number(absence.back);
        });
        let mut strays: Vec<_> = self.strays.iter().collect();
        strays.sort_unstable();
        out.list(strays.into_iter(), |out, (&(destination, group), &heard)| {
            out.numbers([destination, group]);
            out.number(heard);
        });
    }

    pub(super) fn read(&mut self, from: &mut Reader<'_>) -> Read<()> {
        from.list(|from| {
            let absence = Absence { from: from.number()?, back: from.number()? };
            self.add(absence);
            Ok(())
        })?;
        from.list(|from| {
            let [destination, group] = from.numbers()?;
            self.strays.insert((destination, group), from.number()?);
            Ok(())
        })
    }

    fn add(&mut self, absence: Absence) {
        if self.absences.len() >= ABSENCES_MAX {
            self.absences.remove(0);
        }
        // Time that does not count twice: what is left of a grace is a part of the next absence.
        if let Some(last) = self.absences.last_mut()
            && last.settled() > absence.from
        {
            last.back = last.back.max(absence.back);
            return;
        }
        self.absences.push(absence);
    }

    fn stray(&mut self, key: (u32, u32), heard_unix_nano: u64) {
        if self.strays.len() < STRAYS_MAX || self.strays.contains_key(&key) {
            let heard = self.strays.entry(key).or_default();
            *heard = heard_unix_nano.max(*heard);
        }
    }
}

impl Engine {
    /// Nobody watched until now, Unix nanoseconds, since an instant or since the engine was told of anything for the last time.
    pub fn resume(&mut self, since_unix_nano: u64, now_unix_nano: u64) {
        let from = self.now_unix_nano.max(since_unix_nano);
        if self.now_unix_nano > 0 && from < now_unix_nano {
            self.watch.add(Absence { from, back: now_unix_nano });
            let open: Vec<u32> = self.messages.open().collect();
            for at in open {
                self.set_timer(at);
            }
        }
    }

    /// Whether a message that one is expected to have received is pending, late, lost, or cannot be judged.
    pub(super) fn overdue(&self, message: &Message, track: &Track) -> (MessageState, Option<u64>) {
        let (late_ns, lost_ns) = track.deadlines_ns(self.options.patience);
        let heard = message.heard_unix_nano;
        match self.watch.elapsed_ns(heard, self.now_unix_nano) {
            elapsed if elapsed < late_ns => (MessageState::Pending, Some(late_ns)),
            _ if self.watch.may_have_missed(heard, lost_ns) || self.is_stray(message, track) => {
                (MessageState::Unknown, None)
            }
            elapsed if elapsed < lost_ns => (MessageState::Late, Some(lost_ns)),
            _ => (MessageState::Lost, None),
        }
    }

    /// Whether a group has received something that it could not name since it was last seen to receive a message, which was sent before
    /// this one.
    fn is_stray(&self, message: &Message, track: &Track) -> bool {
        let destination = self.places.destination_of_lane(message.lane);
        let keys = [(destination, track.group), (NONE, track.group)];
        let heard = keys.iter().filter_map(|key| self.watch.strays.get(key)).max();
        heard.is_some_and(|&heard| heard > track.heard_unix_nano) && message.ordinal > track.last
    }

    /// A group received something, and nothing tells what.
    pub(super) fn note_stray(&mut self, arrival: &Arrival) {
        let Engine { watch, places, .. } = self;
        let Places { destinations, .. } = places;
        let group = if arrival.label == NONE { arrival.service } else { arrival.label };
        watch.stray((arrival.destination, group), arrival.heard_unix_nano);
        // Of what is bound to something else, the name is the group.
        watch.stray((NONE, destinations.get(arrival.destination)[1]), arrival.heard_unix_nano);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_nobody_watches() {
        // Guarantees that an absence and the grace after it do not count, however they overlap, and that no time counts twice.
        const SECOND: u64 = 1_000_000_000;
        let mut watch = Watch::default();
        watch.add(Absence { from: 100 * SECOND, back: 200 * SECOND });
        assert_eq!(watch.elapsed_ns(90 * SECOND, 100 * SECOND), 10 * SECOND);
        assert_eq!(watch.elapsed_ns(90 * SECOND, 215 * SECOND), 10 * SECOND);
        assert_eq!(watch.elapsed_ns(90 * SECOND, 240 * SECOND), 20 * SECOND);
        assert_eq!(watch.elapsed_ns(215 * SECOND, 240 * SECOND), 10 * SECOND);
        assert_eq!(watch.due_unix_nano(90 * SECOND, 20 * SECOND), 240 * SECOND);
        watch.add(Absence { from: 210 * SECOND, back: 220 * SECOND });
        assert_eq!(watch.elapsed_ns(90 * SECOND, 250 * SECOND), 10 * SECOND);
        assert!(watch.may_have_missed(90 * SECOND, 15 * SECOND) && !watch.may_have_missed(80 * SECOND, 15 * SECOND));
    }
}
