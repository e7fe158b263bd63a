//! OTLP's metrics: `POST /v1/metrics`, protobuf or JSON, and `MetricsService/Export`. They are read, counted and not kept.
//!
//! Most SDKs send them unless they are told not to, and treat an error as a fault of theirs. So they get an OK; only the first
//! sender of a process is told, with a partial success, that nothing was kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use wire::Format;
use wire::otlp::{MetricPoints, count_metric_points};

use super::grpc::{self, is_grpc};
use super::otlp_http::{
    Coding, allow_origin, allowed_origin, content_encoding, preflight, refused, success, type_message,
};
use super::rpc::{ExportResponse, PartialSuccess};
use crate::intake::{Intake, Received, Refusal};
use crate::metrics::Protocol;

const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

struct Metrics {
    intake: Arc<Intake>,
    /// Whether somebody was told that metrics are not kept.
    told: AtomicBool,
}

/// The paths of metrics over HTTP and gRPC.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/v1/metrics", post(over_http).options(preflight))
        .route(EXPORT, post(over_grpc))
        .with_state(Arc::new(Metrics { intake, told: AtomicBool::new(false) }))
}

impl Metrics {
    async fn take(&self, format: Format, received: Received) -> Result<ExportResponse, Refusal> {
        let received = self.intake.unpack(received).await?;
        let points = count_metric_points(format, &received.body)?;
        self.intake.metrics.dropped_metric_points(points);
        Ok(self.answer(points))
    }

    fn answer(&self, points: MetricPoints) -> ExportResponse {
        if points.total() == 0 || self.told.swap(true, Ordering::Relaxed) {
            return ExportResponse { partial_success: None };
        }
        let error_message =
            "metrics are taken and not kept; this is said once (OTEL_METRICS_EXPORTER=none saves the way)";
        let rejected_spans = points.total() as i64;
        ExportResponse {
            partial_success: Some(PartialSuccess { rejected_spans, error_message: error_message.to_owned() }),
        }
    }
}

async fn over_http(State(metrics): State<Arc<Metrics>>, request: Request) -> Response {
    let coding = Coding::of(request.headers());
    let origin = allowed_origin(request.headers());
    let mut response = match take_http(&metrics, coding, request).await {
        Ok(answer) => success(coding.unwrap_or(Coding::Json), &answer, "rejectedDataPoints"),
        Err(refusal) => {
            metrics.intake.metrics.refused(Protocol::OtlpHttp, refusal.reason());
            refused(coding.unwrap_or(Coding::Json), &refusal)
        }
    };
    allow_origin(&mut response, origin);
    response
}

async fn take_http(metrics: &Metrics, coding: Option<Coding>, request: Request) -> Result<ExportResponse, Refusal> {
    let coding = coding.ok_or_else(|| Refusal::UnsupportedType(type_message(request.headers())))?;
    let encoding = content_encoding(request.headers())?;
    let received = metrics.intake.read(request.into_body(), encoding).await?;
    let format = match coding {
        Coding::Protobuf => Format::OtlpProtobuf,
        Coding::Json => Format::OtlpJson,
    };
    metrics.take(format, received).await
}

async fn over_grpc(State(metrics): State<Arc<Metrics>>, request: Request) -> Response {
    match take_grpc(&metrics, request).await {
        Ok(answer) => grpc::success(&answer),
        Err(refusal) => {
            metrics.intake.metrics.refused(Protocol::OtlpGrpc, refusal.reason());
            grpc::refused(&refusal)
        }
    }
}

async fn take_grpc(metrics: &Metrics, request: Request) -> Result<ExportResponse, Refusal> {
    if !is_grpc(request.headers()) {
        return Err(Refusal::UnsupportedType("this path takes gRPC; over HTTP, POST to /v1/metrics".to_owned()));
    }
    let message = grpc::message(&metrics.intake, request).await?;
    metrics.take(Format::OtlpProtobuf, message).await
}
