//! `--memory-limit` holds, whatever is sent: floods of large bodies, and of small ones that unfold to many times their size.

use crate::api;
use crate::load::{Batch, Random, gzip, now_unix_nano, request, seed, send_good, text};
use crate::server::{Home, Server, agent};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const LIMIT: &str = "256MiB";
const LIMIT_BYTES: u64 = 256 << 20;
const SENDERS: usize = 16;
const FLOOD: Duration = Duration::from_secs(6);

/// A body, and whether it is compressed.
type Wave = (Vec<u8>, bool);

/// What became of the requests of a flood.
#[derive(Debug, Default)]
struct Tally {
    stored: AtomicU64,
    /// 503 with a hint when to try again.
    put_off: AtomicU64,
    too_large: AtomicU64,
}

impl Tally {
    fn count(&self, answer: &ureq::http::Response<ureq::Body>) {
        let place = match answer.status().as_u16() {
            200 => &self.stored,
            503 => {
                assert!(answer.headers().contains_key("retry-after"), "a refusal without a hint");
                &self.put_off
            }
            413 => &self.too_large,
            other => panic!("a flood is answered with {other}"),
        };
        place.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends the bodies over and over from many senders.
fn flood(server: &Server, bodies: &[Wave]) -> Tally {
    let tally = Tally::default();
    let deadline = Instant::now() + FLOOD;
    let send = |sender| {
        let bodies = bodies.iter().cycle().skip(sender);
        for wave in bodies.take_while(|_| Instant::now() < deadline) {
            tally.count(&send_one(server, wave));
        }
    };
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let send = &send;
            scope.spawn(move || send(sender));
        }
    });
    tally
}

fn send_one(server: &Server, (body, compressed): &Wave) -> ureq::http::Response<ureq::Body> {
    let mut post = agent().post(server.url("otlp_http", "/v1/traces")).header("content-type", "application/x-protobuf");
    if *compressed {
        post = post.header("content-encoding", "gzip");
    }
    post.send(&body[..]).unwrap()
}

/// Within the limit and a tenth more, and everything goes on.
fn has_held(server: &Server, seed: u64, name: &str, tally: &Tally) {
    let peak = server.peak_memory_bytes();
    println!("{name}: peak {} MiB, {tally:?}", peak >> 20);
    assert!(peak <= LIMIT_BYTES + LIMIT_BYTES / 10, "{name}: {} MiB with a limit of {LIMIT}", peak >> 20);
    let batch = Batch { seed, number: 1 };
    send_good(server, batch);
    let trace = api::trace(server, &batch.trace_id_hex()).expect("what comes after a flood is stored");
    assert_eq!(api::spans(&trace).len(), batch.spans().len());
}

fn server() -> (Home, Server) {
    let home = Home::new();
    let server = Server::start_with(&home, &["--memory-limit", LIMIT]);
    (home, server)
}

/// Spans of half a kilobyte with values that do not compress, about `bytes` in all.
fn ordinary(random: &mut Random, bytes: usize) -> Vec<u8> {
    let now = now_unix_nano();
    let mut span = || Span {
        trace_id: [random.next().to_be_bytes(), random.next().to_be_bytes()].concat(),
        span_id: (random.next() | 1).to_be_bytes().to_vec(),
        name: format!("operation {}", random.below(50)),
        start_time_unix_nano: now,
        end_time_unix_nano: now + random.below(1_000_000),
        attributes: (0..8).map(|key| text(&format!("key.{key}"), &format!("{:032x}", random.next()))).collect(),
        ..Span::default()
    };
    request((0..bytes / 500).map(|_| span()).collect()).encode_to_vec()
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A request of spans that are all alike, of which each byte takes as much memory as possible, about `bytes` in all.
fn dense(random: &mut Random, inside: &[u8], bytes: usize) -> Vec<u8> {
    let mut spans = Vec::with_capacity(bytes + (1 << 20));
    while spans.len() < bytes {
        let trace_id = [random.next().to_be_bytes(), random.next().to_be_bytes()].concat();
        let ids = [field(1, &trace_id), field(2, &(random.next() | 1).to_be_bytes())].concat();
        spans.extend(field(2, &[&ids, inside].concat()));
    }
    field(1, &field(2, &spans))
}

#[test]
fn the_memory_limit_holds_under_large_bodies() {
    // Bodies up to beyond what is taken, plain and compressed: the limit and a tenth hold, what is refused is said to be too large or to
    // be sent again, and the server goes on.
    let (_home, server) = server();
    let seed = seed();
    let mut random = Random(seed);
    let mut bodies: Vec<Wave> = Vec::new();
    for mebibytes in [7, 4, 1, 40] {
        let body = ordinary(&mut random, mebibytes << 20);
        bodies.push((gzip(&body), true));
        bodies.push((body, false));
    }
    let tally = flood(&server, &bodies);
    assert!(tally.stored.load(Ordering::Relaxed) > 0 && tally.too_large.load(Ordering::Relaxed) > 0, "{tally:?}");
    has_held(&server, seed, "large bodies", &tally);
}

#[test]
fn the_memory_limit_holds_under_dense_bodies() {
    // Bodies of which a few bytes say "one more span", event, link or attribute: the same, for small and for large ones.
    let (_home, server) = server();
    let seed = seed();
    let mut random = Random(seed);
    let events = field(11, &[]).repeat(4_000);
    let attributes = field(9, &[]).repeat(1_000);
    let event_attributes = field(11, &field(3, &[]).repeat(1_000)).repeat(60);
    let links = field(13, &[field(1, &[7; 16]), field(2, &[7; 8])].concat()).repeat(1_000);
    let mut bodies: Vec<Wave> = Vec::new();
    for inside in [&[][..], &events, &attributes, &event_attributes, &links] {
        for bytes in [100 << 10, 250 << 10, 2 << 20, 7 << 20] {
            let body = dense(&mut random, inside, bytes);
            bodies.push((gzip(&body), true));
            bodies.push((body, false));
        }
    }
    let tally = flood(&server, &bodies);
    assert!(tally.stored.load(Ordering::Relaxed) > 0, "{tally:?}");
    has_held(&server, seed, "dense bodies", &tally);
}
