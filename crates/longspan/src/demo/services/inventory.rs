//! Inventory: reserves stock for each placed order, in a trace of its own that links to the order's.

use std::sync::Arc;
use std::time::Duration;

use crate::demo::calls::{self, Query};
use crate::demo::messaging::{self, Consumer, Continuation, Job};
use crate::demo::telemetry::{Failure, Service};
use crate::demo::world::World;

const ME: Service = Service::Inventory;

const LOCK_STOCK: Query = Query::postgres(
    "inventory",
    "SELECT",
    "stock",
    "SELECT product_id, available FROM stock WHERE product_id = ANY($1) FOR UPDATE",
    3_100,
);
const TAKE_STOCK: Query = Query::postgres(
    "inventory",
    "UPDATE",
    "stock",
    "UPDATE stock SET available = available - $2 WHERE product_id = $1",
    1_700,
);
const INSERT_RESERVATION: Query = Query::postgres(
    "inventory",
    "INSERT",
    "reservations",
    "INSERT INTO reservations (order_id, product_id, quantity) SELECT * FROM UNNEST($1, $2, $3)",
    1_900,
);

pub(crate) fn open(world: &Arc<World>) {
    let consumer = Consumer::new(ME, world.places.inventory_on_orders, Continuation::OwnTrace);
    messaging::start_workers(world, consumer, world.load.workers(1.0, Duration::from_millis(20)), reserve);
}

async fn reserve(job: Job) -> Result<(), Failure> {
    let rows = job.order().items as usize;
    calls::query_many(&job.world, ME, job.context(), &LOCK_STOCK, rows).await;
    calls::query_many(&job.world, ME, job.context(), &TAKE_STOCK, rows).await;
    calls::query_many(&job.world, ME, job.context(), &INSERT_RESERVATION, rows).await;
    Ok(())
}
