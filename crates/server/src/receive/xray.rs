//! X-Ray over HTTP: `PutTraceSegments`, and what its SDKs ask the daemon: how much to record. They are told to record everything.
//!
//! The datagrams that SDKs usually send on the same port number are [`super::datagrams`]'. The answers have the shapes of AWS's own.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use wire::{Format, Report};

use super::otlp_http::{content_encoding, http_status};
use crate::clock::now_unix_nano;
use crate::inflate::Encoding;
use crate::intake::{Intake, Refusal};
use crate::metrics::Protocol;

/// Spans that an SDK may record in one reporting period, far above what any program makes.
const RESERVOIR_QUOTA: u64 = 1_000_000;
/// How long a quota holds.
const QUOTA_SECONDS: u64 = 3600;
/// How often SDKs report what they recorded.
const REPORT_EVERY_SECONDS: u64 = 60;

/// What the daemon serves.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/TraceSegments", post(put_segments))
        .route("/SamplingTargets", post(sampling_targets))
        .with_state(intake)
        .route("/GetSamplingRules", post(async || Json(sampling_rules())))
        .route("/TelemetryRecords", post(async |_: Bytes| Json(json!({}))))
}

async fn put_segments(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    match take(&intake, request).await {
        Ok(report) => Json(json!({ "UnprocessedTraceSegments": unprocessed(&report) })).into_response(),
        Err(refusal) => {
            intake.metrics.refused(Protocol::Xray, refusal.reason());
            refused(&refusal)
        }
    }
}

async fn take(intake: &Intake, request: Request) -> Result<Report, Refusal> {
    let encoding = content_encoding(request.headers())?;
    let received = intake.read(request.into_body(), encoding).await?;
    intake.accept(Protocol::Xray, Format::XrayDocuments, received).await
}

/// What was not stored. Which of the documents it was is said by number, in the first problem.
fn unprocessed(report: &Report) -> Vec<Value> {
    let problem = report.first_problem.as_deref().unwrap_or("too large, or without ids");
    (0..report.rejected_spans()).map(|_| json!({ "ErrorCode": "InvalidSegment", "Message": problem })).collect()
}

fn refused(refusal: &Refusal) -> Response {
    let (status, kind) = match http_status(refusal) {
        // What AWS's own clients repeat.
        StatusCode::SERVICE_UNAVAILABLE => (StatusCode::TOO_MANY_REQUESTS, "ThrottledException"),
        status => (status, "InvalidRequestException"),
    };
    let body = Json(json!({ "__type": kind, "Message": refusal.to_string() }));
    (status, [("x-amzn-errortype", kind)], body).into_response()
}

/// One rule, for everything.
fn sampling_rules() -> Value {
    let rule = json!({
        "RuleName": "Default", "RuleARN": "arn:aws:xray:local:000000000000:sampling-rule/Default", "Version": 1, "Priority": 10000,
        "FixedRate": 1.0, "ReservoirSize": RESERVOIR_QUOTA, "ServiceName": "*", "ServiceType": "*", "Host": "*",
        "HTTPMethod": "*", "URLPath": "*", "ResourceARN": "*", "Attributes": {},
    });
    json!({ "SamplingRuleRecords": [{ "SamplingRule": rule, "CreatedAt": 0.0, "ModifiedAt": 0.0 }], "NextToken": null })
}

/// Answers an SDK's report with as much as it may want, for each rule it reports on.
async fn sampling_targets(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    let read = intake.read(request.into_body(), Encoding::Identity).await;
    let report: Value = match read {
        Ok(received) => serde_json::from_slice(&received.body).unwrap_or_default(),
        Err(refusal) => return refused(&refusal),
    };
    let now_s = now_unix_nano() / 1_000_000_000;
    let documents = report["SamplingStatisticsDocuments"].as_array().into_iter().flatten();
    let target = |document: &Value| {
        json!({
            "RuleName": document["RuleName"], "FixedRate": 1.0, "ReservoirQuota": RESERVOIR_QUOTA,
            "ReservoirQuotaTTL": (now_s + QUOTA_SECONDS) as f64, "Interval": REPORT_EVERY_SECONDS,
        })
    };
    let targets: Vec<Value> = documents.map(target).collect();
    let answer =
        json!({ "SamplingTargetDocuments": targets, "LastRuleModification": 0.0, "UnprocessedStatistics": [] });
    Json(answer).into_response()
}
