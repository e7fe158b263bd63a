//! What each listener serves.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::api::{self, jaeger};
use crate::app::App;
use crate::guard::{browser_headers, loopback_names_only};
use crate::gzip::gzip_answers;
use crate::receive::{
    elastic, grpc, jaeger as jaeger_receiver, opencensus as opencensus_receiver, otlp_grpc, otlp_http, otlp_logs,
    otlp_metrics, xray as xray_receiver, zipkin as zipkin_receiver,
};
use crate::{health, page};

/// OTLP: either transport on either port, because senders are often pointed at the other one.
pub fn otlp(app: &Arc<App>) -> Router {
    let intake = &app.intake;
    otlp_grpc::router(intake.clone())
        .merge(otlp_http::router(intake.clone()))
        .merge(otlp_logs::router(intake.clone()))
        .merge(otlp_metrics::router(intake.clone()))
        .fallback(not_otlp)
}

async fn not_otlp(request: Request) -> Response {
    let path = request.uri().path();
    if grpc::is_grpc(request.headers()) {
        return grpc::unknown_method(path);
    }
    let text =
        format!("there is no {path} here: this is OTLP, POST to /v1/traces or /v1/logs; the page is on another port\n");
    (StatusCode::NOT_FOUND, text).into_response()
}

/// The page, the own API, Jaeger's below `/jaeger`, and what watches the server.
pub fn api(app: &Arc<App>) -> Router {
    let router = api::router(app.clone())
        .merge(health::router(app.clone()))
        .nest("/jaeger", jaeger::router(app.clone()))
        .fallback(page::serve);
    guarded(router.layer(from_fn(gzip_answers)).layer(from_fn(browser_headers)), app, "api")
}

/// Zipkin: spans in, and its query API.
pub fn zipkin(app: &Arc<App>) -> Router {
    let readers = guarded(api::zipkin::router(app.clone()).layer(from_fn(gzip_answers)), app, "zipkin");
    readers.merge(zipkin_receiver::router(app.intake.clone()))
}

/// Jaeger's spans over HTTP.
pub fn jaeger_http(app: &Arc<App>) -> Router {
    jaeger_receiver::http_router(app.intake.clone())
}

/// Jaeger's spans over gRPC.
pub fn jaeger_grpc(app: &Arc<App>) -> Router {
    jaeger_receiver::grpc_router(app.intake.clone())
}

/// What Jaeger's clients are told of sampling.
pub fn jaeger_sampling() -> Router {
    jaeger_receiver::sampling_router()
}

/// OpenCensus's agent.
pub fn opencensus(app: &Arc<App>) -> Router {
    opencensus_receiver::router(app.intake.clone())
}

/// Elasticsearch, as far as log shippers ask for it.
pub fn elasticsearch(app: &Arc<App>) -> Router {
    elastic::router(app.intake.clone())
}

/// X-Ray's daemon over HTTP.
pub fn xray(app: &Arc<App>) -> Router {
    xray_receiver::router(app.intake.clone())
}

/// Jaeger's query API where its own users expect it.
pub fn jaeger(app: &Arc<App>) -> Router {
    let page = app.listening.get("api").map(SocketAddr::to_string).unwrap_or_default();
    let text = format!("Longspan answers Jaeger's query API here, below /api. Its page is at http://{page}/\n");
    let router = jaeger::router(app.clone()).route("/", get(move || async move { text }));
    guarded(router.layer(from_fn(gzip_answers)), app, "jaeger")
}

fn guarded(router: Router, app: &App, listener: &str) -> Router {
    let loopback = app.listening.get(listener).is_some_and(|address| address.ip().is_loopback());
    if loopback { router.layer(from_fn(loopback_names_only)) } else { router }
}
