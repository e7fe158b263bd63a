//! Starting and stopping.

use std::net::TcpListener;

use server::config::Listen;
use server::run::{StartError, start};
use tokio::runtime::Runtime;

use crate::server::{ORDER_TRACE, TestServer, options};

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
