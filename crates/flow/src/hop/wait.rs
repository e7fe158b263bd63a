//! How long a message waited, by the best evidence there is: the broker's clock, a header, the instrumentation, the spans' times.
//!
//! A span that processes may start while the span that sends is still open (it waits for the broker to confirm): that is a wait of
//! zero, not a wrong clock. Only what is received before sending began tells that clocks disagree; then there is no figure. A span
//! that asks for messages may start long before there is one: the message then came when it ended. An instant in whole seconds
//! is not better than a span that ended in that second.

use super::arrival::Arrival;
use super::{Views, WaitSource};
use crate::cone::Cone;
use crate::critical_path::end;
use crate::semconv::{Role, SentAtSource};

/// Clocks that disagree by less are taken to agree.
const SKEW_TOLERATED_NS: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// A message's wait.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wait {
    pub(super) queue_wait_ns: Option<u64>,
    pub(super) source: Option<WaitSource>,
    pub(super) clock_skew: bool,
    /// From when to when, if it was longer than nothing.
    pub(super) stretch: Option<(u64, u64)>,
}

/// The wait of a message before an arrival; `earlier_end` is when the attempt before gave it back.
pub(super) fn wait(cone: &Cone, views: &Views<'_>, arrival: &Arrival<'_>, earlier_end: Option<u64>) -> Wait {
    let (start, stop) = (cone.span(arrival.to).start_unix_nano(), end(cone, arrival.to));
    let polls = views.get(&arrival.to).is_some_and(|view| view.role == Role::Receive);
    let facts = arrival.facts(views);
    let sender = arrival.from.node().map(|node| (cone.span(node).start_unix_nano(), end(cone, node)));
    // When it came, if it was sent then.
    let received = |sent: u64| if polls && start < sent && sent <= stop { stop } else { start };
    if let Some(earlier_end) = earlier_end {
        return Wait::between(earlier_end, earlier_end, start.max(earlier_end), WaitSource::Spans);
    }
    if let Some(sent_at) = facts.sent_at.filter(|sent_at| !is_coarse(sent_at.unix_nano, sender)) {
        let source = match sent_at.source {
            SentAtSource::Broker => WaitSource::Broker,
            SentAtSource::Header => WaitSource::Header,
        };
        return Wait::between(sent_at.unix_nano, sent_at.unix_nano, received(sent_at.unix_nano), source);
    }
    if let Some(queue_wait_ns) = facts.queue_wait_ns {
        let stretch = (queue_wait_ns > 0).then(|| (start.saturating_sub(queue_wait_ns), start));
        return Wait {
            queue_wait_ns: Some(queue_wait_ns),
            source: Some(WaitSource::Attribute),
            clock_skew: false,
            stretch,
        };
    }
    let Some((began, ended)) = sender else { return Wait::default() };
    Wait::between(began, ended, received(ended), WaitSource::Spans)
}

/// Whether an instant is in whole seconds, and the sender's span knows it better.
fn is_coarse(unix_nano: u64, sender: Option<(u64, u64)>) -> bool {
    let within = |(_, ended): (u64, u64)| (unix_nano..unix_nano.saturating_add(SECOND_NS)).contains(&ended);
    unix_nano.is_multiple_of(SECOND_NS) && sender.is_some_and(within)
}

impl Wait {
    /// The wait of what was sent at some time from `began` to `ended`.
    fn between(began: u64, ended: u64, received: u64, source: WaitSource) -> Wait {
        if received.saturating_add(SKEW_TOLERATED_NS) < began {
            return Wait { clock_skew: true, ..Wait::default() };
        }
        let queue_wait_ns = received.saturating_sub(ended);
        let stretch = (queue_wait_ns > 0).then_some((ended, received));
        Wait { queue_wait_ns: Some(queue_wait_ns), source: Some(source), clock_skew: false, stretch }
    }
}
