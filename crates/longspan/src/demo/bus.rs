//! The broker with waiting: consumers await messages, delayed messages appear when their time has come.
//!
//! Stands between the pure broker and the instrumented messaging layer. It records nothing.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::broker::{Broker, Delivery, DestinationId, Message, Outgoing, SubscriptionId, Verdict};
use super::clock::{Clock, locked};

pub(crate) struct Bus<B> {
    state: Arc<Mutex<State<B>>>,
    clock: Clock,
}

struct State<B> {
    broker: Broker<B>,
    waiting: Vec<VecDeque<Waker>>,
}

impl<B> Clone for Bus<B> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), clock: self.clock.clone() }
    }
}

impl<B: Clone + Send + Sync + 'static> Bus<B> {
    pub(crate) fn new(broker: Broker<B>, clock: Clock) -> Self {
        Self { state: Arc::new(Mutex::new(State { broker, waiting: Vec::new() })), clock }
    }

    /// Reads or declares something at the broker.
    pub(crate) fn with_broker<T>(&self, read: impl FnOnce(&mut Broker<B>) -> T) -> T {
        read(&mut locked(&self.state).broker)
    }

    pub(crate) fn publish(&self, to: DestinationId, outgoing: Outgoing<B>) -> Arc<Message<B>> {
        let delay = outgoing.delay;
        let message = locked(&self.state).broker.publish(to, outgoing, self.clock.now());
        self.release_after(delay);
        message
    }

    pub(crate) fn fail(&self, delivery: &Delivery<B>, reason: &'static str) -> Verdict {
        let verdict = locked(&self.state).broker.fail(delivery, reason, self.clock.now());
        match verdict {
            Verdict::Redelivered { after } => self.release_after(after),
            Verdict::DeadLettered(_) => self.release_after(Duration::ZERO),
            Verdict::Dropped => {}
        }
        verdict
    }

    /// Waits until at least one message is visible and takes up to `max` of them.
    pub(crate) async fn receive(&self, from: SubscriptionId, max: usize) -> Vec<Delivery<B>> {
        poll_fn(|cx| {
            let mut state = locked(&self.state);
            let taken = state.broker.take(from, max, self.clock.now());
            if !taken.is_empty() {
                return Poll::Ready(taken);
            }
            let index = from.index();
            if state.waiting.len() <= index {
                state.waiting.resize_with(index + 1, VecDeque::new);
            }
            state.waiting[index].push_back(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Takes what is visible right now, perhaps nothing.
    pub(crate) fn take_now(&self, from: SubscriptionId, max: usize) -> Vec<Delivery<B>> {
        locked(&self.state).broker.take(from, max, self.clock.now())
    }

    fn release_after(&self, delay: Duration) {
        if delay.is_zero() {
            return self.release_due();
        }
        let bus = self.clone();
        let sleep = self.clock.sleep(delay);
        self.clock.spawn(async move {
            sleep.await;
            bus.release_due();
        });
    }

    /// Wakes one waiting consumer for every visible message. All visible ones count, not only those just released: a busy
    /// consumer's own take may have released them a moment ago, without waking anybody.
    fn release_due(&self) {
        let mut state = locked(&self.state);
        for (subscription, count) in state.broker.release_due(self.clock.now()) {
            let Some(waiting) = state.waiting.get_mut(subscription.index()) else { continue };
            let woken = count.min(waiting.len());
            waiting.drain(..woken).for_each(Waker::wake);
        }
    }
}
