//! Instrumented calls a service makes or answers: HTTP, SQL, Redis, SMTP.
//!
//! Only the spans are real: behind these calls there is a sleep in logical time. Attributes and names follow the stable
//! HTTP and database conventions.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue};

use super::telemetry::{Failure, Library, OpenSpan, Service};
use super::world::World;

/// A statement as the database conventions describe it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    pub(crate) system: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) host: &'static str,
    pub(crate) port: i64,
    pub(crate) operation: &'static str,
    /// Empty where the system has no collections.
    pub(crate) collection: &'static str,
    pub(crate) text: &'static str,
    pub(crate) median: Duration,
}

impl Query {
    pub(crate) const fn postgres(
        namespace: &'static str,
        operation: &'static str,
        collection: &'static str,
        text: &'static str,
        median_us: u64,
    ) -> Self {
        Self {
            system: "postgresql",
            namespace,
            host: "postgres.shop.internal",
            port: 5432,
            operation,
            collection,
            text,
            median: Duration::from_micros(median_us),
        }
    }

    pub(crate) const fn redis(operation: &'static str, text: &'static str) -> Self {
        Self {
            system: "redis",
            namespace: "0",
            host: "redis.shop.internal",
            port: 6379,
            operation,
            collection: "",
            text,
            median: Duration::from_micros(420),
        }
    }
}

/// Runs a statement under a CLIENT span.
pub(crate) async fn query(world: &World, service: Service, parent: &Context, query: &Query) {
    query_many(world, service, parent, query, 1).await;
}

/// Runs a statement for a number of rows at once.
pub(crate) async fn query_many(world: &World, service: Service, parent: &Context, query: &Query, rows: usize) {
    let summary = match query.collection {
        "" => query.operation.to_owned(),
        collection => format!("{} {collection}", query.operation),
    };
    let mut attributes = vec![
        KeyValue::new("db.system.name", query.system),
        KeyValue::new("db.namespace", query.namespace),
        KeyValue::new("db.operation.name", query.operation),
        KeyValue::new("db.query.summary", summary.clone()),
        KeyValue::new("db.query.text", query.text),
        KeyValue::new("server.address", query.host),
        KeyValue::new("server.port", query.port),
    ];
    if !query.collection.is_empty() {
        attributes.push(KeyValue::new("db.collection.name", query.collection));
    }
    if rows > 1 {
        attributes.push(KeyValue::new("db.operation.batch.size", rows as i64));
    }
    let library = if query.system == "redis" { Library::Redis } else { Library::Sql };
    let builder = SpanBuilder::from_name(summary).with_kind(SpanKind::Client).with_attributes(attributes);
    let span = world.start((service, library), parent, builder);
    world.work(query.median + Duration::from_micros(30) * rows as u32).await;
    world.end(&span);
}

/// A request to somebody's HTTP API.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) host: &'static str,
    pub(crate) port: i64,
    pub(crate) path: String,
}

impl Request {
    /// A POST to a third party.
    pub(crate) fn post(host: &'static str, path: &str) -> Self {
        Self { method: "POST", scheme: "https", host, port: 443, path: path.to_owned() }
    }
}

/// Opens a CLIENT span for a request; its context goes into the request's headers.
pub(crate) fn begin_request(world: &World, service: Service, parent: &Context, request: &Request) -> OpenSpan {
    let url = format!("{}://{}:{}{}", request.scheme, request.host, request.port, request.path);
    let attributes = vec![
        KeyValue::new("http.request.method", request.method),
        KeyValue::new("url.full", url),
        KeyValue::new("server.address", request.host),
        KeyValue::new("server.port", request.port),
        KeyValue::new("network.protocol.version", "1.1"),
    ];
    let builder = SpanBuilder::from_name(request.method).with_kind(SpanKind::Client).with_attributes(attributes);
    world.start((service, Library::HttpClient), parent, builder)
}

/// Calls a third party, which records no spans of its own: answers with a status, or fails.
pub(crate) async fn call(
    world: &World,
    service: Service,
    parent: &Context,
    (request, median): (Request, Duration),
    outcome: Result<i64, Failure>,
) -> Result<(), Failure> {
    let span = begin_request(world, service, parent, &request);
    world.work(median).await;
    let result = match outcome {
        Ok(status) => {
            span.set("http.response.status_code", status);
            if status >= 400 {
                // An answer the caller can live with, and an error all the same by the conventions for clients.
                span.refuse(status.to_string());
            }
            Ok(())
        }
        Err(failure) => {
            // An error that is a status says so twice, as the conventions want it.
            if let Ok(status) = failure.error_type.parse::<i64>() {
                span.set("http.response.status_code", status);
            }
            span.fail(&failure, world.clock.now());
            Err(failure)
        }
    };
    world.end(&span);
    result
}

/// A request as the server's router sees it.
#[derive(Debug, Clone)]
pub(crate) struct Incoming<'a> {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) path: String,
    pub(crate) user_id: &'a str,
    /// The caller's headers; empty when it sends no context.
    pub(crate) headers: HashMap<String, String>,
}

/// Opens a SERVER span for a request.
pub(crate) fn begin_serving(world: &World, service: Service, incoming: &Incoming<'_>) -> OpenSpan {
    let attributes = vec![
        KeyValue::new("http.request.method", incoming.method),
        KeyValue::new("http.route", incoming.route),
        KeyValue::new("url.path", incoming.path.clone()),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("user.id", incoming.user_id.to_owned()),
    ];
    let name = format!("{} {}", incoming.method, incoming.route);
    let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes);
    let caller = world.telemetry.extract(&incoming.headers);
    world.start((service, Library::HttpServer), &caller, builder)
}

/// Ends a request's span, client's or server's, with the status.
pub(crate) fn finish(world: &World, span: &OpenSpan, status: i64) {
    span.set("http.response.status_code", status);
    world.end(span);
}

/// A piece of the service's own work under an INTERNAL span.
pub(crate) async fn step(world: &World, service: Service, parent: &Context, name: &'static str, median: Duration) {
    let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Internal);
    let span = world.start((service, Library::Own), parent, builder);
    world.work(median).await;
    world.end(&span);
}

/// Hands a mail to the provider's SMTP server.
pub(crate) async fn smtp(
    world: &World,
    parent: &Context,
    duration: Duration,
    outcome: Result<(), Failure>,
) -> Result<(), Failure> {
    let attributes = vec![
        KeyValue::new("network.protocol.name", "smtp"),
        KeyValue::new("server.address", "smtp.mailer.example"),
        KeyValue::new("server.port", 587),
    ];
    let builder = SpanBuilder::from_name("SMTP DATA").with_kind(SpanKind::Client).with_attributes(attributes);
    let span = world.start((Service::Email, Library::Smtp), parent, builder);
    world.work(duration).await;
    if let Err(failure) = &outcome {
        span.fail(failure, world.clock.now());
    }
    world.end(&span);
    outcome
}
