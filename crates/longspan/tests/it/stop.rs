//! SIGTERM under load: drain, sync, exit 0; nothing acknowledged is lost and nobody is told anything but «try again».

use crate::api;
use crate::effort::times;
use crate::load::{Numbers, Random, Record, seed, send_while, verify};
use crate::server::{Home, Server};
use std::time::Duration;

const STOP_LIMIT: Duration = Duration::from_secs(10);
/// So little that segments are being sealed when the stop comes.
const LITTLE_MEMORY: [&str; 2] = ["--memory-limit", "16MiB"];

#[test]
fn sigterm_under_load_loses_nothing_and_exits_zero() {
    // At any moment under load, 5 times (100 in the full run): within 10 s the server has ended with 0; every OK it gave holds after a
    // restart; every refusal was one that invites a retry.
    let numbers = Numbers::new(seed());
    let mut random = Random(numbers.seed);
    let home = Home::new();
    let mut all = Record::default();
    for stop in 0..times(5, 100) {
        let delay = Duration::from_millis(50 + random.below(700));
        let arguments = if stop % 2 == 0 { &[][..] } else { &LITTLE_MEMORY };
        let record = send_while(Server::start_with(&home, arguments), &numbers, 2_000, |server| {
            std::thread::sleep(delay);
            let status = server.terminate(STOP_LIMIT);
            assert_eq!(status.code(), Some(0), "{}", home.stderr());
        });
        println!("stop {stop} after {delay:?}: {} acknowledged", record.acknowledged.len());
        assert_eq!(record.wrong_statuses, Vec::<u16>::new());
        verify(&Server::start(&home), &record);
        all.append(record);
    }
    assert!(all.acknowledged.len() > 50, "too little load to prove anything");
    let server = Server::start(&home);
    let count = verify(&server, &all);
    assert_eq!(api::span_count(&server), count);
    assert!(!home.stderr().contains("panicked"), "{}", home.stderr());
}

#[test]
fn an_idle_server_stops_at_once_and_can_start_again() {
    // A stop leaves no lock and no half-written file behind: three starts and stops in a row work.
    let home = Home::new();
    for _ in 0..3 {
        assert_eq!(Server::start(&home).terminate(STOP_LIMIT).code(), Some(0), "{}", home.stderr());
    }
}
