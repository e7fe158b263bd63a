//! Jaeger's query API, for Jaeger's own page and Grafana's Jaeger data source: the older `/api/…` and `/api/v3/…`.
//!
//! Newer Jaeger pages and servers know only the second, Grafana searches with the first. Unknown parameters are ignored here,
//! as Jaeger does. A trace of Jaeger's holds every span that we have; what its model has no word for is a tag.
//!
//! | module | what |
//! |---|---|
//! | [`legacy`] | `/api/services`, `/api/traces`, … |
//! | [`v3`] | `/api/v3/…` |
//! | [`search`] | what both understand as a search |
//! | [`span`] | Jaeger's shape of a span |

pub mod legacy;
pub mod search;
pub mod span;
pub mod v3;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use query::{Field, Filter, FilterError, LocalStore, QueryError, SpanStore};

use crate::app::App;

/// How Jaeger shows spans whose sender gave no service name.
pub(super) const NO_SERVICE_NAME: &str = "OTLPResourceNoServiceName";

/// Jaeger's paths, below wherever it is nested.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/services", get(legacy::services))
        .route("/api/services/{service}/operations", get(legacy::operation_names))
        .route("/api/operations", get(legacy::operations))
        .route("/api/traces", get(legacy::search))
        .route("/api/traces/{trace_id}", get(legacy::trace))
        .route("/api/dependencies", get(legacy::dependencies))
        .route("/api/v3/services", get(v3::services))
        .route("/api/v3/operations", get(v3::operations))
        .route("/api/v3/traces", get(v3::search))
        .route("/api/v3/traces/{trace_id}", get(v3::trace))
        .route("/api/v3/trace-summaries", get(v3::summaries))
        .with_state(app)
}

fn shown_service(name: &str) -> &str {
    if name.is_empty() { NO_SERVICE_NAME } else { name }
}

fn stored_service(name: &str) -> &str {
    if name == NO_SERVICE_NAME { "" } else { name }
}

fn service_filter(name: &str) -> Result<Filter, FilterError> {
    match stored_service(name) {
        "" => Ok(Filter::negate(Filter::Exists(Field::Service))),
        name => Filter::equals(Field::Service, name),
    }
}

fn service_names(store: &LocalStore) -> Result<Vec<String>, QueryError> {
    let services = store.services()?;
    Ok(services.iter().map(|service| shown_service(&service.name).to_owned()).collect())
}

/// The word for a kind, empty for a kind that Jaeger has no word for.
fn kind_word(kind: model::SpanKind) -> String {
    match kind.0 {
        1..=5 => kind.to_string(),
        _ => String::new(),
    }
}
