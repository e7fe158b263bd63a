//! `/healthz`, `/readyz` and `/metrics`: for programs that watch the server.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use store::metrics::DURATION_BUCKETS_S;

use crate::app::App;
use crate::clock::now_unix_nano;
use crate::metrics::Reading;
use crate::metrics::ReadingValue::{Counter, Gauge, Ratio, Seconds};

/// The paths of this module.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app)
}

async fn alive() -> &'static str {
    "ok\n"
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut phase = app.stage.name();
    if phase == "ready" && app.stage.opened_now().is_some_and(|opened| opened.store.is_read_only()) {
        phase = "read_only";
    }
    let status = if phase == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": phase == "ready", "phase": phase }))).into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    for drops in &app.drops {
        drops.read(&app.metrics);
    }
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = tokio::task::spawn_blocking(move || {
        let exposition = app.lookout().map(|lookout| lookout.engine().exposition()).unwrap_or_default();
        app.metrics.encode(readings(&app), exposition, now_unix_nano())
    });
    match text.await {
        Ok(text) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What is read at the moment of asking.
fn readings(app: &App) -> Vec<Reading> {
    let reading = |name, help, value| Reading { name, help, value };
    let gauge = |name, help, value: u64| reading(name, help, Gauge(value));
    let (bodies, decoded) = (app.intake.budget.used_bytes(), app.intake.decoded.used_bytes());
    let mut readings = vec![
        gauge("intake_bytes", "Bytes of requests that are being received or stored, as received and inflated", bodies),
        gauge("decoded_bytes", "Memory of requests that are being decoded or stored", decoded),
    ];
    readings.extend(flow_readings(app));
    let Some(opened) = app.stage.opened_now() else { return readings };
    let (stats, counted) = (opened.store.stats(), opened.store.metrics());
    readings.extend([
        gauge(
            "stored_spans",
            "Records of spans stored: a span that was sent again may count twice, though every answer has it once",
            stats.spans,
        ),
        gauge("segments", "Segments", stats.segments),
        gauge("segment_bytes", "Bytes of all segments", stats.segment_bytes),
        gauge("wal_bytes", "Bytes of the write-ahead log", stats.wal_bytes),
        gauge("memtable_bytes", "Bytes of spans that are not sealed yet", stats.memtable_bytes),
        gauge(
            "clock_ahead",
            "1 while the clock is so far ahead that no day is dropped by it",
            u64::from(stats.clock_is_ahead),
        ),
        gauge(
            "unreadable_segments",
            "Segments that the disk refuses to read; they are tried again",
            stats.unreadable_segments,
        ),
        gauge("read_only", "1 while the disk takes no writes, and the server no spans", u64::from(stats.read_only)),
        gauge("wal_queued_bytes", "Bytes of requests that wait for the disk", stats.queued_bytes),
    ]);
    let counters: [(&str, &str, &store::metrics::Counter); 17] = [
        ("applied_spans", "Spans made searchable, replayed ones included", &counted.spans_applied),
        ("wal_written_bytes", "Bytes written to the write-ahead log", &counted.wal_bytes_written),
        ("wal_errors", "Writes or syncs of the write-ahead log that failed", &counted.wal_errors),
        ("wal_torn_bytes", "Bytes of unfinished writes cut off at start", &counted.wal_torn_bytes),
        ("wal_damaged_places", "Places of the write-ahead log that could not be read", &counted.wal_damaged_places),
        ("sealed_segments", "Segments written", &counted.segments_sealed),
        ("sealed_bytes", "Bytes of segments written", &counted.segment_bytes_written),
        ("duplicate_spans", "Spans that arrived again and were stored once", &counted.duplicates_dropped),
        ("compacted_segments", "Segments that were merged into others", &counted.merged_segments),
        ("compaction_read_bytes", "Bytes of segments that were read to be merged", &counted.merge_bytes_read),
        ("compaction_written_bytes", "Bytes of merged segments", &counted.merge_bytes_written),
        ("compaction_spans", "Spans of merged segments", &counted.merge_spans_written),
        (
            "compaction_duplicate_spans",
            "Records of spans left out of merged segments as there was a later one",
            &counted.merge_duplicates_dropped,
        ),
        ("compaction_errors", "Merges of segments that failed", &counted.merge_errors),
        ("seal_errors", "Tries to seal that failed", &counted.seal_errors),
        ("quarantined_segments", "Damaged segments moved aside", &counted.segments_quarantined),
        ("dropped_days", "Days dropped by retention", &counted.days_dropped),
    ];
    readings.extend(counters.into_iter().map(|(name, help, counter)| reading(name, help, Counter(counter.get()))));
    let help = "Bytes written to log and segments, merging included, for each byte of sealed segments, since the start";
    readings.push(reading("write_amplification", help, Ratio(counted.write_amplification())));
    for (name, help, durations) in [
        ("wal_sync", "Syncs of the write-ahead log", &counted.syncs),
        ("compaction", "Merges of segments", &counted.merges),
    ] {
        let (counts, sum_seconds) = durations.get();
        let buckets = DURATION_BUCKETS_S.into_iter().chain([f64::INFINITY]).zip(counts).collect();
        readings.push(reading(name, help, Seconds { buckets, sum_seconds }));
    }
    readings
}

/// What the engine of flows counts.
fn flow_readings(app: &App) -> Vec<Reading> {
    let Some(lookout) = app.lookout() else { return Vec::new() };
    let engine = lookout.engine();
    let (totals, (messages, orphans)) = (engine.totals(), engine.held());
    let bytes = engine.heap_bytes() as u64;
    drop(engine);
    let reading = |name, help, value| Reading { name, help, value };
    vec![
        reading("flow_messages", "Messages known in memory", Gauge(messages as u64)),
        reading("flow_orphans", "Spans that received something and wait for its sender", Gauge(orphans as u64)),
        reading("flow_bytes", "Memory of what is known of messages, destinations and calls", Gauge(bytes)),
        reading("late_messages", "Messages that became late", Counter(totals.late)),
        reading("lost_messages", "Messages that became lost", Counter(totals.lost)),
        reading("found_messages", "Late or lost messages that were received after all", Counter(totals.corrected)),
        reading("dead_lettered_messages", "Messages that were given up on", Counter(totals.dead_lettered)),
        reading("forgotten_messages", "Open messages that were forgotten for want of room", Counter(totals.forgotten)),
        reading("flow_write_errors", "Times that this could not be written down", Counter(lookout.write_errors())),
    ]
}
