//! `/api/status`: what is running and what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::{NoParams, Strict};
use crate::app::App;

/// What is running and what is stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    version: &'static str,
    ready: bool,
    uptime_ns: u64,
    /// Records of spans stored: a span that was sent again may count twice, though every answer has it once.
    spans: u64,
    /// Traces stored, counted once in each segment and memtable that has spans of them.
    traces: u64,
    bytes_on_disk: u64,
    oldest_unix_nano: Option<String>,
    newest_unix_nano: Option<String>,
    /// Spans received since the start.
    received_spans_total: u64,
    /// Where each listener listens.
    listening: BTreeMap<&'static str, String>,
}

/// What is running and what is stored.
#[utoipa::path(get, path = "/api/status", tag = "status", 
    responses((status = 200, body = Status), (status = 400, body = ErrorBody)))]
pub async fn status(
    State(app): State<Arc<App>>,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<Json<Status>, ApiError> {
    let stats = app.stage.opened_now().map(|opened| opened.store.stats());
    let text = |instant: Option<u64>| instant.map(|instant| instant.to_string());
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: app.stage.name() == "ready",
        uptime_ns: app.started.elapsed().as_nanos() as u64,
        spans: stats.as_ref().map_or(0, |stats| stats.spans),
        traces: stats.as_ref().map_or(0, |stats| stats.traces),
        bytes_on_disk: stats.as_ref().map_or(0, |stats| stats.segment_bytes + stats.wal_bytes),
        oldest_unix_nano: text(stats.as_ref().and_then(|stats| stats.oldest_unix_nano)),
        newest_unix_nano: text(stats.as_ref().and_then(|stats| stats.newest_unix_nano)),
        received_spans_total: app.metrics.received_spans(),
        listening: app.listening.iter().map(|(&name, address)| (name, address.to_string())).collect(),
    }))
}
