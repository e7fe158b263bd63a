//! `/api/messages`: single messages with what became of them, as far back as memory reaches.
//!
//! A message is named by the span that sent it: `trace id-span id`. Older ones are found through their flow.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use flow::cone::Evidence;
use flow::engine::report::{DeliveryReport, MessageQuery, MessageReport};
use flow::hop::MessageState;
use flow::lineage::{Attempt, Step, lineage};
use flow::semconv::Messaging;
use model::{SpanId, TraceId};
use query::{LocalStore, QueryError, SpanStore};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::destinations::destination_key;
use super::error::{ApiError, ErrorBody};
use super::flows;
use super::params::{InstantParam, LimitParam, List, NoParams, Strict, text_parameter};
use crate::app::App;

/// Traces that are read for the ids of a list's messages.
const TRACES_ASKED_MAX: usize = 200;

const STATES: [MessageState; 6] = [
    MessageState::Pending,
    MessageState::Consumed,
    MessageState::Late,
    MessageState::Lost,
    MessageState::DeadLettered,
    MessageState::Unknown,
];

/// A state by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateParam(MessageState);
text_parameter!(StateParam);

impl FromStr for StateParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let state = STATES.into_iter().find(|state| state.name() == text);
        let names = || STATES.map(MessageState::name).join(", ");
        state.map(StateParam).ok_or_else(|| format!("{text:?} is no state; write one of {}", names()))
    }
}

/// `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairParam(String, String);
text_parameter!(PairParam);

impl FromStr for PairParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = text.split_once('=').map(|(key, value)| PairParam(key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| format!("{text:?} is no pair; write it like order.id=42"))
    }
}

/// The place of a message in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageCursor(u64, TraceId, SpanId);
text_parameter!(MessageCursor);

impl fmt::Display for MessageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl FromStr for MessageCursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let place = match parts[..] {
            [sent, trace_id, span_id] => sent.parse().ok().zip(trace_id.parse().ok()).zip(span_id.parse().ok()),
            _ => None,
        };
        let place = place.map(|((sent, trace_id), span_id)| MessageCursor(sent, trace_id, span_id));
        place.ok_or_else(|| format!("{text:?} is not a cursor; pass `next_cursor` as it came"))
    }
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessagesParams {
    /// Sent there: `system:name`.
    destination: Option<String>,
    /// Received by this group, or missed by it.
    group: Option<String>,
    /// `pending`, `consumed`, `late`, `lost`, `dead_lettered` or `unknown`.
    #[param(value_type = Option<String>)]
    state: Option<StateParam>,
    /// With this id.
    message_id: Option<String>,
    /// With this value of a key that `--correlate` declares, as `order.id=42`.
    #[param(value_type = Option<String>)]
    key: Option<PairParam>,
    /// Sent at or after this instant.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// Sent before this instant.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
    /// At most so many.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    limit: LimitParam<100, 1_000>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<MessageCursor>,
}

/// A message's way to one group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageDelivery)]
pub struct DeliveryShape {
    group: String,
    /// The service that received it first.
    service: String,
    trace_id: String,
    span_id: String,
    received_unix_nano: String,
    /// Null if clocks disagree.
    queue_wait_ns: Option<u64>,
    /// How often it was delivered.
    attempts: u32,
    /// How many spans that worked on it failed.
    failed: u32,
    /// `parent`, `link`, `message_id`, `offset`, `conversation_id` or `business_key`.
    evidence: &'static str,
}

/// A message: one span that sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageShape {
    /// The last part of its path.
    id: String,
    trace_id: String,
    span_id: String,
    /// Who sent it.
    service: String,
    /// Its id by its system; null if nobody said. Of a list only the messages of the first 200 traces are asked for it.
    message_id: Option<String>,
    /// `system:name`.
    destination: String,
    partition: Option<String>,
    sent_unix_nano: String,
    /// How many messages the span sent at once.
    count: u32,
    /// `pending`, `consumed`, `late`, `lost`, `dead_lettered` or `unknown`: of several groups that are expected the worst.
    state: &'static str,
    /// Groups that are expected to have received it and have not.
    missing_groups: Vec<String>,
    /// The sender does not record everything, so nothing is expected.
    sampled: bool,
    deliveries: Vec<DeliveryShape>,
}

/// A delivery within a lineage.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LineageAttempt)]
pub struct AttemptShape {
    trace_id: String,
    span_id: String,
    /// Null if the sender gave none.
    service: Option<String>,
    group: Option<String>,
    /// `system:name`: another one than the message's if a broker moved it.
    destination: String,
    attempt: u32,
    received_unix_nano: String,
    queue_wait_ns: Option<u64>,
    evidence: Option<&'static str>,
    /// What became of the message in this group.
    state: &'static str,
    /// The span that received, or one below it in its service, failed.
    failed: bool,
    /// The last exception of these spans; of a failed one without any what its status says.
    exception: Option<ExceptionShape>,
}

/// An exception, and the span that recorded it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LineageException)]
pub struct ExceptionShape {
    trace_id: String,
    span_id: String,
    time_unix_nano: String,
    r#type: String,
    message: String,
}

/// A message of a lineage.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LineageStep)]
pub struct StepShape {
    /// As in `/api/messages/{id}`.
    id: String,
    /// `sent`: the lineage begins with it. `dead_letter`: a consumer put what it had received aside. `sent_again`: a dead letter was
    /// sent once more.
    how: &'static str,
    /// The message it was made of.
    of: Option<String>,
    service: Option<String>,
    /// `system:name`.
    destination: String,
    message_id: Option<String>,
    attempts: Vec<AttemptShape>,
}

/// A message with its lineage.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageDetail {
    #[serde(flatten)]
    message: MessageShape,
    /// It and everything it was made of or became by failing, in the order of sending.
    lineage: Vec<StepShape>,
}

fn id_of((trace_id, span_id): (TraceId, SpanId)) -> String {
    format!("{trace_id}-{span_id}")
}

impl StepShape {
    fn of(step: Step) -> StepShape {
        StepShape {
            id: id_of((step.from.trace_id, step.from.span_id)),
            how: step.how.name(),
            of: step.of.map(id_of),
            service: step.from.service,
            destination: step.destination.to_string(),
            message_id: step.message_id,
            attempts: step.attempts.into_iter().filter_map(AttemptShape::of).collect(),
        }
    }
}

impl AttemptShape {
    fn of(attempt: Attempt) -> Option<AttemptShape> {
        let to = attempt.hop.to?;
        Some(AttemptShape {
            trace_id: to.trace_id.to_string(),
            span_id: to.span_id.to_string(),
            service: to.service,
            group: attempt.hop.consumer_group,
            destination: attempt.hop.destination.to_string(),
            attempt: attempt.hop.attempt,
            received_unix_nano: attempt.received_unix_nano.to_string(),
            queue_wait_ns: attempt.hop.queue_wait_ns,
            evidence: attempt.hop.evidence.map(Evidence::name),
            state: attempt.hop.state.name(),
            failed: attempt.failed,
            exception: attempt.exception.map(|exception| ExceptionShape {
                trace_id: exception.trace_id.to_string(),
                span_id: exception.span_id.to_string(),
                time_unix_nano: exception.time_unix_nano.to_string(),
                r#type: exception.kind,
                message: exception.message,
            }),
        })
    }
}

impl MessageShape {
    fn of(message: MessageReport) -> MessageShape {
        MessageShape {
            id: id_of((message.trace_id, message.span_id)),
            trace_id: message.trace_id.to_string(),
            span_id: message.span_id.to_string(),
            service: message.service,
            message_id: None,
            destination: message.destination.to_string(),
            partition: (!message.partition.is_empty()).then_some(message.partition),
            sent_unix_nano: message.sent_unix_nano.to_string(),
            count: message.count,
            state: message.state.name(),
            missing_groups: message.missing,
            sampled: message.sampled,
            deliveries: message.deliveries.into_iter().map(DeliveryShape::of).collect(),
        }
    }
}

impl DeliveryShape {
    fn of(delivery: DeliveryReport) -> DeliveryShape {
        DeliveryShape {
            group: delivery.group,
            service: delivery.service,
            trace_id: delivery.trace_id.to_string(),
            span_id: delivery.span_id.to_string(),
            received_unix_nano: delivery.start_unix_nano.to_string(),
            queue_wait_ns: delivery.queue_wait_ns,
            attempts: delivery.attempts,
            failed: delivery.failed,
            evidence: delivery.evidence,
        }
    }
}

/// Messages in memory, the last sent first.
#[utoipa::path(get, path = "/api/messages", tag = "destinations", params(MessagesParams),
    responses((status = 200, body = List<MessageShape>), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn messages(
    State(app): State<Arc<App>>,
    Strict(params): Strict<MessagesParams>,
) -> Result<Json<List<MessageShape>>, ApiError> {
    let limit = params.limit.0;
    let query = MessageQuery {
        destination: params.destination.as_deref().map(destination_key).transpose()?,
        group: params.group,
        state: params.state.map(|state| state.0),
        message_id: params.message_id,
        business_key: params.key.map(|PairParam(key, value)| (key, value)),
        start_unix_nano: params.start.map(|start| start.0),
        end_unix_nano: params.end.map(|end| end.0),
        after: params.cursor.map(|MessageCursor(sent, trace_id, span_id)| (sent, trace_id, span_id)),
        limit: limit + 1,
    };
    let mut found = app.look_out("messages", move |engine| engine.messages(&query)).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let cursor = |last: &MessageReport| MessageCursor(last.sent_unix_nano, last.trace_id, last.span_id).to_string();
    let next_cursor = found.last().filter(|_| has_more).map(cursor);
    let senders: Vec<_> = found.iter().map(|message| (message.trace_id, message.span_id)).collect();
    let ids = app.ask("messages", move |store| message_ids(store, &senders)).await?;
    let mut items: Vec<MessageShape> = found.into_iter().map(MessageShape::of).collect();
    for (item, id) in items.iter_mut().zip(ids) {
        item.message_id = id;
    }
    Ok(Json(List { items, next_cursor, warnings: Vec::new() }))
}

/// The ids of messages, as the spans say that sent them; memory does not keep them.
fn message_ids(store: &LocalStore, senders: &[(TraceId, SpanId)]) -> Result<Vec<Option<String>>, QueryError> {
    let mut ids = vec![None; senders.len()];
    let mut by_trace: BTreeMap<TraceId, Vec<usize>> = BTreeMap::new();
    for (place, (trace_id, _)) in senders.iter().enumerate() {
        if by_trace.len() < TRACES_ASKED_MAX || by_trace.contains_key(trace_id) {
            by_trace.entry(*trace_id).or_default().push(place);
        }
    }
    for (trace_id, places) in by_trace {
        let Some(trace) = store.trace(trace_id)? else { continue };
        for span in trace.spans.spans() {
            let Some(&place) = places.iter().find(|&&place| senders[place].1 == span.span_id()) else { continue };
            let id = Messaging::of(span).map(|view| view.message.id.to_string());
            ids[place] = id.filter(|id| !id.is_empty());
        }
    }
    Ok(ids)
}

/// One message with all its deliveries, and with its lineage: attempts, dead letters, and what was sent again.
#[utoipa::path(get, path = "/api/messages/{id}", tag = "destinations",
    params(("id" = String, Path, description = "`id` of a message: the trace's and the sending span's id with `-` between")),
    responses((status = 200, body = MessageDetail), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub async fn message(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<Json<MessageDetail>, ApiError> {
    let ids = id.split_once('-').and_then(|(trace_id, span_id)| trace_id.parse().ok().zip(span_id.parse().ok()));
    let Some((trace_id, span_id)): Option<(TraceId, SpanId)> = ids else {
        return Err(ApiError::bad_parameter(format!("{id:?} is not the id of a message; write trace id-span id")));
    };
    let found = app.look_out("message", move |engine| engine.message(trace_id, span_id)).await?;
    let missing = || ApiError::not_found(format!("no message {id} is in memory"));
    let mut message = MessageShape::of(found.ok_or_else(missing)?);
    let steps = flows::find(&app, trace_id, Some(span_id), move |flow| lineage(&flow, (trace_id, span_id))).await?;
    let is_it = |step: &&Step| (step.from.trace_id, step.from.span_id) == (trace_id, span_id);
    message.message_id = steps.iter().find(is_it).and_then(|step| step.message_id.clone());
    Ok(Json(MessageDetail { message, lineage: steps.into_iter().map(StepShape::of).collect() }))
}
