//! Too much, too early: refusals that a sender repeats, and nothing that grows without bound.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use model::Limits;
use serde_json::Value;
use server::app::{App, Listening};
use server::budget::Budget;
use server::config::ServerOptions;
use server::intake::Intake;
use server::memory;
use server::phase::{StageSetter, stage};
use server::receive::{otlp_http, zipkin};
use server::routes;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::server::{TestServer, fixture};

fn intake_of(server: &TestServer, budget: Budget) -> Intake {
    let app = server.running().app();
    Intake {
        limits: Limits::DEFAULT,
        max_body_bytes: 1 << 20,
        budget,
        decoded: Budget::new(64 << 20),
        turns: Arc::new(Semaphore::new(1)),
        admission_wait: Duration::from_millis(20),
        stage: app.stage.clone(),
        metrics: app.metrics.clone(),
    }
}

fn send(server: &TestServer, router: Router, path: &str, body: impl Into<Body>) -> Response<Body> {
    let request = Request::post(path).header("content-type", "application/json").body(body.into()).unwrap();
    server.runtime.block_on(router.oneshot(request)).unwrap()
}

fn json(server: &TestServer, response: Response<Body>) -> Value {
    let body = server.runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn overload_is_a_refusal_that_senders_repeat() {
    // Guarantees 503 with Retry-After and RetryInfo while the memory for requests is spent, an OK as soon as it is not,
    // and that nothing stays charged.
    let server = TestServer::start();
    let budget = Budget::new(1 << 20);
    let intake = Arc::new(intake_of(&server, budget.clone()));
    let mut others = budget.open();
    others.grow(1 << 20).unwrap();
    let body = fixture().to_string();
    let refused = send(&server, otlp_http::router(intake.clone()), "/v1/traces", body.clone());
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let status = json(&server, refused);
    assert_eq!((&status["code"], &status["details"][0]["retryDelay"]), (&14.into(), &"1s".into()));
    let refused = send(&server, zipkin::router(intake.clone()), "/api/v2/spans", "[]");
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    drop(others);
    assert_eq!(send(&server, otlp_http::router(intake), "/v1/traces", body).status(), 200);
    assert_eq!(budget.used_bytes(), 0);
    let metrics = server.get("api", "/metrics").text();
    assert!(metrics.contains("longspan_refused_requests_total{protocol=\"otlp_http\",reason=\"full\"} 1"), "{metrics}");
}

#[test]
fn a_body_of_undeclared_length_is_counted_as_it_comes() {
    // Guarantees that a sender who does not say how long its body is cannot pass the limit of one or of all requests.
    let server = TestServer::start();
    let pieces = |count| Body::new(Pieces(count));
    let roomy = Arc::new(intake_of(&server, Budget::new(64 << 20)));
    let large = send(&server, otlp_http::router(roomy), "/v1/traces", pieces(17));
    assert_eq!(large.status(), 413);
    let tight = Arc::new(intake_of(&server, Budget::new(256 << 10)));
    let crowded = send(&server, otlp_http::router(tight), "/v1/traces", pieces(8));
    assert_eq!(crowded.status(), 503);
}

/// A body that does not say how long it is.
struct Pieces(usize);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(vec![b' '; 64 << 10].into()))))
    }
}

/// An app whose store never comes.
fn replaying() -> (Arc<App>, StageSetter) {
    let (setter, stage) = stage();
    let options = ServerOptions::default();
    let memory = memory::split(None, options.max_body_bytes);
    (Arc::new(App::new(options, Listening::new(), stage, memory, Vec::new())), setter)
}

#[test]
fn a_replaying_server_says_so() {
    // Guarantees that a server which still reads its log is alive, not ready, and answers questions with a 503 that says why.
    let (app, _setter) = replaying();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let get = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = runtime.block_on(routes::api(&app).oneshot(request)).unwrap();
        let status = response.status().as_u16();
        let body = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
        (status, serde_json::from_slice::<Value>(&body).unwrap_or_default())
    };
    assert_eq!(get("/healthz").0, 200);
    assert_eq!(get("/readyz"), (503, serde_json::json!({ "ready": false, "phase": "replaying" })));
    let (status, body) = get("/api/services");
    assert_eq!((status, &body["error"]["code"]), (503, &"not_ready".into()));
    assert_eq!(get("/api/status").1["ready"], false);
    assert_eq!(get("/jaeger/api/services").0, 503);
    assert_eq!(get("/metrics").0, 200);
    assert_eq!(get("/").0, 200);
}
