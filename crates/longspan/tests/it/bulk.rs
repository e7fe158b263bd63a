//! More than there is room for: ten times the load, and more distinct values, keys and services than anybody has.

use crate::api;
use crate::effort::times;
use crate::load::{Batch, Random, now_unix_nano, request, seed, send_good, text};
use crate::raw::post;
use crate::server::{Home, Server, agent};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const LIMIT: &str = "256MiB";
const LIMIT_BYTES: u64 = 256 << 20;
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
/// How long an overload lasts, and how long distinct values are sent, seconds: usually, and in the full run.
const OVERLOAD_S: (u64, u64) = (12, 300);
const DISTINCT_S: (u64, u64) = (8, 90);
/// Distinct values of the full run.
const DISTINCT_VALUES: u64 = 10_000_000;
/// Far more than two cores can decode and one disk can sync.
const SENDERS: u64 = 48;
const SPANS_A_REQUEST: u64 = 5_000;
/// How long a question may take beside an overload; idle, these take milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 3 });

fn server() -> (Home, Server) {
    let home = Home::new();
    let server = Server::start_with(&home, &["--memory-limit", LIMIT]);
    (home, server)
}

fn within_the_limit(server: &Server) {
    let peak = server.peak_memory_bytes();
    println!("peak {} MiB", peak >> 20);
    assert!(peak <= LIMIT_BYTES + LIMIT_BYTES / 10, "{} MiB with a limit of {LIMIT}", peak >> 20);
}

fn span(random: &mut Random, attributes: usize, attribute: &mut dyn FnMut(&mut Random) -> (String, String)) -> Span {
    let start = now_unix_nano();
    Span {
        trace_id: [random.next().to_be_bytes(), (random.next() | 1).to_be_bytes()].concat(),
        span_id: (random.next() | 1).to_be_bytes().to_vec(),
        name: "work".to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + random.below(1 << 30),
        attributes: (0..attributes)
            .map(|_| {
                let (key, value) = attribute(random);
                text(&key, &value)
            })
            .collect(),
        ..Span::default()
    }
}

/// A request of spans in traces of their own, whose ids tell the request.
fn numbered(seed: u64, number: u64, spans: u64) -> (Vec<u8>, String) {
    let mut random = Random(seed ^ number);
    let mut value = |random: &mut Random| ("payload".to_owned(), format!("{:032x}", random.next()));
    let spans: Vec<Span> = (0..spans).map(|_| span(&mut random, 2, &mut value)).collect();
    let first = crate::load::hex(&spans[0].trace_id);
    (request(spans).encode_to_vec(), first)
}

/// What became of an overload.
#[derive(Default)]
struct Overload {
    /// The first trace of each request that was stored.
    acknowledged: Mutex<Vec<String>>,
    put_off: AtomicU64,
    over: AtomicBool,
}

/// One of many senders, until the deadline.
fn send_much(server: &Server, seed: u64, sender: u64, deadline: Instant, overload: &Overload) {
    // Made once, so that it is the server that has to keep up; what is sent again is stored again.
    let bodies: Vec<_> = (0..2).map(|body| numbered(seed, 1 + sender * 2 + body, SPANS_A_REQUEST)).collect();
    for (body, first) in bodies.iter().cycle() {
        if Instant::now() > deadline {
            return;
        }
        let send = agent().post(server.url("otlp_http", "/v1/traces")).header(PROTOBUF.0, PROTOBUF.1);
        let answer = send.send(&body[..]).unwrap();
        match answer.status().as_u16() {
            200 => overload.acknowledged.lock().unwrap().push(first.clone()),
            503 if answer.headers().contains_key("retry-after") => _ = overload.put_off.fetch_add(1, Ordering::Relaxed),
            other => panic!("overload is answered with {other}"),
        }
    }
}

/// Asks one question after the other until the overload is over; how long each took, in order of length.
fn ask_much(server: &Server, overload: &Overload) -> Vec<Duration> {
    let questions = ["/api/traces?limit=5", "/api/services", "/api/traces/abc", "/api/traces?q=payload%20%3D%20x"];
    let mut took = Vec::new();
    for path in questions.iter().cycle() {
        if overload.over.load(Ordering::Relaxed) {
            break;
        }
        let started = Instant::now();
        let (status, body) = api::get(server, path);
        assert!(status == 200 || status == 404, "{path}: {status} {body}");
        took.push(started.elapsed());
    }
    took.sort();
    took
}

#[test]
fn ten_times_the_load_is_refused_politely_and_leaves_questions_alive() {
    // Far more senders than there is room for: what is not stored is refused with a hint to try again, memory holds, questions are
    // answered meanwhile, everything acknowledged is there, and afterwards all is as before.
    let (home, server) = server();
    let seed = seed();
    let overload = Overload::default();
    let deadline = Instant::now() + Duration::from_secs(times(OVERLOAD_S.0, OVERLOAD_S.1));
    let questions = std::thread::scope(|scope| {
        let (server, overload) = (&server, &overload);
        let send = |sender| scope.spawn(move || send_much(server, seed, sender, deadline, overload));
        let senders: Vec<_> = (0..SENDERS).map(send).collect();
        let asking = scope.spawn(|| ask_much(server, overload));
        for sender in senders {
            sender.join().unwrap();
        }
        overload.over.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    within_the_limit(&server);
    let acknowledged = overload.acknowledged.into_inner().unwrap();
    let (count, slowest) = (questions.len(), *questions.last().unwrap());
    let put_off = overload.put_off.into_inner();
    println!("{} stored, {put_off} put off, {count} questions, the slowest {slowest:?}", acknowledged.len());
    assert!(acknowledged.len() > 10 && count > 5, "too little load to prove anything");
    assert!(slowest < ANSWER_LIMIT, "{slowest:?}");
    for id in acknowledged.iter().step_by(acknowledged.len().div_ceil(300)) {
        assert!(api::trace(&server, id).is_some(), "acknowledged and lost: {id}");
    }
    let after = Instant::now();
    send_good(&server, Batch { seed, number: u64::MAX });
    assert!(after.elapsed() < Duration::from_secs(10), "{:?}", after.elapsed());
    assert!(!home.stderr().contains("panicked"), "{}", home.stderr());
}

/// Makes the spans of a request.
type Make<'a> = &'a (dyn Fn(&mut Random) -> Vec<Span> + Sync);

/// Sends requests for so long, expects each to be stored or put off; how many spans were stored.
fn pour(server: &Server, how_long: Duration, seed: u64, make: Make<'_>) -> u64 {
    let deadline = Instant::now() + how_long;
    let send = |sender: u64| {
        let mut random = Random(seed ^ (sender << 60));
        let mut stored = 0;
        while Instant::now() < deadline {
            let spans = make(&mut random);
            let count = spans.len() as u64;
            match post(server, &[PROTOBUF], &request(spans).encode_to_vec()).status {
                200 => stored += count,
                503 => {}
                other => panic!("{other}"),
            }
        }
        stored
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| send(1));
        send(0) + other.join().unwrap()
    })
}

#[test]
fn distinct_values_without_end_are_stored_and_found() {
    // Values that never come twice take the disk, not the memory; one of them is found, and completion answers.
    let (_home, server) = server();
    let seed = seed();
    let make = |random: &mut Random| {
        let mut value = |random: &mut Random| (format!("key.{}", random.below(20)), format!("{:016x}", random.next()));
        (0..1_000).map(|_| span(random, 20, &mut value)).collect()
    };
    let stored = pour(&server, Duration::from_secs(times(DISTINCT_S.0, DISTINCT_S.1)), seed, &make);
    println!("{} distinct values", 20 * stored);
    assert!(20 * stored >= times(20_000, DISTINCT_VALUES), "too few to prove anything: {}", 20 * stored);
    let known = span(&mut Random(seed), 1, &mut |_| ("order.id".to_owned(), "the one".to_owned()));
    assert_eq!(post(&server, &[PROTOBUF], &request(vec![known]).encode_to_vec()).status, 200);
    let (status, found) = api::get(&server, "/api/traces?q=order.id%20%3D%20%22the%20one%22");
    assert_eq!((status, found["items"].as_array().unwrap().len()), (200, 1));
    let (status, values) = api::get(&server, "/api/attributes/values?key=key.7&limit=10000");
    assert!(status == 200 && values["items"].as_array().unwrap().len() <= 10_000, "{status}");
    within_the_limit(&server);
}

#[test]
fn keys_and_services_without_end_are_bounded_in_the_lists() {
    // A hundred thousand attribute keys and twenty thousand services are stored and can be searched for; lists of what there is stay
    // bounded, memory too, and receiving goes on.
    let (_home, server) = server();
    let seed = seed();
    let mut random = Random(seed);
    let mut next = 0;
    let mut key = |_: &mut Random| {
        next += 1;
        (format!("key.{next}"), "value".to_owned())
    };
    for _ in 0..20 {
        let spans = (0..50).map(|_| span(&mut random, 100, &mut key)).collect();
        assert_eq!(post(&server, &[PROTOBUF], &request(spans).encode_to_vec()).status, 200);
    }
    for part in 0..10 {
        let resource_spans = (part * 2_000..(part + 1) * 2_000).map(|number| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", &format!("service {number}"))],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: vec![span(&mut random, 0, &mut |_| Default::default())],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        });
        let body = ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec();
        assert_eq!(post(&server, &[PROTOBUF], &body).status, 200);
    }
    let listed = |path: &str| {
        let started = Instant::now();
        let (status, body) = api::get(&server, path);
        assert_eq!(status, 200, "{path}");
        assert!(started.elapsed() < ANSWER_LIMIT, "{path} took {:?}", started.elapsed());
        body["items"].as_array().unwrap().len()
    };
    assert_eq!(listed("/api/attributes/keys?limit=10000"), 10_000);
    assert!((19_000..=20_000).contains(&listed("/api/services")), "{}", listed("/api/services"));
    assert_eq!(listed("/api/traces?q=key.99999%20%3D%20value"), 1);
    assert_eq!(listed("/api/traces?service=service%2019999"), 1);
    within_the_limit(&server);
    send_good(&server, Batch { seed, number: 1 });
}
