//! Orders: takes them, tells the world, and follows what becomes of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;

use crate::demo::broker::SubscriptionId;
use crate::demo::calls::{self, Incoming, Query};
use crate::demo::messaging::{self, Consumer, Continuation, Job, Outbound};
use crate::demo::orders::{Order, Payment, Shipping};
use crate::demo::telemetry::{Failure, Service};
use crate::demo::world::{Body, World};

const ME: Service = Service::Order;

const INSERT_ORDER: Query = Query::postgres(
    "orders",
    "INSERT",
    "orders",
    "INSERT INTO orders (id, user_id, total_cents, state) VALUES ($1, $2, $3, 'placed')",
    2_400,
);
const INSERT_ITEMS: Query = Query::postgres(
    "orders",
    "INSERT",
    "order_items",
    "INSERT INTO order_items (order_id, product_id, quantity) SELECT * FROM UNNEST($1, $2, $3)",
    1_900,
);
const UPDATE_STATE: Query =
    Query::postgres("orders", "UPDATE", "orders", "UPDATE orders SET state = $2 WHERE id = $1", 2_100);

pub(crate) fn open(world: &Arc<World>) {
    let workers = world.load.workers(1.0, Duration::from_millis(15));
    let places = &world.places;
    messaging::start_workers(world, consumer(places.order_on_captured), workers, paid);
    messaging::start_workers(world, consumer(places.order_on_declined), 1, declined);
    messaging::start_workers(world, consumer(places.order_on_dispatched), workers, dispatched);
}

fn consumer(subscription: SubscriptionId) -> Consumer {
    Consumer::new(ME, subscription, Continuation::SenderTrace)
}

/// `POST /orders`: stores the order, publishes the event everything else hangs on, and answers.
pub(crate) async fn place(world: &World, order: &Arc<Order>, headers: HashMap<String, String>) {
    let incoming =
        Incoming { method: "POST", route: "/orders", path: "/orders".to_owned(), user_id: &order.user_id, headers };
    let span = calls::begin_serving(world, ME, &incoming);
    span.set("order.id", order.id.clone());
    span.set("order.total_cents", order.total_cents as i64);
    calls::query(world, ME, span.context(), &INSERT_ORDER).await;
    calls::query_many(world, ME, span.context(), &INSERT_ITEMS, order.items as usize).await;
    messaging::send(world, Outbound::about(order, ME, span.context(), world.places.orders_placed)).await;
    messaging::send(world, Outbound::about(order, ME, span.context(), world.places.audit_trail)).await;
    send_mail(world, order, span.context(), "order-confirmation").await;
    note_fate(world, order, span.context());
    calls::finish(world, &span, 202);
}

async fn paid(job: Job) -> Result<(), Failure> {
    let order = job.order();
    calls::query(&job.world, ME, job.context(), &UPDATE_STATE).await;
    let pick = Outbound::about(&order, ME, job.context(), job.world.places.pick);
    messaging::send(&job.world, pick).await;
    Ok(())
}

async fn declined(job: Job) -> Result<(), Failure> {
    calls::query(&job.world, ME, job.context(), &UPDATE_STATE).await;
    send_mail(&job.world, &job.order(), job.context(), "payment-declined").await;
    Ok(())
}

async fn dispatched(job: Job) -> Result<(), Failure> {
    calls::query(&job.world, ME, job.context(), &UPDATE_STATE).await;
    Ok(())
}

async fn send_mail(world: &World, order: &Arc<Order>, parent: &Context, template: &'static str) {
    let body = Body::Mail { order: Arc::clone(order), template };
    let mail = Outbound { body, ..Outbound::about(order, ME, parent, world.places.mail) };
    messaging::send(world, mail).await;
}

/// The report names the trace of the first order with each fate.
fn note_fate(world: &World, order: &Order, context: &Context) {
    let what = match (order.fate.payment, order.fate.shipping) {
        (Payment::Declined, _) => "an order whose payment was declined",
        (Payment::CapturedAfter(_), _) => "an order whose payment needed retries",
        (_, Shipping::NeverAnswered) => "an order whose shipping never answered",
        (_, Shipping::NoCarrier) => "an order whose shipping label ended on a dead-letter queue",
        (_, Shipping::ShippedAfter(_)) => "an order whose carrier timed out before it answered",
        _ => "an order that went through, from checkout to the last mail",
    };
    world.ledger.note(what, &order.id, context);
}
