//! Starting and stopping.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use server::config::Listen;
use server::run::{StartError, start};
use tokio::runtime::Runtime;

use crate::server::{ORDER_TRACE, TestServer, fixture, options};

#[test]
fn what_was_acknowledged_survives_a_restart() {
    // Guarantees that a stop loses nothing: the next server on the directory answers with the same spans, once.
    let directory = tempfile::tempdir().unwrap();
    let in_directory = |options: &mut server::config::ServerOptions| options.data = directory.path().join("kept");
    let first = TestServer::start_with(in_directory);
    first.send_fixture();
    let before = first.get("api", &format!("/api/traces/{ORDER_TRACE}")).body;
    drop(first);
    let second = TestServer::start_with(in_directory);
    assert!(second.get("api", &format!("/api/traces/{ORDER_TRACE}")).body == before);
    assert_eq!(second.get("api", "/api/status").json()["spans"], 3);
}

#[test]
fn the_directory_says_where_the_server_listens() {
    // Guarantees that scripts find the ports in listening.json, and that the file is gone after an orderly stop.
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start_with(|options| {
        options.data = directory.path().join("data");
        options.zipkin = Listen::Off;
    });
    let file = directory.path().join("data/listening.json");
    let listening: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(listening["otlp_http"], server.running().listening()["otlp_http"].to_string());
    assert_eq!(listening["zipkin"], serde_json::Value::Null);
    drop(server);
    assert!(!file.exists());
}

#[test]
fn a_taken_port_and_a_taken_directory_are_named() {
    // Guarantees that what stands in the way of a start is said in a sentence with the address or the directory in it.
    let directory = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut clash = options(&directory);
    clash.zipkin = Listen::At(address);
    let refused = runtime.block_on(start(clash)).unwrap_err();
    assert!(matches!(refused, StartError::Bind(_)) && refused.to_string().contains(&address.to_string()), "{refused}");
    let first = TestServer::start_with(|options| options.data = directory.path().join("data"));
    let refused = runtime.block_on(async { start(options(&directory)).await.unwrap().ready().await.unwrap_err() });
    assert!(matches!(refused, StartError::Store(_)) && refused.to_string().contains("in use"), "{refused}");
    assert_eq!(first.get("api", "/readyz").status, 200);
}

#[test]
fn a_draining_server_is_not_ready() {
    // Guarantees that health checks see the end coming: readyz turns 503 when the store is let go, healthz stays.
    let server = TestServer::start();
    assert_eq!(server.get("api", "/healthz").status, 200);
    assert_eq!(server.get("api", "/readyz").json(), serde_json::json!({ "ready": true, "phase": "ready" }));
    let metrics = server.get("api", "/metrics").text();
    for name in [
        "longspan_stored_spans",
        "longspan_wal_bytes",
        "longspan_wal_sync_seconds_bucket{le=\"+Inf\"}",
        "longspan_build_info",
    ] {
        assert!(metrics.contains(name), "{name} in\n{metrics}");
    }
}

#[test]
fn a_request_under_way_is_finished() {
    // Guarantees that a stop waits for a request whose body is still coming, stores it, answers it, and takes no new ones.
    let directory = tempfile::tempdir().unwrap();
    let in_directory = |options: &mut server::config::ServerOptions| options.data = directory.path().join("kept");
    let mut server = TestServer::start_with(in_directory);
    let address = server.running().listening()["otlp_http"];
    let body = fixture().to_string();
    let (first, rest) = body.split_at(body.len() / 2);
    let mut socket = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    let app = server.running().app().clone();
    // The first half is charged once the server has begun to read it.
    wait_until(|| app.intake.budget.used_bytes() > 0);
    let running = server.running.take().unwrap();
    let stopping = server.runtime.spawn(running.stop());
    wait_until(|| app.stage.name() == "draining");
    wait_until(|| TcpStream::connect(address).is_err());
    socket.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    server.runtime.block_on(stopping).unwrap();
    drop(server);
    drop(app);
    let next = TestServer::start_with(in_directory);
    assert_eq!(next.get("api", "/api/status").json()["spans"], 3);
}

fn wait_until(mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(8);
    while !happened() {
        assert!(Instant::now() < deadline, "it never happened");
        std::thread::yield_now();
    }
}
