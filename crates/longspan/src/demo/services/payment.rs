//! Payment: charges through a third party that sometimes fails, and settles captured payments with the bank in batches.

use std::sync::Arc;
use std::time::Duration;

use crate::demo::calls::{self, Query, Request};
use crate::demo::messaging::{self, Batch, BatchConsumer, Consumer, Continuation, Job, Outbound};
use crate::demo::orders::Payment;
use crate::demo::telemetry::{Failure, Service};
use crate::demo::world::World;

const ME: Service = Service::Payment;
const CHARGE_MEDIAN: Duration = Duration::from_millis(280);
const SETTLEMENT_LINGER: Duration = Duration::from_secs(12);

const INSERT_PAYMENT: Query = Query::postgres(
    "payments",
    "INSERT",
    "payments",
    "INSERT INTO payments (order_id, amount_cents, state) VALUES ($1, $2, $3)",
    2_200,
);
const MARK_SETTLED: Query = Query::postgres(
    "payments",
    "UPDATE",
    "payments",
    "UPDATE payments SET settled_at = now() WHERE order_id = ANY($1)",
    4_000,
);

pub(crate) fn open(world: &Arc<World>) {
    let charging = Consumer::new(ME, world.places.payment_on_orders, Continuation::SenderTrace);
    messaging::start_workers(world, charging, world.load.workers(1.1, CHARGE_MEDIAN), charge);
    let settlement = BatchConsumer {
        service: ME,
        subscription: world.places.settlement_on_captured,
        max_messages: 100,
        linger: SETTLEMENT_LINGER,
    };
    messaging::start_batch_worker(world, settlement, settle);
}

async fn charge(job: Job) -> Result<(), Failure> {
    let order = job.order();
    let outcome = match order.fate.payment {
        Payment::CapturedAfter(failures) if job.attempt() <= failures => Err(unavailable()),
        Payment::Declined => Ok(402),
        _ => Ok(201),
    };
    let request = Request::post("api.pay.example", "/v1/charges");
    calls::call(&job.world, ME, job.context(), (request, CHARGE_MEDIAN), outcome).await?;
    calls::query(&job.world, ME, job.context(), &INSERT_PAYMENT).await;
    let places = &job.world.places;
    let declined = order.fate.payment == Payment::Declined;
    job.span.set("payment.state", if declined { "declined" } else { "captured" });
    let to = if declined { places.payments_declined } else { places.payments_captured };
    messaging::send(&job.world, Outbound::about(&order, ME, job.context(), to)).await;
    Ok(())
}

async fn settle(batch: Batch) -> Result<(), Failure> {
    let request = Request::post("clearing.bank.example", "/v2/settlements");
    let context = batch.span.context();
    calls::call(&batch.world, ME, context, (request, Duration::from_millis(620)), Ok(202)).await?;
    calls::query_many(&batch.world, ME, context, &MARK_SETTLED, batch.messages).await;
    Ok(())
}

fn unavailable() -> Failure {
    Failure {
        error_type: "503",
        exception: "payment_service::provider::Unavailable",
        message: "payment provider answered 503 Service Unavailable".to_owned(),
        stacktrace: "   at payment_service::provider::charge (src/provider.rs:118)\n   \
                     at payment_service::consumer::on_order_placed (src/consumer.rs:61)",
    }
}
