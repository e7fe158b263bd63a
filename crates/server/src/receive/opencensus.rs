//! OpenCensus's agent over gRPC: two streams, spans in and configuration out.
//!
//! Every message of the stream `Export` is a request of its own, which is stored before the next one is read, so that a sender feels
//! when it sends too much. Only the first has to say who sends: what was said is put before the messages that leave it out. The
//! protocol has no answer to a message; a message that is refused ends its stream with the reason. Nothing is ever
//! configured, so that `Config` stays silent until the sender ends it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use tokio::time::timeout;
use wire::Format;
use wire::opencensus::Sender;

use super::grpc::{self, PREFIX_BYTES};
use super::zipkin::something_stored;
use crate::budget::{Charge, Overloaded};
use crate::intake::{Intake, Received, Refusal};
use crate::metrics::Protocol;

const EXPORT: &str = "/opencensus.proto.agent.trace.v1.TraceService/Export";
const CONFIG: &str = "/opencensus.proto.agent.trace.v1.TraceService/Config";
/// How long a sender may be silent in the middle of a message. Between messages it may be silent for ever.
const MESSAGE_IDLE: Duration = Duration::from_secs(30);

/// What the agent serves.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route(EXPORT, post(export))
        .route(CONFIG, post(config))
        .with_state(intake)
        .fallback(async |request: Request| grpc::unknown_method(request.uri().path()))
}

async fn export(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    match take_all(&intake, request).await {
        Ok(()) => nothing(),
        Err(refusal) => {
            intake.metrics.refused(Protocol::OpenCensus, refusal.reason());
            grpc::refused(&refusal)
        }
    }
}

/// An answer without messages.
fn nothing() -> Response {
    let trailers = std::future::ready(Some(Ok(grpc::ok_trailers())));
    grpc::response(Body::new(Empty::<Bytes>::new().with_trailers(trailers)))
}

async fn config(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    let mut frames = Frames::of(request);
    loop {
        match frames.next(&intake).await {
            Ok(Some(_)) => {}
            Ok(None) => return nothing(),
            Err(refusal) => return grpc::refused(&refusal),
        }
    }
}

async fn take_all(intake: &Intake, request: Request) -> Result<(), Refusal> {
    if !grpc::is_grpc(request.headers()) {
        return Err(Refusal::UnsupportedType("this port takes gRPC".to_owned()));
    }
    let mut sender = Sender::default();
    let mut frames = Frames::of(request);
    while let Some(received) = frames.next(intake).await? {
        let whole = complete(intake.unpack(received).await?, &mut sender)?;
        something_stored(intake.accept(Protocol::OpenCensus, Format::OpenCensusProtobuf, whole).await?)?;
    }
    Ok(())
}

/// Puts before a message what its stream said earlier.
fn complete(received: Received, sender: &mut Sender) -> Result<Received, Refusal> {
    let said_before = sender.listen(&received.body);
    if said_before.is_empty() {
        return Ok(received);
    }
    let Received { body, mut charge, encoding } = received;
    charge.grow(said_before.len())?;
    Ok(Received { body: [said_before, body.to_vec()].concat().into(), charge, encoding })
}

/// The messages of a stream, one by one.
struct Frames {
    headers: HeaderMap,
    body: Body,
    /// Bytes that came and were not looked at.
    ahead: BytesMut,
}

impl Frames {
    fn of(request: Request) -> Frames {
        let (parts, body) = request.into_parts();
        Frames { headers: parts.headers, body, ahead: BytesMut::new() }
    }

    /// The next message; nothing at the end of the stream, or when the server is about to stop.
    async fn next(&mut self, intake: &Intake) -> Result<Option<Received>, Refusal> {
        let compression = grpc::message_encoding(&self.headers)?;
        if self.ahead.is_empty() {
            let more = tokio::select! {
                more = self.read() => more?,
                () = intake.stage.ending() => false,
            };
            if !more {
                return Ok(None);
            }
        }
        self.read_up_to(PREFIX_BYTES).await?;
        let (encoding, length) = grpc::prefix(&mut self.ahead, compression, intake.max_body_bytes)?;
        let charge = charge(intake, length).await?;
        self.read_up_to(length).await?;
        Ok(Some(Received { body: self.ahead.copy_to_bytes(length), charge, encoding }))
    }

    async fn read_up_to(&mut self, length: usize) -> Result<(), Refusal> {
        while self.ahead.len() < length {
            let read = timeout(MESSAGE_IDLE, self.read()).await;
            let more = read.map_err(|_| Refusal::Incomplete("the sender fell silent".to_owned()))??;
            if !more {
                return Err(Refusal::Incomplete("the stream ended in the middle of a message".to_owned()));
            }
        }
        Ok(())
    }

    /// Reads what comes; whether something came.
    async fn read(&mut self) -> Result<bool, Refusal> {
        loop {
            let Some(frame) = self.body.frame().await else { return Ok(false) };
            let frame = frame.map_err(|error| Refusal::Incomplete(error.to_string()))?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                self.ahead.extend_from_slice(&data);
                return Ok(true);
            }
        }
    }
}

async fn charge(intake: &Intake, length: usize) -> Result<Charge, Refusal> {
    let room = intake.budget.open_with(length as u64);
    Ok(timeout(intake.admission_wait, room).await.map_err(|_| Overloaded)?)
}
