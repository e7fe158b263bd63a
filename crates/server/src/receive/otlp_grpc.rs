//! OTLP over gRPC: `TraceService/Export` as raw bytes, so that it shares the decoder with HTTP. The frames are [`super::grpc`]'s.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use wire::{Format, Report};

use super::grpc::{self, is_grpc};
use super::rpc::ExportResponse;
use crate::intake::{Intake, Refusal};
use crate::metrics::Protocol;

const EXPORT_TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The methods of OTLP over gRPC.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new().route(EXPORT_TRACES, post(export)).with_state(intake)
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
