//! The warehouse: people pick and pack, which takes seconds; the parcel then waits for the carrier's pick-up.

use std::sync::Arc;
use std::time::Duration;

use crate::demo::calls::{self, Query};
use crate::demo::messaging::{self, Consumer, Continuation, Job, Outbound};
use crate::demo::telemetry::{Failure, Service};
use crate::demo::world::World;

const ME: Service = Service::Warehouse;
const PICK_MEDIAN: Duration = Duration::from_millis(900);
const PACK_MEDIAN: Duration = Duration::from_millis(600);

const INSERT_PARCEL: Query = Query::postgres(
    "warehouse",
    "INSERT",
    "parcels",
    "INSERT INTO parcels (order_id, weight_grams, dock) VALUES ($1, $2, $3)",
    2_000,
);

pub(crate) fn open(world: &Arc<World>) {
    let consumer = Consumer::new(ME, world.places.pick_queue, Continuation::SenderTrace);
    let workers = world.load.workers(1.0, PICK_MEDIAN + PACK_MEDIAN);
    messaging::start_workers(world, consumer, workers, pick_and_pack);
}

async fn pick_and_pack(job: Job) -> Result<(), Failure> {
    let order = job.order();
    calls::step(&job.world, ME, job.context(), "pick items", PICK_MEDIAN).await;
    calls::step(&job.world, ME, job.context(), "pack parcel", PACK_MEDIAN).await;
    calls::query(&job.world, ME, job.context(), &INSERT_PARCEL).await;
    let ship = Outbound::about(&order, ME, job.context(), job.world.places.ship);
    messaging::send(&job.world, Outbound { delay: order.fate.pick_up_delay, ..ship }).await;
    Ok(())
}
