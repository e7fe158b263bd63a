//! `/api/snapshots`: an instant copy of the data directory, made by the server that works in it.
//!
//! The only request of the own API that changes anything: it makes a directory. So it is taken as JSON only, which a page of
//! somebody else cannot send without being asked first, and only where nobody but this machine can send it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::backup::{Copied, copy_directory};
use store::disk::RealDisk;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::{NoParams, Strict};
use crate::app::App;

/// Two at once would only make each slower.
static TURN: Semaphore = Semaphore::const_new(1);

/// What to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotRequest {
    /// Where the copy goes: an absolute path on the server's machine, of a directory that is new or empty.
    directory: String,
}

/// A finished copy.
#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotAnswer {
    directory: String,
    segments: u64,
    files: u64,
    bytes: u64,
    /// Bytes that were copied; the rest shares its place on disk with the original.
    bytes_copied: u64,
    elapsed_ns: u64,
}

/// Copies everything stored now into a new directory. Segments are hard links, so it takes an instant and hardly any room; a server started
/// on the copy has every span that was acknowledged before the request.
#[utoipa::path(post, path = "/api/snapshots", tag = "status", request_body = SnapshotRequest,
    responses((status = 201, body = SnapshotAnswer), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn take(
    State(app): State<Arc<App>>,
    Strict(NoParams {}): Strict<NoParams>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<SnapshotAnswer>), ApiError> {
    only_from_here(&app)?;
    let to = directory(&headers, &body)?;
    // Held, so that the store does not close half-way.
    let opened = app.stage.opened_now().ok_or_else(ApiError::not_ready)?;
    let turn = TURN.try_acquire().map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "another snapshot is being taken",
            "try again in a moment",
        )
    })?;
    let (data, target, begin) = (app.options.data.clone(), to.clone(), Instant::now());
    let job = tokio::task::spawn_blocking(move || {
        let copied = copy(&data, &target);
        drop((opened, turn));
        copied
    });
    let copied = job.await.map_err(|_| refused("broken", "the snapshot was broken off".to_owned()))??;
    tracing::info!(directory = %to.display(), segments = copied.segments, bytes = copied.bytes, "a snapshot was taken");
    let answer = SnapshotAnswer {
        directory: to.display().to_string(),
        segments: copied.segments,
        files: copied.files,
        bytes: copied.bytes,
        bytes_copied: copied.bytes_copied,
        elapsed_ns: begin.elapsed().as_nanos() as u64,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Whoever may make directories on this machine has to be on it.
fn only_from_here(app: &App) -> Result<(), ApiError> {
    if app.listening.get("api").is_some_and(|address| address.ip().is_loopback()) {
        return Ok(());
    }
    let message = "snapshots are taken over the API only where it listens on loopback";
    let hint = "run longspan snapshot --data DIR --to DIR2 on the server's machine";
    Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message, hint))
}

fn directory(headers: &HeaderMap, body: &[u8]) -> Result<PathBuf, ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next() != Some("application/json") {
        return Err(ApiError::bad_parameter("the body has to be JSON, with Content-Type: application/json"));
    }
    let request: SnapshotRequest = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_parameter(format!("the body cannot be read: {error}")))?;
    let directory = PathBuf::from(&request.directory);
    if directory.is_absolute() && directory.file_name().is_some() {
        return Ok(directory);
    }
    Err(ApiError::bad_parameter(format!("{:?} is not the absolute path of a directory", request.directory)))
}

fn copy(data: &Path, to: &Path) -> Result<Copied, ApiError> {
    let data = data.canonicalize().map_err(|error| refused("broken", format!("{}: {error}", data.display())))?;
    copy_directory(&RealDisk, &data, to).map_err(|error| match error {
        StoreError::Occupied { .. } => {
            ApiError::new(StatusCode::CONFLICT, "occupied", error.to_string(), "name a directory that is not there yet")
        }
        error => refused("not_copied", error.to_string()),
    })
}

fn refused(code: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, code, message, "")
}
