//! Shipping: asks a carrier for a label. Some messages its workers take and lose; some no carrier wants.

use std::sync::Arc;
use std::time::Duration;

use crate::demo::calls::{self, Query, Request};
use crate::demo::messaging::{self, Consumer, Continuation, Job, Outbound};
use crate::demo::orders::Shipping;
use crate::demo::telemetry::{Failure, Service};
use crate::demo::world::{Body, World};

const ME: Service = Service::Shipping;
const LABEL_MEDIAN: Duration = Duration::from_millis(340);
const CARRIER_TIMEOUT: Duration = Duration::from_secs(3);

const INSERT_SHIPMENT: Query = Query::postgres(
    "shipping",
    "INSERT",
    "shipments",
    "INSERT INTO shipments (order_id, carrier, tracking_code) VALUES ($1, $2, $3)",
    2_300,
);

pub(crate) fn open(world: &Arc<World>) {
    let consumer = Consumer {
        loses: |order| order.fate.shipping == Shipping::NeverAnswered,
        ..Consumer::new(ME, world.places.ship_queue, Continuation::SenderTrace)
    };
    let workers = world.load.workers(1.1, LABEL_MEDIAN + Duration::from_millis(150));
    messaging::start_workers(world, consumer, workers, label);
}

async fn label(job: Job) -> Result<(), Failure> {
    let order = job.order();
    let (median, outcome) = match order.fate.shipping {
        Shipping::ShippedAfter(timeouts) if job.attempt() <= timeouts => (CARRIER_TIMEOUT, Err(timed_out())),
        Shipping::NoCarrier => (LABEL_MEDIAN, Err(no_carrier())),
        _ => (LABEL_MEDIAN, Ok(201)),
    };
    let carrier = job.world.roll(|random| *random.pick(&["api.parcel.example", "labels.northpost.example"]));
    let request = Request::post(carrier, "/v2/labels");
    calls::call(&job.world, ME, job.context(), (request, median), outcome).await?;
    calls::query(&job.world, ME, job.context(), &INSERT_SHIPMENT).await;
    let dispatched = Outbound::about(&order, ME, job.context(), job.world.places.shipments_dispatched);
    messaging::send(&job.world, dispatched).await;
    let body = Body::Mail { order: Arc::clone(&order), template: "on-its-way" };
    let mail = Outbound::about(&order, ME, job.context(), job.world.places.mail);
    messaging::send(&job.world, Outbound { body, ..mail }).await;
    Ok(())
}

fn timed_out() -> Failure {
    Failure {
        error_type: "timeout",
        exception: "shipping_service::carrier::Timeout",
        message: "the carrier did not answer within 3 s".to_owned(),
        stacktrace: "   at shipping_service::carrier::request_label (src/carrier.rs:87)\n   \
                     at shipping_service::label::handle (src/label.rs:44)",
    }
}

fn no_carrier() -> Failure {
    Failure {
        error_type: "422",
        exception: "shipping_service::carrier::NoRoute",
        message: "no carrier delivers to this postcode".to_owned(),
        stacktrace: "   at shipping_service::carrier::choose (src/carrier.rs:52)\n   \
                     at shipping_service::label::handle (src/label.rs:39)",
    }
}
