//! Asking the store: off the threads that serve sockets, a bounded number at once, timed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use query::{LocalStore, QueryError};
use tokio::time::timeout;

use super::error::ApiError;
use crate::app::App;

/// How long a question waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(30);

impl App {
    /// Runs `question` against the store; `operation` is its name in the metrics.
    pub async fn ask<T, F>(self: &Arc<Self>, operation: &'static str, question: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&LocalStore) -> Result<T, QueryError> + Send + 'static,
    {
        let opened = self.stage.opened_now().ok_or_else(ApiError::not_ready)?;
        let turn = timeout(TURN_MAX, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.expect("nobody closes the turns");
        let started = Instant::now();
        let job = tokio::task::spawn_blocking(move || {
            let answer = question(&opened.query);
            drop(turn);
            answer
        });
        let answer = job.await.map_err(|_| broken())?;
        self.metrics.queried(operation, started.elapsed());
        answer.map_err(ApiError::from)
    }
}

fn busy() -> ApiError {
    let message = "too many questions are being answered";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message, "try again in a moment")
}

fn broken() -> ApiError {
    let message = "the question could not be answered";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", message, "the server's log says why")
}
