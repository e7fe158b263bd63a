//! [`ApiError`]: the one shape of everything that is refused on the own API.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use query::QueryError;
use serde::Serialize;
use utoipa::ToSchema;

/// A refusal; sent as `{"error": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// What it says.
    pub problem: Problem,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// A word for programs: `bad_parameter`, `bad_query`, `not_found`, `not_ready`, `busy`, `too_slow`, `damaged`, `too_large`, `wrong_host`, `no_such_path`,
    /// `method_not_allowed`, `broken`; of snapshots also `forbidden`, `occupied`, `not_copied`.
    pub code: &'static str,
    /// What is wrong, for a person.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where in `q` a query cannot be read, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
}

/// The body of every answer that is not a success.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: Problem,
}

impl ApiError {
    /// A refusal with a hint.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>, hint: &str) -> ApiError {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        ApiError { status, problem: Problem { code, message: message.into(), hint, position: None } }
    }

    /// A parameter that is unknown or cannot be read.
    pub fn bad_parameter(message: impl Into<String>) -> ApiError {
        let hint = "the parameters of every path are listed at /api/openapi.json";
        ApiError::new(StatusCode::BAD_REQUEST, "bad_parameter", message, hint)
    }

    /// Nothing of this id is stored.
    pub fn not_found(message: impl Into<String>) -> ApiError {
        let hint = "it may not have arrived yet, or retention may have dropped it";
        ApiError::new(StatusCode::NOT_FOUND, "not_found", message, hint)
    }

    /// The store is not there yet, or not any more.
    pub fn not_ready() -> ApiError {
        let message = "the server is not ready: it is reading its log, or stopping";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message, "try again in a moment")
    }
}

impl From<query::ParseError> for ApiError {
    fn from(error: query::ParseError) -> Self {
        let mut refused = ApiError::new(StatusCode::BAD_REQUEST, "bad_query", error.message, &error.hint);
        refused.problem.position = Some(error.position);
        refused
    }
}

impl From<query::FilterError> for ApiError {
    fn from(error: query::FilterError) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_parameter", error.message, &error.hint)
    }
}

impl From<query::CursorError> for ApiError {
    fn from(error: query::CursorError) -> Self {
        ApiError::bad_parameter(error.to_string())
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Read(_) => {
                tracing::error!(error = message, "stored spans cannot be read");
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", message, "the server's log says which file")
            }
            QueryError::Limit { .. } => ApiError::bad_parameter(message),
            QueryError::Stopped => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_slow", message, "ask again"),
            QueryError::TooLarge { .. } => {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message, "ask for a shorter range of time")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorBody { error: self.problem })).into_response()
    }
}
