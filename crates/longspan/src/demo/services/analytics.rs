//! Analytics: takes events in batches, so that one span stands for many senders' messages.

use std::sync::Arc;
use std::time::Duration;

use crate::demo::broker::SubscriptionId;
use crate::demo::calls::{self, Query};
use crate::demo::messaging::{self, Batch, BatchConsumer};
use crate::demo::telemetry::{Failure, Service};
use crate::demo::world::World;

const ME: Service = Service::Analytics;

const INSERT_EVENTS: Query = Query {
    system: "clickhouse",
    namespace: "events",
    host: "clickhouse.shop.internal",
    port: 9000,
    operation: "INSERT",
    collection: "events",
    text: "INSERT INTO events (at, kind, user_id, payload) FORMAT RowBinary",
    median: Duration::from_millis(14),
};

pub(crate) fn open(world: &Arc<World>) {
    let places = &world.places;
    start(world, places.analytics_on_orders, Duration::from_millis(2_500));
    start(world, places.analytics_on_dispatched, Duration::from_secs(5));
    start(world, places.analytics_on_page_views, Duration::from_secs(3));
}

fn start(world: &Arc<World>, subscription: SubscriptionId, linger: Duration) {
    let consumer = BatchConsumer { service: ME, subscription, max_messages: 100, linger };
    messaging::start_batch_worker(world, consumer, load);
}

async fn load(batch: Batch) -> Result<(), Failure> {
    let context = batch.span.context();
    calls::step(&batch.world, ME, context, "encode rows", Duration::from_millis(3)).await;
    calls::query_many(&batch.world, ME, context, &INSERT_EVENTS, batch.messages).await;
    Ok(())
}
