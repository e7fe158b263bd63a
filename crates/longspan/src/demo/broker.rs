//! The shop's message broker: topics with partitions and consumer groups, exchanges that route to queues, delays,
//! redelivery with attempts, dead-letter queues.
//!
//! A plain state machine: the caller passes the time, nothing here waits or records spans. Waiting is the bus's work
//! (`bus.rs`), instrumentation the messaging layer's (`messaging.rs`). It keeps no log of consumed messages.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How a destination is spelled, which also says which kind of broker it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    /// A partitioned topic; every consumer group gets every message.
    Topic(&'static str),
    /// An exchange and a routing key; every bound queue gets every message.
    Exchange { exchange: &'static str, routing_key: &'static str },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DestinationId(usize);

/// A consumer group's view of a topic, or a queue: what deliveries are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubscriptionId(usize);

impl SubscriptionId {
    /// Subscriptions count from zero in the order of their declaration.
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// How often and how soon a failed message comes back, and where it goes in the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    pub(crate) max_attempts: u32,
    /// The wait before the second attempt; it doubles with each further one.
    pub(crate) backoff: Duration,
    /// `None`: the broker drops the message, and the consumer may publish it elsewhere.
    pub(crate) dead_letter: Option<DestinationId>,
}

impl RetryPolicy {
    pub(crate) fn backoff_after(&self, attempt: u32) -> Duration {
        self.backoff * 2_u32.pow(attempt.saturating_sub(1).min(10))
    }
}

#[derive(Debug)]
pub(crate) struct Message<B> {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: B,
    /// Partition and offset, on topics.
    pub(crate) position: Option<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) partition: u32,
    pub(crate) offset: u64,
}

/// One attempt to have one subscription's consumers handle a message.
#[derive(Debug)]
pub(crate) struct Delivery<B> {
    pub(crate) subscription: SubscriptionId,
    pub(crate) message: Arc<Message<B>>,
    /// 1 for the first attempt.
    pub(crate) attempt: u32,
    pub(crate) tag: u64,
}

/// What became of a message whose consumer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Redelivered { after: Duration },
    DeadLettered(DestinationId),
    Dropped,
}

/// A message on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing<B> {
    pub(crate) key: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: B,
    pub(crate) delay: Duration,
}

#[derive(Debug)]
struct Destination {
    address: Address,
    subscriptions: Vec<SubscriptionId>,
    next_offsets: Vec<u64>,
}

#[derive(Debug)]
struct Subscription<B> {
    destination: DestinationId,
    name: &'static str,
    policy: RetryPolicy,
    ready: VecDeque<Waiting<B>>,
    delayed: BinaryHeap<Reverse<Waiting<B>>>,
    deliveries: u64,
}

#[derive(Debug)]
struct Waiting<B> {
    visible_at: SystemTime,
    number: u64,
    attempt: u32,
    message: Arc<Message<B>>,
}

impl<B> PartialEq for Waiting<B> {
    fn eq(&self, other: &Self) -> bool {
        (self.visible_at, self.number) == (other.visible_at, other.number)
    }
}

impl<B> Eq for Waiting<B> {}

impl<B> PartialOrd for Waiting<B> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<B> Ord for Waiting<B> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.visible_at, self.number).cmp(&(other.visible_at, other.number))
    }
}

#[derive(Debug)]
pub(crate) struct Broker<B> {
    destinations: Vec<Destination>,
    subscriptions: Vec<Subscription<B>>,
    run_tag: u64,
    accepted: u64,
}

impl<B: Clone> Broker<B> {
    /// `run_tag` goes into every message id and offset: ids of two runs must never be taken for the same message.
    pub(crate) fn new(run_tag: u64) -> Self {
        Self { destinations: Vec::new(), subscriptions: Vec::new(), run_tag, accepted: 0 }
    }

    pub(crate) fn declare_topic(&mut self, name: &'static str, partitions: u32) -> DestinationId {
        let first_offset = self.run_tag >> 40;
        let next_offsets = (0..u64::from(partitions)).map(|index| first_offset + index * 977).collect();
        self.declare(Address::Topic(name), next_offsets)
    }

    pub(crate) fn declare_exchange(&mut self, exchange: &'static str, routing_key: &'static str) -> DestinationId {
        self.declare(Address::Exchange { exchange, routing_key }, Vec::new())
    }

    fn declare(&mut self, address: Address, next_offsets: Vec<u64>) -> DestinationId {
        self.destinations.push(Destination { address, subscriptions: Vec::new(), next_offsets });
        DestinationId(self.destinations.len() - 1)
    }

    /// Adds a consumer group to a topic, or a queue to an exchange and routing key.
    pub(crate) fn subscribe(
        &mut self,
        destination: DestinationId,
        name: &'static str,
        policy: RetryPolicy,
    ) -> SubscriptionId {
        let id = SubscriptionId(self.subscriptions.len());
        self.subscriptions.push(Subscription {
            destination,
            name,
            policy,
            ready: VecDeque::new(),
            delayed: BinaryHeap::new(),
            deliveries: 0,
        });
        self.destinations[destination.0].subscriptions.push(id);
        id
    }

    pub(crate) fn address(&self, destination: DestinationId) -> Address {
        self.destinations[destination.0].address
    }

    pub(crate) fn source(&self, subscription: SubscriptionId) -> Address {
        self.address(self.subscriptions[subscription.0].destination)
    }

    /// The consumer group's or queue's name.
    pub(crate) fn name(&self, subscription: SubscriptionId) -> &'static str {
        self.subscriptions[subscription.0].name
    }

    pub(crate) fn policy(&self, subscription: SubscriptionId) -> RetryPolicy {
        self.subscriptions[subscription.0].policy
    }

    /// Messages that wait, visible or delayed; those in a consumer's hands do not count.
    pub(crate) fn depth(&self, subscription: SubscriptionId) -> usize {
        let subscription = &self.subscriptions[subscription.0];
        subscription.ready.len() + subscription.delayed.len()
    }

    /// Stores the message once for every subscription of the destination; with none, it is accepted and gone.
    pub(crate) fn publish(
        &mut self,
        destination: DestinationId,
        outgoing: Outgoing<B>,
        now: SystemTime,
    ) -> Arc<Message<B>> {
        self.accepted += 1;
        let message = Arc::new(Message {
            id: format!("{:08x}-{:012x}", self.run_tag as u32, self.accepted),
            position: self.next_position(destination, &outgoing.key),
            key: outgoing.key,
            headers: outgoing.headers,
            body: outgoing.body,
        });
        self.fan_out(destination, &message, now + outgoing.delay);
        message
    }

    fn next_position(&mut self, destination: DestinationId, key: &str) -> Option<Position> {
        let offsets = &mut self.destinations[destination.0].next_offsets;
        if offsets.is_empty() {
            return None;
        }
        // FNV-1a: the partitioner only has to spread keys and to be the same everywhere.
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let partition = (hash % offsets.len() as u64) as u32;
        let next = &mut offsets[partition as usize];
        let offset = *next;
        *next += 1;
        Some(Position { partition, offset })
    }

    fn fan_out(&mut self, destination: DestinationId, message: &Arc<Message<B>>, visible_at: SystemTime) {
        for index in 0..self.destinations[destination.0].subscriptions.len() {
            let subscription = self.destinations[destination.0].subscriptions[index];
            self.enqueue(subscription, Arc::clone(message), 1, visible_at);
        }
    }

    fn enqueue(&mut self, to: SubscriptionId, message: Arc<Message<B>>, attempt: u32, visible_at: SystemTime) {
        self.accepted += 1;
        let waiting = Waiting { visible_at, number: self.accepted, attempt, message };
        self.subscriptions[to.0].delayed.push(Reverse(waiting));
    }

    /// Makes every message visible whose time has come; answers how many are visible, per subscription that has any.
    pub(crate) fn release_due(&mut self, now: SystemTime) -> Vec<(SubscriptionId, usize)> {
        let mut visible = Vec::new();
        for (index, subscription) in self.subscriptions.iter_mut().enumerate() {
            subscription.release_due(now);
            if !subscription.ready.is_empty() {
                visible.push((SubscriptionId(index), subscription.ready.len()));
            }
        }
        visible
    }

    /// Takes up to `max` visible messages. They come back only through [`Broker::fail`].
    pub(crate) fn take(&mut self, from: SubscriptionId, max: usize, now: SystemTime) -> Vec<Delivery<B>> {
        let subscription = &mut self.subscriptions[from.0];
        subscription.release_due(now);
        let count = max.min(subscription.ready.len());
        let mut deliveries = Vec::with_capacity(count);
        for waiting in subscription.ready.drain(..count) {
            subscription.deliveries += 1;
            deliveries.push(Delivery {
                subscription: from,
                message: waiting.message,
                attempt: waiting.attempt,
                tag: subscription.deliveries,
            });
        }
        deliveries
    }

    /// The consumer could not handle the message: another attempt later, or the dead-letter queue after the last one.
    pub(crate) fn fail(&mut self, delivery: &Delivery<B>, reason: &'static str, now: SystemTime) -> Verdict {
        let policy = self.policy(delivery.subscription);
        if delivery.attempt < policy.max_attempts {
            let after = policy.backoff_after(delivery.attempt);
            let message = Arc::clone(&delivery.message);
            self.enqueue(delivery.subscription, message, delivery.attempt + 1, now + after);
            return Verdict::Redelivered { after };
        }
        let Some(grave) = policy.dead_letter else { return Verdict::Dropped };
        let message = self.with_death_headers(delivery, reason);
        self.fan_out(grave, &Arc::new(message), now);
        Verdict::DeadLettered(grave)
    }

    /// The same message (id, context and all) with the headers a dead-letter exchange adds.
    fn with_death_headers(&self, delivery: &Delivery<B>, reason: &'static str) -> Message<B> {
        let message = &delivery.message;
        let mut headers = message.headers.clone();
        headers.insert("x-first-death-queue".to_owned(), self.name(delivery.subscription).to_owned());
        headers.insert("x-first-death-reason".to_owned(), reason.to_owned());
        headers.insert("x-death-count".to_owned(), delivery.attempt.to_string());
        Message {
            id: message.id.clone(),
            key: message.key.clone(),
            headers,
            body: message.body.clone(),
            position: message.position,
        }
    }
}

impl<B> Subscription<B> {
    fn release_due(&mut self, now: SystemTime) {
        while self.delayed.peek().is_some_and(|Reverse(waiting)| waiting.visible_at <= now) {
            let Some(Reverse(waiting)) = self.delayed.pop() else { return };
            self.ready.push_back(waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn policy(max_attempts: u32, dead_letter: Option<DestinationId>) -> RetryPolicy {
        RetryPolicy { max_attempts, backoff: SECOND, dead_letter }
    }

    fn outgoing(body: &'static str, delay: Duration) -> Outgoing<&'static str> {
        Outgoing { key: body.to_owned(), headers: HashMap::new(), body, delay }
    }

    #[test]
    fn every_group_of_a_topic_gets_every_message() {
        // Guarantee: fan-out is per group, and taking in one group leaves the others' copies.
        let mut broker = Broker::new(1);
        let topic = broker.declare_topic("orders.placed", 3);
        let groups = ["payment", "inventory", "loyalty"].map(|name| broker.subscribe(topic, name, policy(3, None)));
        let sent = broker.publish(topic, outgoing("a", Duration::ZERO), at(0));
        for group in groups {
            let taken = broker.take(group, 10, at(0));
            assert_eq!(taken.len(), 1, "{}", broker.name(group));
            assert_eq!(taken[0].message.id, sent.id);
            assert!(broker.take(group, 10, at(0)).is_empty());
        }
    }

    #[test]
    fn offsets_grow_by_one_within_a_partition() {
        // Guarantee: a key always lands on the same partition, and its offsets are consecutive.
        let mut broker = Broker::new(77 << 32);
        let topic = broker.declare_topic("t", 6);
        let positions: Vec<Position> = (0..5)
            .map(|_| broker.publish(topic, outgoing("same key", Duration::ZERO), at(0)).position.unwrap())
            .collect();
        for pair in positions.windows(2) {
            assert_eq!(pair[1], Position { offset: pair[0].offset + 1, ..pair[0] });
        }
    }

    #[test]
    fn a_failed_message_comes_back_with_backoff() {
        // Guarantee: attempt n+1 is invisible until the doubled backoff has passed.
        let mut broker = Broker::new(1);
        let exchange = broker.declare_exchange("fulfilment", "pick");
        let queue = broker.subscribe(exchange, "warehouse.pick", policy(3, None));
        broker.publish(exchange, outgoing("a", Duration::ZERO), at(0));
        let first = broker.take(queue, 1, at(0)).remove(0);
        assert_eq!(broker.fail(&first, "rejected", at(0)), Verdict::Redelivered { after: SECOND });
        assert!(broker.take(queue, 1, at(0)).is_empty());
        let second = broker.take(queue, 1, at(1)).remove(0);
        assert_eq!((second.attempt, &second.message.id), (2, &first.message.id));
        assert_eq!(broker.fail(&second, "rejected", at(1)), Verdict::Redelivered { after: 2 * SECOND });
        assert!(broker.take(queue, 1, at(2)).is_empty());
        assert_eq!(broker.take(queue, 1, at(3))[0].attempt, 3);
    }

    #[test]
    fn the_last_failure_sends_it_to_the_dead_letter_queue() {
        // Guarantee: after max_attempts the message leaves its queue for the dead-letter queue, with id and death headers.
        let mut broker = Broker::new(1);
        let grave = broker.declare_exchange("dlx", "q");
        let parked = broker.subscribe(grave, "q.dlq", policy(1, None));
        let exchange = broker.declare_exchange("", "q");
        let queue = broker.subscribe(exchange, "q", policy(2, Some(grave)));
        let sent = broker.publish(exchange, outgoing("poison", Duration::ZERO), at(0));
        let first = broker.take(queue, 1, at(0)).remove(0);
        broker.fail(&first, "rejected", at(0));
        let second = broker.take(queue, 1, at(1)).remove(0);
        assert_eq!(broker.fail(&second, "rejected", at(1)), Verdict::DeadLettered(grave));
        assert_eq!((broker.depth(queue), broker.depth(parked)), (0, 1));
        let dead = broker.take(parked, 1, at(1)).remove(0);
        assert_eq!((&dead.message.id, dead.attempt), (&sent.id, 1));
        assert_eq!(dead.message.headers["x-first-death-queue"], "q");
        assert_eq!(dead.message.headers["x-death-count"], "2");
        assert_eq!(broker.fail(&dead, "rejected", at(1)), Verdict::Dropped);
    }

    #[test]
    fn delayed_messages_wait_and_batches_take_what_is_there() {
        // Guarantee: a delay hides a message until its time; a batch takes visible messages only, oldest first, up to max.
        let mut broker = Broker::new(1);
        let topic = broker.declare_topic("t", 1);
        let group = broker.subscribe(topic, "g", policy(1, None));
        for (body, delay) in
            [("later", 5 * SECOND), ("a", Duration::ZERO), ("b", Duration::ZERO), ("c", Duration::ZERO)]
        {
            broker.publish(topic, outgoing(body, delay), at(0));
        }
        assert_eq!(broker.release_due(at(0)), [(group, 3)]);
        let bodies = |batch: &[Delivery<&'static str>]| batch.iter().map(|d| d.message.body).collect::<Vec<_>>();
        assert_eq!(bodies(&broker.take(group, 2, at(0))), ["a", "b"]);
        assert_eq!(bodies(&broker.take(group, 100, at(0))), ["c"]);
        assert_eq!(bodies(&broker.take(group, 100, at(5))), ["later"]);
        assert_eq!(broker.depth(group), 0);
    }
}
