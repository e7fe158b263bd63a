//! OTLP over gRPC: `TraceService/Export` as raw bytes, so that it shares the decoder with HTTP. The frames are [`super::grpc`]'s.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use tonic::Status;
use wire::{Format, Report};

use super::grpc::{self, is_grpc};
use super::rpc::ExportResponse;
use crate::intake::{Intake, Refusal};
use crate::metrics::Protocol;

const EXPORT_TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const EXPORT_LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// The methods of OTLP over gRPC.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route(EXPORT_TRACES, post(export))
        .route(EXPORT_LOGS, post(async || not_taken("logs")))
        .with_state(intake)
}

fn not_taken(what: &str) -> Response {
    Status::unimplemented(format!("{what} are not taken here yet; this server takes traces")).into_http()
}

async fn export(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    match take(&intake, request).await {
        Ok(report) => grpc::success(&ExportResponse::of(&report)),
        Err(refusal) => {
            intake.metrics.refused(Protocol::OtlpGrpc, refusal.reason());
            grpc::refused(&refusal)
        }
    }
}

async fn take(intake: &Intake, request: Request) -> Result<Report, Refusal> {
    if !is_grpc(request.headers()) {
        return Err(Refusal::UnsupportedType("this path takes gRPC; over HTTP, POST to /v1/traces".to_owned()));
    }
    let message = grpc::message(intake, request).await?;
    intake.accept(Protocol::OtlpGrpc, Format::OtlpProtobuf, message).await
}
