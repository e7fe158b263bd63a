//! Asking the store: off the threads that serve sockets, a bounded number at once, for a bounded time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use flow::engine::Engine;
use query::{LocalStore, QueryError, Stop};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::error::ApiError;
use crate::app::App;

/// How long a question waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(30);

/// Calls a question off when nobody waits for its answer any more: too late, or the reader went away.
struct CalledOff(Stop);

impl Drop for CalledOff {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl App {
    /// Looks something up in the store; `operation` is its name in the metrics.
    pub async fn ask<T, F>(self: &Arc<Self>, operation: &'static str, question: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&LocalStore) -> Result<T, QueryError> + Send + 'static,
    {
        self.ask_in_turn(&self.look_ups, operation, question).await
    }

    /// As [`App::ask`], for questions that read their way through what is stored: fewer of them run at once.
    pub async fn search<T, F>(self: &Arc<Self>, operation: &'static str, question: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&LocalStore) -> Result<T, QueryError> + Send + 'static,
    {
        self.ask_in_turn(&self.searches, operation, question).await
    }

    /// Asks what the streaming engine knows; it is in memory, and the answer takes milliseconds.
    pub async fn look_out<T, F>(self: &Arc<Self>, operation: &'static str, question: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&Engine) -> T + Send + 'static,
    {
        let lookout = self.lookout().ok_or_else(ApiError::not_ready)?;
        let turn = timeout(TURN_MAX, self.look_ups.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| self.refused(busy()))?.expect("nobody closes the turns");
        let started = Instant::now();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question(&lookout.engine());
            drop(turn);
            answer
        });
        let answer = answer.await.map_err(|_| broken())?;
        self.metrics.queried(operation, started.elapsed());
        Ok(answer)
    }

    async fn ask_in_turn<T, F>(
        &self,
        turns: &Arc<Semaphore>,
        operation: &'static str,
        question: F,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&LocalStore) -> Result<T, QueryError> + Send + 'static,
    {
        let opened = self.stage.opened_now().ok_or_else(ApiError::not_ready)?;
        let turn = timeout(TURN_MAX, turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| self.refused(busy()))?.expect("nobody closes the turns");
        let started = Instant::now();
        let stop = Stop::default();
        let store = opened.query.until(stop.clone());
        let _called_off = CalledOff(stop);
        let job = tokio::task::spawn_blocking(move || {
            let answer = question(&store);
            // The store closes with its last owner, and must not do so after the server has stopped.
            drop((store, opened));
            drop(turn);
            answer
        });
        let answer = timeout(self.answer_max, job).await;
        self.metrics.queried(operation, started.elapsed());
        answer.map_err(|_| self.refused(self.too_slow()))?.map_err(|_| broken())?.map_err(ApiError::from)
    }

    fn refused(&self, error: ApiError) -> ApiError {
        self.metrics.question_refused(error.problem.code);
        error
    }

    fn too_slow(&self) -> ApiError {
        let message = format!("the question was not answered within {} s", self.answer_max.as_secs_f32());
        let hint = "ask for a shorter range of time, or add a condition: a service, or an attribute with its value";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_slow", message, hint)
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
