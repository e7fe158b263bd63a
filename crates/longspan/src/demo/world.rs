//! Everything the shop's services share: the clock, the bus, the telemetry, the dice, the load, and the layout of
//! destinations and consumer groups.
//!
//! Services hold it in an `Arc` and keep no state of their own.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry::Context;
use opentelemetry::trace::{SpanBuilder, TraceContextExt};

use super::broker::{Broker, DestinationId, RetryPolicy, SubscriptionId};
use super::bus::Bus;
use super::clock::{Clock, locked};
use super::orders::Order;
use super::random::Random;
use super::telemetry::{Library, OpenSpan, Service, Telemetry};

/// What messages carry.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Order(Arc<Order>),
    Mail { order: Arc<Order>, template: &'static str },
    PageView,
}

impl Body {
    pub(crate) fn order(&self) -> Option<&Arc<Order>> {
        match self {
            Self::Order(order) | Self::Mail { order, .. } => Some(order),
            Self::PageView => None,
        }
    }

    /// As a JSON encoding would have it.
    pub(crate) fn size_bytes(&self) -> i64 {
        let size = match self {
            Self::Order(order) => 312 + 74 * order.items,
            Self::Mail { order, template } => 148 + template.len() as u64 + 22 * order.items,
            Self::PageView => 203,
        };
        size as i64
    }
}

/// How much is going on; worker counts and service times follow from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    pub(crate) run_tag: u64,
    pub(crate) orders_per_second: f64,
    /// Stop taking orders after this many.
    pub(crate) orders: Option<u64>,
}

impl Load {
    /// Workers that keep up with this many messages an order, each taking `busy`, at about two thirds of their capacity.
    pub(crate) fn workers(&self, messages_per_order: f64, busy: Duration) -> usize {
        let demand = self.orders_per_second * messages_per_order * busy.as_secs_f64();
        ((demand / 0.65).ceil() as usize).clamp(1, 512)
    }
}

/// What has happened so far, for the report.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) orders: AtomicU64,
    pub(crate) dead_letters: AtomicU64,
    pub(crate) unanswered: AtomicU64,
    pub(crate) notable: Mutex<Vec<Notable>>,
}

/// The first trace that shows a scenario: something to open in the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notable {
    /// A sentence for people.
    pub(crate) what: &'static str,
    pub(crate) order_id: String,
    /// Lower-case hex.
    pub(crate) trace_id: String,
}

impl fmt::Display for Notable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "trace {} · order {} · {}", self.trace_id, self.order_id, self.what)
    }
}

impl Ledger {
    /// Remembers the first of each kind.
    pub(crate) fn note(&self, what: &'static str, order_id: &str, context: &Context) {
        let mut notable = locked(&self.notable);
        if notable.iter().any(|known| known.what == what) {
            return;
        }
        let trace_id = context.span().span_context().trace_id().to_string();
        notable.push(Notable { what, order_id: order_id.to_owned(), trace_id });
    }

    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) bus: Bus<Body>,
    pub(crate) telemetry: Telemetry,
    pub(crate) places: Places,
    pub(crate) load: Load,
    pub(crate) ledger: Ledger,
    random: Mutex<Random>,
    opened_at: SystemTime,
}

impl World {
    pub(crate) fn new(clock: Clock, telemetry: Telemetry, load: Load) -> Self {
        let mut broker = Broker::new(load.run_tag);
        let places = Places::declare(&mut broker);
        Self {
            bus: Bus::new(broker, clock.clone()),
            places,
            telemetry,
            load,
            ledger: Ledger::default(),
            random: Mutex::new(Random::new(load.seed)),
            opened_at: clock.now(),
            clock,
        }
    }

    /// Draws from the shop's dice.
    pub(crate) fn roll<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut locked(&self.random))
    }

    /// How long the shop has been open, in logical time.
    pub(crate) fn open_for(&self) -> Duration {
        self.clock.now().duration_since(self.opened_at).unwrap_or_default()
    }

    /// Sleeps for about this long.
    pub(crate) async fn work(&self, median: Duration) {
        let duration = self.roll(|random| random.around(median));
        self.clock.sleep(duration).await;
    }

    pub(crate) fn start(&self, origin: (Service, Library), parent: &Context, span: SpanBuilder) -> OpenSpan {
        self.telemetry.start(origin, parent, span, self.clock.now())
    }

    pub(crate) fn end(&self, span: &OpenSpan) {
        span.end(self.clock.now());
    }
}

/// The destinations and who listens there.
pub(crate) struct Places {
    pub(crate) orders_placed: DestinationId,
    /// Nobody listens here.
    pub(crate) audit_trail: DestinationId,
    pub(crate) payments_captured: DestinationId,
    pub(crate) payments_declined: DestinationId,
    pub(crate) shipments_dispatched: DestinationId,
    pub(crate) page_views: DestinationId,
    pub(crate) loyalty_dead_letters: DestinationId,
    pub(crate) pick: DestinationId,
    pub(crate) ship: DestinationId,
    pub(crate) mail: DestinationId,

    pub(crate) payment_on_orders: SubscriptionId,
    pub(crate) inventory_on_orders: SubscriptionId,
    pub(crate) loyalty_on_orders: SubscriptionId,
    pub(crate) analytics_on_orders: SubscriptionId,
    pub(crate) order_on_captured: SubscriptionId,
    pub(crate) settlement_on_captured: SubscriptionId,
    pub(crate) order_on_declined: SubscriptionId,
    pub(crate) order_on_dispatched: SubscriptionId,
    pub(crate) analytics_on_dispatched: SubscriptionId,
    pub(crate) analytics_on_page_views: SubscriptionId,
    pub(crate) support_on_loyalty_dead_letters: SubscriptionId,
    pub(crate) pick_queue: SubscriptionId,
    pub(crate) ship_queue: SubscriptionId,
    pub(crate) mail_queue: SubscriptionId,
    pub(crate) mail_dead_letter_queue: SubscriptionId,
    /// Nobody empties this one.
    pub(crate) ship_dead_letter_queue: SubscriptionId,
}

impl Places {
    fn declare(broker: &mut Broker<Body>) -> Self {
        let retry = |max_attempts, seconds, dead_letter| RetryPolicy {
            max_attempts,
            backoff: Duration::from_secs(seconds),
            dead_letter,
        };
        let orders_placed = broker.declare_topic("orders.placed", 6);
        let audit_trail = broker.declare_topic("audit.trail", 1);
        let payments_captured = broker.declare_topic("payments.captured", 3);
        let payments_declined = broker.declare_topic("payments.declined", 3);
        let shipments_dispatched = broker.declare_topic("shipments.dispatched", 3);
        let page_views = broker.declare_topic("storefront.pageviews", 6);
        let loyalty_dead_letters = broker.declare_topic("orders.placed.loyalty-service.DLT", 1);
        let pick = broker.declare_exchange("fulfilment", "pick");
        let ship = broker.declare_exchange("fulfilment", "ship");
        let mail = broker.declare_exchange("notifications", "email.outbox");
        let dead_ship = broker.declare_exchange("shop.dlx", "shipping.label");
        let dead_mail = broker.declare_exchange("shop.dlx", "email.outbox");
        Self {
            payment_on_orders: broker.subscribe(orders_placed, "payment-service", retry(5, 1, None)),
            inventory_on_orders: broker.subscribe(orders_placed, "inventory-service", retry(5, 1, None)),
            loyalty_on_orders: broker.subscribe(orders_placed, "loyalty-service", retry(4, 1, None)),
            analytics_on_orders: broker.subscribe(orders_placed, "analytics", retry(1, 1, None)),
            order_on_captured: broker.subscribe(payments_captured, "order-service", retry(5, 1, None)),
            settlement_on_captured: broker.subscribe(payments_captured, "payment-settlement", retry(1, 1, None)),
            order_on_declined: broker.subscribe(payments_declined, "order-service", retry(5, 1, None)),
            order_on_dispatched: broker.subscribe(shipments_dispatched, "order-service", retry(5, 1, None)),
            analytics_on_dispatched: broker.subscribe(shipments_dispatched, "analytics", retry(1, 1, None)),
            analytics_on_page_views: broker.subscribe(page_views, "analytics", retry(1, 1, None)),
            support_on_loyalty_dead_letters: broker.subscribe(loyalty_dead_letters, "support-desk", retry(3, 1, None)),
            pick_queue: broker.subscribe(pick, "warehouse.pick", retry(3, 2, None)),
            ship_queue: broker.subscribe(ship, "shipping.label", retry(3, 3, Some(dead_ship))),
            mail_queue: broker.subscribe(mail, "email.outbox", retry(3, 2, Some(dead_mail))),
            mail_dead_letter_queue: broker.subscribe(dead_mail, "email.outbox.dlq", retry(3, 1, None)),
            ship_dead_letter_queue: broker.subscribe(dead_ship, "shipping.label.dlq", retry(1, 1, None)),
            orders_placed,
            audit_trail,
            payments_captured,
            payments_declined,
            shipments_dispatched,
            page_views,
            loyalty_dead_letters,
            pick,
            ship,
            mail,
        }
    }
}
