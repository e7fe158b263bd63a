//! `/api/dead-letters`: the messages of a destination that were given up on, by what their last attempt failed of.
//!
//! Which messages they are the engine knows; why is read from the spans of their last deliveries, of a bounded number of messages.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flow::engine::report::{DeliveryReport, MessageQuery, MessageReport};
use flow::hop::MessageState;
use model::{EventRef, SpanBatch, SpanId, SpanRef, StatusCode, TraceId};
use query::{LocalStore, QueryError, SpanStore};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::destinations::destination_key;
use super::error::{ApiError, ErrorBody};
use super::params::{InstantParam, Strict};
use crate::app::App;

/// Messages of which the cause is looked up; the last sent ones.
const LOOKED_AT_MAX: usize = 100;
/// Messages named of each cause.
const NAMED_MAX: usize = 5;
/// A message that a failure says is cut off here.
const DETAIL_CHARS_MAX: usize = 300;

/// Of which destination, and when they were sent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeadLettersParams {
    /// `system:name`.
    destination: String,
    /// Sent at or after this instant.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// Sent before this instant.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
}

/// A message that was given up on, and the span that failed last.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetter {
    /// As in `/api/messages/{id}`.
    id: String,
    sent_unix_nano: String,
    /// Who gave it up.
    group: String,
    trace_id: String,
    span_id: String,
    /// What the failure says of itself.
    detail: String,
}

/// A cause with its messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterCause {
    /// The type of the exception, else `error.type`, else what the status says; empty if nothing was said.
    cause: String,
    service: String,
    messages: usize,
    /// The last sent ones of them.
    newest: Vec<DeadLetter>,
}

/// Why messages were given up on.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLettersAnswer {
    /// The most frequent first.
    items: Vec<DeadLetterCause>,
    /// Messages that were looked at: those in memory that were sent last, 100 at the most.
    messages: usize,
    /// Whether there are more of them.
    truncated: bool,
}

/// Messages of a destination that were given up on, by the cause of their last failure.
#[utoipa::path(get, path = "/api/dead-letters", tag = "destinations", params(DeadLettersParams),
    responses((status = 200, body = DeadLettersAnswer), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn dead_letters(
    State(app): State<Arc<App>>,
    Strict(params): Strict<DeadLettersParams>,
) -> Result<Json<DeadLettersAnswer>, ApiError> {
    let query = MessageQuery {
        destination: Some(destination_key(&params.destination)?),
        group: None,
        state: Some(MessageState::DeadLettered),
        message_id: None,
        business_key: None,
        start_unix_nano: params.start.map(|start| start.0),
        end_unix_nano: params.end.map(|end| end.0),
        after: None,
        limit: LOOKED_AT_MAX + 1,
    };
    let mut dead = app.look_out("messages", move |engine| engine.messages(&query)).await?;
    let truncated = dead.len() > LOOKED_AT_MAX;
    dead.truncate(LOOKED_AT_MAX);
    let answer = app.search("dead_letters", move |store| {
        Ok(DeadLettersAnswer { messages: dead.len(), items: by_cause(store, &dead)?, truncated })
    });
    Ok(Json(answer.await?))
}

fn by_cause(store: &LocalStore, dead: &[MessageReport]) -> Result<Vec<DeadLetterCause>, QueryError> {
    let mut traces: HashMap<TraceId, Option<SpanBatch>> = HashMap::new();
    let mut causes: Vec<DeadLetterCause> = Vec::new();
    for message in dead {
        let Some(delivery) = message.deliveries.iter().max_by_key(|delivery| delivery.failed) else { continue };
        let spans = match traces.entry(delivery.trace_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(store.trace(delivery.trace_id)?.map(|trace| trace.spans)),
        };
        let failed = spans.as_ref().and_then(|spans| last_failure(spans, delivery, message.span_id));
        let (cause, detail) = failed.map(said).unwrap_or_default();
        let letter = DeadLetter {
            id: format!("{}-{}", message.trace_id, message.span_id),
            sent_unix_nano: message.sent_unix_nano.to_string(),
            group: delivery.group.clone(),
            trace_id: delivery.trace_id.to_string(),
            span_id: failed.map_or(delivery.span_id, SpanRef::span_id).to_string(),
            detail: detail.chars().take(DETAIL_CHARS_MAX).collect(),
        };
        let same = |known: &&mut DeadLetterCause| known.cause == cause && known.service == delivery.service;
        if let Some(known) = causes.iter_mut().find(same) {
            known.messages += 1;
            if known.newest.len() < NAMED_MAX {
                known.newest.push(letter);
            }
        } else {
            let service = delivery.service.clone();
            causes.push(DeadLetterCause { cause, service, messages: 1, newest: vec![letter] });
        }
    }
    causes.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.cause.cmp(&b.cause)));
    Ok(causes)
}

/// The last span of a delivery's service that failed: one that took this message, or else one beneath such a span.
fn last_failure<'a>(spans: &'a SpanBatch, delivery: &DeliveryReport, sender: SpanId) -> Option<SpanRef<'a>> {
    let took = |span: SpanRef<'_>| {
        span.span_id() == delivery.span_id
            || span.parent_span_id() == Some(sender)
            || span.links().any(|link| link.span_id() == sender)
    };
    let failed = |span: &SpanRef<'_>| span.status() == StatusCode::ERROR && span.service_name() == delivery.service;
    let last = |found: &mut dyn Iterator<Item = SpanRef<'a>>| found.max_by_key(|span| span.start_unix_nano());
    let beneath = |span: SpanRef<'_>| {
        let parent = span.parent_span_id();
        parent.is_some_and(|parent| spans.spans().any(|above| above.span_id() == parent && took(above)))
    };
    last(&mut spans.spans().filter(failed).filter(|&span| took(span)))
        .or_else(|| last(&mut spans.spans().filter(failed).filter(|&span| beneath(span))))
}

/// The cause a failed span names, and what it says of it.
fn said(span: SpanRef<'_>) -> (String, String) {
    let of_exception = |key: &str| {
        let exceptions = span.events().filter(|event| event.name() == "exception");
        exceptions.flat_map(EventRef::attributes).filter(|one| one.key == key).last()
    };
    let text = |value: Option<model::ValueRef<'_>>| {
        value.map(|value| value.comparison_text().into_owned()).filter(|text| !text.is_empty())
    };
    let status = (!span.status_message().is_empty()).then(|| span.status_message().to_owned());
    let exception = text(of_exception("exception.type").map(|one| one.value));
    let cause = exception.or_else(|| text(span.attribute("error.type"))).or_else(|| status.clone());
    let detail = text(of_exception("exception.message").map(|one| one.value)).or(status);
    (cause.unwrap_or_default(), detail.unwrap_or_default())
}
