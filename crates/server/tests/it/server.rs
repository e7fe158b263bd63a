//! A running server on free loopback ports, and a client that shows every answer as it is.

use std::time::Duration;

use serde_json::{Value, json};
use server::config::{Listen, ServerOptions};
use server::run::{Running, start};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A server, stopped with the test.
pub(crate) struct TestServer {
    pub(crate) running: Option<Running>,
    pub(crate) runtime: Runtime,
    _directory: TempDir,
}

/// An answer: status, headers, body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) fn options(directory: &TempDir) -> ServerOptions {
    ServerOptions {
        data: directory.path().join("data"),
        otlp_grpc: Listen::loopback(0),
        otlp_http: Listen::loopback(0),
        api: Listen::loopback(0),
        zipkin: Listen::loopback(0),
        jaeger: Listen::loopback(0),
        jaeger_http: Listen::loopback(0),
        jaeger_grpc: Listen::loopback(0),
        jaeger_compact: Listen::loopback(0),
        jaeger_binary: Listen::loopback(0),
        jaeger_sampling: Listen::loopback(0),
        opencensus: Listen::loopback(0),
        xray: Listen::loopback(0),
        elasticsearch: Listen::loopback(0),
        retention_age: None,
        ..ServerOptions::default()
    }
}

impl TestServer {
    pub(crate) fn start() -> TestServer {
        TestServer::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut ServerOptions)) -> TestServer {
        let directory = tempfile::tempdir().unwrap();
        let mut options = options(&directory);
        change(&mut options);
        let runtime = Runtime::new().unwrap();
        let running = runtime.block_on(async {
            let mut running = start(options).await.unwrap();
            running.ready().await.unwrap();
            running
        });
        TestServer { running: Some(running), runtime, _directory: directory }
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn url(&self, listener: &str, path: &str) -> String {
        format!("http://{}{path}", self.running().listening()[listener])
    }

    pub(crate) fn get(&self, listener: &str, path: &str) -> Answer {
        self.get_with(listener, path, &[])
    }

    pub(crate) fn get_with(&self, listener: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = agent().get(self.url(listener, path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.call().unwrap())
    }

    pub(crate) fn post(&self, listener: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = agent().post(self.url(listener, path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send(body).unwrap())
    }

    pub(crate) fn put(&self, listener: &str, path: &str, body: &[u8]) -> Answer {
        answer(agent().put(self.url(listener, path)).send(body).unwrap())
    }

    /// Sends the trace of [`fixture`].
    pub(crate) fn send_fixture(&self) {
        let body = fixture().to_string();
        let sent = self.post("otlp_http", "/v1/traces", &[("content-type", "application/json")], body.as_bytes());
        assert_eq!((sent.status, sent.json()), (200, json!({})));
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}

fn answer(mut response: http::Response<ureq::Body>) -> Answer {
    let body = response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder();
    let config = config.http_status_as_error(false).proxy(None).accept_encoding("identity");
    config.timeout_global(Some(Duration::from_secs(30))).build().into()
}

pub(crate) const ORDER_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const BATCH_TRACE: &str = "11111111111111112222222222222222";

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

/// An order that is published and handled by a batch consumer in a trace of its own, with every kind of attribute.
pub(crate) fn fixture() -> Value {
    let order = json!({
        "traceId": ORDER_TRACE, "spanId": "b7ad6b7169203331", "name": "POST /orders", "kind": 2, "flags": 257,
        "traceState": "vendor=1",
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000020000000",
        "attributes": [
            { "key": "http.response.status_code", "value": { "intValue": "201" } },
            { "key": "big", "value": { "intValue": "9223372036854775807" } },
            { "key": "ratio", "value": { "doubleValue": 0.5 } },
            { "key": "cached", "value": { "boolValue": true } },
            { "key": "raw", "value": { "bytesValue": "AP8=" } },
            { "key": "items", "value": { "arrayValue": { "values": [text("a"), { "intValue": "2" }] } } },
        ],
        "status": { "code": 1 },
    });
    let publish = json!({
        "traceId": ORDER_TRACE, "spanId": "00f067aa0ba902b7", "parentSpanId": "b7ad6b7169203331",
        "name": "orders publish", "kind": 4,
        "startTimeUnixNano": "1700000000010000000", "endTimeUnixNano": "1700000000012000000",
        "attributes": [{ "key": "messaging.system", "value": text("kafka") }],
        "events": [{ "timeUnixNano": "1700000000011000000", "name": "queued", "attributes": [{ "key": "size", "value": { "intValue": "7" } }] }],
    });
    let process = json!({
        "traceId": BATCH_TRACE, "spanId": "53995c3f42cd8ad8", "name": "orders process", "kind": 5,
        "startTimeUnixNano": "1700000003000000000", "endTimeUnixNano": "1700000004500000000",
        "links": [
            { "traceId": ORDER_TRACE, "spanId": "00f067aa0ba902b7", "attributes": [{ "key": "messaging.message.id", "value": text("m-1") }] },
            { "traceId": "33333333333333333333333333333333", "spanId": "4444444444444444" },
        ],
        "status": { "code": 2, "message": "no stock" },
    });
    let resource = |service: &str| {
        json!({ "attributes": [
        { "key": "service.name", "value": text(service) }, { "key": "host.name", "value": text("web-1") }] })
    };
    let scope = json!({ "name": "io.shop", "version": "1.2" });
    json!({ "resourceSpans": [
        { "resource": resource("shop"), "scopeSpans": [{ "scope": scope, "spans": [order, publish] }] },
        { "resource": resource("worker"), "scopeSpans": [{ "spans": [process] }] },
    ]})
}
