//! Email: the slow consumer. It keeps up on average, but its provider throttles it now and then, and the queue backs up.

use std::sync::Arc;
use std::time::Duration;

use crate::demo::calls;
use crate::demo::messaging::{self, Consumer, Continuation, Job};
use crate::demo::telemetry::{Failure, Service};
use crate::demo::world::World;

const ME: Service = Service::Email;
const MAILS_PER_ORDER: f64 = 1.95;
const SEND_TARGET: Duration = Duration::from_millis(250);
/// Within each period, the provider throttles in this window.
const THROTTLE_PERIOD: Duration = Duration::from_mins(2);
const THROTTLED_FROM: Duration = Duration::from_secs(12);
const THROTTLED_UNTIL: Duration = Duration::from_secs(42);
const THROTTLE_FACTOR: u32 = 4;

pub(crate) fn open(world: &Arc<World>) {
    let consumer = Consumer::new(ME, world.places.mail_queue, Continuation::SenderTrace);
    messaging::start_workers(world, consumer, workers(world), deliver);
}

fn workers(world: &World) -> usize {
    world.load.workers(MAILS_PER_ORDER, SEND_TARGET)
}

/// Chosen so that the workers are half busy whatever the load: throttling then always backs the queue up, and there is
/// always enough left to drain it before the next time (on average seven eighths are busy).
fn send_time(world: &World) -> Duration {
    let mails_per_second = world.load.orders_per_second * MAILS_PER_ORDER;
    let usual = Duration::from_secs_f64(0.5 * workers(world) as f64 / mails_per_second);
    usual.clamp(Duration::from_millis(60), Duration::from_millis(1_500))
}

fn is_throttled(world: &World) -> bool {
    let into_period_ns = world.open_for().as_nanos() % THROTTLE_PERIOD.as_nanos();
    (THROTTLED_FROM.as_nanos()..THROTTLED_UNTIL.as_nanos()).contains(&into_period_ns)
}

async fn deliver(job: Job) -> Result<(), Failure> {
    let world = &job.world;
    let order = job.order();
    calls::step(world, ME, job.context(), "render template", Duration::from_millis(6)).await;
    let throttled = is_throttled(world);
    job.span.set("email.throttled", throttled);
    let duration = send_time(world) * if throttled { THROTTLE_FACTOR } else { 1 };
    let outcome = if order.fate.mail_refused { Err(refused()) } else { Ok(()) };
    calls::smtp(world, job.context(), duration, outcome).await
}

fn refused() -> Failure {
    Failure {
        error_type: "550",
        exception: "email_service::smtp::Rejected",
        message: "550 5.1.1 mailbox unavailable".to_owned(),
        stacktrace: "   at email_service::smtp::data (src/smtp.rs:203)\n   \
                     at email_service::outbox::deliver (src/outbox.rs:77)",
    }
}
