//! The own API of `docs/api.md`, and the APIs of Jaeger and Zipkin for existing tools.
//!
//! The routes and the OpenAPI document come from the same place ([`documented`]), so that neither can have what the other lacks.
//! Nothing here knows files or formats: questions go to [`query::SpanStore`], shapes come from what it answers.

pub mod ask;
pub mod catalog;
pub mod dead_letters;
pub mod destinations;
pub mod error;
pub mod flows;
pub mod jaeger;
pub mod logs;
pub mod messages;
pub mod pairs;
pub mod params;
pub mod shapes;
pub mod snapshots;
pub mod spread;
pub mod status;
pub mod stream;
pub mod stretches;
pub mod traces;
pub mod values;
pub mod zipkin;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::error::ApiError;
use crate::app::App;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Longspan",
        description = "Distributed tracing for work that outlives the request. Ids are lower-case hex; instants are decimal \
                       strings of Unix nanoseconds, named *_unix_nano; durations are numbers of nanoseconds, named *_ns.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(values::Attribute<'static>))
)]
struct Document;

/// The routes with their documentation.
pub fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status::status))
        .routes(routes!(snapshots::take))
        .routes(routes!(catalog::services))
        .routes(routes!(catalog::operations))
        .routes(routes!(catalog::attribute_keys))
        .routes(routes!(catalog::attribute_values))
        .routes(routes!(traces::search))
        .routes(routes!(spread::heat_map))
        .routes(routes!(spread::explain))
        .routes(routes!(traces::trace))
        .routes(routes!(traces::links))
        .routes(routes!(flows::flow))
        .routes(routes!(flows::spans))
        .routes(routes!(logs::logs))
        .routes(routes!(logs::histogram))
        .routes(routes!(logs::of_flow))
        .routes(routes!(destinations::destinations))
        .routes(routes!(destinations::destination))
        .routes(routes!(dead_letters::dead_letters))
        .routes(routes!(destinations::map))
        .routes(routes!(destinations::expectations, destinations::declare))
        .routes(routes!(messages::messages))
        .routes(routes!(messages::message))
}

/// The own API. Unknown paths below `/api` get the error shape.
pub fn router(app: Arc<App>) -> Router {
    let (router, document) = documented().split_for_parts();
    let json = document.to_json().expect("the document is made of plain values");
    let serve = move || async move { ([(header::CONTENT_TYPE, "application/json")], json) };
    router
        .route("/api/openapi.json", get(serve))
        .route("/api/{*rest}", get(no_such_path))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

async fn no_such_path(uri: Uri) -> ApiError {
    let hint = "all paths are listed at /api/openapi.json";
    ApiError::new(StatusCode::NOT_FOUND, "no_such_path", format!("there is no {}", uri.path()), hint)
}

async fn method_not_allowed(uri: Uri) -> impl IntoResponse {
    let message = match uri.path() {
        "/api/snapshots" => "/api/snapshots is only sent to, with POST".to_owned(),
        path => format!("{path} is only read, with GET"),
    };
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message, "")
}
