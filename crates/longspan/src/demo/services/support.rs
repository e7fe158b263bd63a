//! The support desk: reads two of the dead-letter destinations and opens a ticket at a third party.

use std::sync::Arc;
use std::time::Duration;

use crate::demo::calls::{self, Request};
use crate::demo::messaging::{self, Consumer, Continuation, Job};
use crate::demo::telemetry::{Failure, Service};
use crate::demo::world::World;

const ME: Service = Service::Support;

pub(crate) fn open(world: &Arc<World>) {
    let places = &world.places;
    for subscription in [places.support_on_loyalty_dead_letters, places.mail_dead_letter_queue] {
        let consumer = Consumer::new(ME, subscription, Continuation::SenderTrace);
        messaging::start_workers(world, consumer, 1, open_ticket);
    }
}

async fn open_ticket(job: Job) -> Result<(), Failure> {
    let request = Request::post("api.helpdesk.example", "/tickets");
    let median = Duration::from_millis(450);
    calls::call(&job.world, ME, job.context(), (request, median), Ok(201)).await
}
