//! `kill -9` at any moment: what was acknowledged is there, once, and nothing else is.

use crate::api;
use crate::effort::times;
use crate::load::{Numbers, Random, Record, SERVICE, now_unix_nano, request, seed, send_while, text, verify};
use crate::raw::post;
use crate::server::{Home, Server};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Kills of one directory.
const CYCLES: u64 = 20;
/// Enough that a cycle is killed in the middle, few enough that reading all back takes seconds.
const BATCHES_A_CYCLE: u64 = 800;
/// So little that segments are sealed all the time: kills hit the sealing too, not only the log.
const LITTLE_MEMORY: [&str; 2] = ["--memory-limit", "16MiB"];
/// The goal for replay is five seconds a GiB in an optimised build; the build that is usually tested is slower, and runs beside others.
const REPLAY_SECONDS_A_GIB: f64 = if cfg!(debug_assertions) { 500.0 } else { 5.0 };
/// What a start takes besides replay.
const START_SECONDS: f64 = 1.0;

#[test]
fn an_acknowledged_span_survives_kill_9_exactly_once() {
    // For every request that got an OK before one of 20 kills under load (500 in the full run): all its spans are there, once, as sent; no
    // other spans are.
    let seed = seed();
    for round in 0..times(1, 25) {
        kill_often(seed.wrapping_add(round));
    }
}

fn kill_often(seed: u64) {
    let numbers = Numbers::new(seed);
    let mut random = Random(numbers.seed);
    let home = Home::new();
    let mut all = Record::default();
    for cycle in 0..CYCLES {
        let server = Server::start_with(&home, &LITTLE_MEMORY);
        let delay = Duration::from_millis(20 + random.below(500));
        let record = send_while(server, &numbers, BATCHES_A_CYCLE, |server| {
            std::thread::sleep(delay);
            server.kill();
        });
        println!("seed {seed}, cycle {cycle}: killed after {delay:?}, {} acknowledged", record.acknowledged.len());
        assert_eq!(record.wrong_statuses, Vec::<u16>::new());
        let restarted = Server::start_with(&home, &LITTLE_MEMORY);
        verify(&restarted, &record);
        all.append(record);
    }
    assert!(all.acknowledged.len() > 100, "too little was acknowledged to prove anything: {}", all.acknowledged.len());
    let server = Server::start_with(&home, &LITTLE_MEMORY);
    let count = verify(&server, &all);
    no_phantoms(&server, &all);
    assert_eq!(api::span_count(&server), count, "the status counts what is there");
    assert!(api::metric(&server, "longspan_segments") >= 1.0, "nothing was sealed: the kills hit the log only");
}

/// The search finds exactly the traces that were sent.
fn no_phantoms(server: &Server, all: &Record) {
    let found: Vec<String> = api::traces_of(server, SERVICE);
    let distinct: BTreeSet<&String> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "a trace is found twice");
    let ids =
        |batches: &[crate::load::Batch]| batches.iter().map(|batch| batch.trace_id_hex()).collect::<BTreeSet<_>>();
    let acknowledged = ids(&all.acknowledged);
    let unanswered = ids(&all.unanswered);
    for id in &found {
        assert!(acknowledged.contains(id) || unanswered.contains(id), "a trace that was never sent: {id}");
    }
    assert!(acknowledged.iter().all(|id| distinct.contains(id)), "an acknowledged trace is not found by search");
}

/// A request of so many ordinary spans, about half a kilobyte each.
fn ordinary(random: &mut Random, spans: usize) -> Vec<u8> {
    let now = now_unix_nano();
    let mut span = || Span {
        trace_id: [random.next().to_be_bytes(), (random.next() | 1).to_be_bytes()].concat(),
        span_id: (random.next() | 1).to_be_bytes().to_vec(),
        name: format!("operation {}", random.below(50)),
        start_time_unix_nano: now,
        end_time_unix_nano: now + random.below(1_000_000),
        attributes: (0..8).map(|key| text(&format!("key.{key}"), &format!("{:032x}", random.next()))).collect(),
        ..Span::default()
    };
    request((0..spans).map(|_| span()).collect()).encode_to_vec()
}

#[test]
fn a_large_log_is_replayed_in_time() {
    // After a kill a server with tens of megabytes in its log is ready again within the goal, seconds a GiB, with every span.
    let home = Home::new();
    let server = Server::start(&home);
    let mut random = Random(seed());
    let mut bytes = 0;
    while bytes < 40 << 20 {
        let body = ordinary(&mut random, 2_000);
        bytes += body.len();
        assert_eq!(post(&server, &[("content-type", "application/x-protobuf")], &body).status, 200);
    }
    let spans = api::span_count(&server);
    assert!(api::metric(&server, "longspan_wal_bytes") > 5e6, "the log is too small to prove anything");
    server.kill();
    let started = Instant::now();
    let server = Server::start(&home);
    let took = started.elapsed().as_secs_f64();
    let goal = START_SECONDS + bytes as f64 / f64::from(1 << 30) * REPLAY_SECONDS_A_GIB;
    println!("{} MiB of requests replayed in {took:.2} s; the goal is {goal:.2} s", bytes >> 20);
    assert_eq!(api::span_count(&server), spans);
    assert!(took < goal, "{took:.2} s for {} MiB", bytes >> 20);
}
