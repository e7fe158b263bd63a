//! SIGTERM under load: drain, sync, exit 0; nothing acknowledged is lost and nobody is told anything but «try again».

use crate::api;
use crate::load::{Numbers, seed, send_while, verify};
use crate::server::{Home, Server};
use std::time::Duration;

const STOP_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn sigterm_under_load_loses_nothing_and_exits_zero() {
    // Within 10 s the server has ended with 0; every OK it gave holds after a restart; every refusal was one that invites a retry.
    let numbers = Numbers::new(seed());
    let home = Home::new();
    let record = send_while(Server::start(&home), &numbers, 2_000, |server| {
        std::thread::sleep(Duration::from_millis(700));
        let status = server.terminate(STOP_LIMIT);
        assert_eq!(status.code(), Some(0), "{}", home.stderr());
    });
    assert_eq!(record.wrong_statuses, Vec::<u16>::new());
    assert!(record.acknowledged.len() > 10, "too little load to prove anything");
    let server = Server::start(&home);
    let count = verify(&server, &record);
    assert_eq!(api::span_count(&server), count);
}

#[test]
fn an_idle_server_stops_at_once_and_can_start_again() {
    // A stop leaves no lock and no half-written file behind: three starts and stops in a row work.
    let home = Home::new();
    for _ in 0..3 {
        assert_eq!(Server::start(&home).terminate(STOP_LIMIT).code(), Some(0), "{}", home.stderr());
    }
}
