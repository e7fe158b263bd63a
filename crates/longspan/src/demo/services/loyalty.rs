//! Loyalty points, in traces of their own. Some events it can never read: retried, then published to its dead-letter topic.

use std::sync::Arc;
use std::time::Duration;

use crate::demo::calls::{self, Query};
use crate::demo::messaging::{self, Consumer, Continuation, Job};
use crate::demo::telemetry::{Failure, Service};
use crate::demo::world::World;

const ME: Service = Service::Loyalty;

const LOAD_MEMBER: Query = Query::redis("GET", "GET member:?");
const ADD_POINTS: Query = Query::postgres(
    "loyalty",
    "UPDATE",
    "members",
    "UPDATE members SET points = points + $2 WHERE user_id = $1",
    2_600,
);

pub(crate) fn open(world: &Arc<World>) {
    let consumer = Consumer {
        dead_letters: Some(world.places.loyalty_dead_letters),
        ..Consumer::new(ME, world.places.loyalty_on_orders, Continuation::OwnTrace)
    };
    messaging::start_workers(world, consumer, world.load.workers(1.0, Duration::from_millis(15)), award);
}

async fn award(job: Job) -> Result<(), Failure> {
    let order = job.order();
    job.world.work(Duration::from_millis(1)).await;
    if order.fate.loyalty_poison {
        return Err(unreadable());
    }
    calls::query(&job.world, ME, job.context(), &LOAD_MEMBER).await;
    calls::query(&job.world, ME, job.context(), &ADD_POINTS).await;
    job.span.set("loyalty.points", (order.total_cents / 100) as i64);
    Ok(())
}

fn unreadable() -> Failure {
    Failure {
        error_type: "loyalty_service::event::SchemaMismatch",
        exception: "loyalty_service::event::SchemaMismatch",
        message: "orders.placed: unknown variant `gift-card-v3` at items[0].kind".to_owned(),
        stacktrace: "   at loyalty_service::event::decode (src/event.rs:34)\n   \
                     at loyalty_service::consumer::award (src/consumer.rs:22)",
    }
}
