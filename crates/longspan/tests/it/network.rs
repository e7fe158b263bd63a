//! Faults between sender and server: answers that are lost, and connections beyond what the system allows.

use crate::api;
use crate::load::{Batch, SERVICE, seed, send_good};
use crate::server::{Home, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Stands between a sender and the server, and cuts the connection instead of passing the answer on, as long as it is told to.
struct CuttingProxy {
    address: SocketAddr,
    cuts: Arc<AtomicBool>,
}

impl CuttingProxy {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(AtomicBool::new(true));
        let cutting = cuts.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let cuts = cutting.clone();
                std::thread::spawn(move || pass_on(client, server, &cuts));
            }
        });
        Self { address, cuts }
    }

    /// Sends a body; the status, or nothing when the answer was lost.
    fn send(&self, body: &[u8]) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    }
}

fn pass_on(mut client: TcpStream, server: SocketAddr, cuts: &AtomicBool) {
    let mut upstream = TcpStream::connect(server).unwrap();
    let mut from_client = client.try_clone().unwrap();
    let mut to_server = upstream.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    let mut answer = Vec::new();
    let _ = upstream.read_to_end(&mut answer);
    if !cuts.load(Ordering::Relaxed) {
        let _ = client.write_all(&answer);
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
}

/// Every batch is there, once, and nothing else of this service is.
fn all_once(server: &Server, batches: &[Batch], when: &str) {
    for batch in batches {
        let trace = api::trace(server, &batch.trace_id_hex()).unwrap_or_else(|| panic!("{batch:?} is lost {when}"));
        assert_eq!(api::spans(&trace).len(), batch.spans().len(), "{when}");
    }
    let mut found = api::traces_of(server, SERVICE);
    found.sort();
    let mut sent: Vec<String> = batches.iter().map(|batch| batch.trace_id_hex()).collect();
    sent.sort();
    assert_eq!(found, sent, "{when}");
}

/// Sends each body from two clients at once.
fn send_by_two(proxy: &CuttingProxy, bodies: &[Vec<u8>]) {
    for body in bodies {
        let (first, second) = std::thread::scope(|scope| {
            let other = scope.spawn(|| proxy.send(body));
            (proxy.send(body), other.join().unwrap())
        });
        assert_eq!((first, second), (Some(200), Some(200)));
    }
}

#[test]
fn a_retry_after_a_lost_answer_is_stored_once() {
    // The server has stored a request and its answer is lost: however often it is sent again, by one sender or by two at once, before or
    // after what was first is sealed, before or after a kill, every span is read once.
    let little_memory = ["--memory-limit", "16MiB"];
    let home = Home::new();
    let server = Server::start_with(&home, &little_memory);
    let proxy = CuttingProxy::start(server.address("otlp_http"));
    let seed = seed();
    let mut batches: Vec<Batch> = (1..=20).map(|number| Batch { seed, number }).collect();
    let bodies: Vec<Vec<u8>> = batches.iter().map(|batch| batch.protobuf()).collect();
    for body in &bodies {
        assert_eq!(proxy.send(body), None, "the answer was to be lost");
    }
    proxy.cuts.store(false, Ordering::Relaxed);
    send_by_two(&proxy, &bodies);
    all_once(&server, &batches, "in memory");
    for number in 21.. {
        if api::metric(&server, "longspan_segments") >= 1.0 {
            break;
        }
        assert!(number < 100_000, "nothing is ever sealed");
        let batch = Batch { seed, number };
        send_good(&server, batch);
        batches.push(batch);
    }
    send_by_two(&proxy, &bodies);
    all_once(&server, &batches, "after the first ones were sealed");
    server.kill();
    let server = Server::start_with(&home, &little_memory);
    all_once(&server, &batches, "after a kill");
    let proxy = CuttingProxy::start(server.address("otlp_http"));
    proxy.cuts.store(false, Ordering::Relaxed);
    send_by_two(&proxy, &bodies);
    all_once(&server, &batches, "sent again after a kill");
}

#[test]
fn running_out_of_open_files_is_survived() {
    // With every open file taken by connections that say nothing, no listener ends: each accepts again, and spans are taken and
    // questions answered once the files are free.
    let home = Home::new();
    let server = Server::start_with_open_files(&home, 72);
    assert!(home.stderr().contains("ulimit"), "no word of the low limit:\n{}", home.stderr());
    let seed = seed();
    let ports = ["otlp_http", "otlp_grpc", "api", "zipkin", "jaeger"];
    let connect = |port: &&str| TcpStream::connect_timeout(&server.address(port), Duration::from_secs(5)).ok();
    let crowd: Vec<TcpStream> = (0..60).flat_map(|_| ports.iter().filter_map(connect)).collect();
    assert!(crowd.len() > 200, "only {} connections", crowd.len());
    let deadline = Instant::now() + Duration::from_secs(10);
    while !home.stderr().contains("cannot accept connections") {
        assert!(Instant::now() < deadline, "there were enough open files:\n{}", home.stderr());
        std::thread::yield_now();
    }
    drop(crowd);
    let started = Instant::now();
    send_good(&server, Batch { seed, number: 1 });
    for port in ["api", "zipkin", "jaeger"] {
        let path = if port == "zipkin" { "/health" } else { "/api/services" };
        assert_eq!(api::get_from(&server, port, path).0, 200, "{port}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(!home.stderr().contains("panicked"), "{}", home.stderr());
}

#[test]
fn idle_connections_make_room_for_new_ones() {
    // A listener has a bounded number of connections; those that have been idle for longest go, one that is sending stays.
    let home = Home::new();
    let server = Server::start_with_open_files(&home, 4_096);
    let mut sending = TcpStream::connect(server.address("otlp_http")).unwrap();
    let body = Batch { seed: seed(), number: 1 }.json().to_string();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    sending.write_all(head.as_bytes()).unwrap();
    // Its head has arrived before others come.
    while api::metric(&server, "longspan_intake_bytes") == 0.0 {}
    let idle: Vec<TcpStream> = (0..600).map(|_| TcpStream::connect(server.address("otlp_http")).unwrap()).collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    while api::metric(&server, "longspan_crowded_out_connections_total") < 150.0 {
        assert!(Instant::now() < deadline, "nobody had to go");
    }
    assert!(api::metric(&server, "longspan_open_connections") < 600.0);
    sending.write_all(body.as_bytes()).unwrap();
    let mut answer = [0; 15];
    sending.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    drop(idle);
}
