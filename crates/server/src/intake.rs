//! From a request's body to its OK: read, inflate, decode, admit, append, and wait until it is durable.
//!
//! Every receiver comes through [`Intake::accept`]; it differs from the others only in how it finds the body and in how it
//! words the [`Refusal`]. Overload is waited out for a moment ([`ADMISSION_WAIT`]) and then refused as retryable.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use model::Limits;
use store::{AppendError, Request};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::{DecodeError, Format, Report};

use crate::admit::{Admitted, admit};
use crate::budget::{Budget, Charge, Overloaded};
use crate::clock::now_unix_nano;
use crate::inflate::{Encoding, InflateError, inflate};
use crate::metrics::{Metrics, Protocol};
use crate::phase::Stage;

/// How long a request waits for memory, or for a store that is still replaying, before it is refused as retryable: less than
/// the ten seconds after which several senders give up.
pub const ADMISSION_WAIT: Duration = Duration::from_secs(5);
/// How long a sender may be silent in the middle of a body.
const BODY_IDLE: Duration = Duration::from_secs(30);
/// Charged for a body of unknown length before its first byte.
const UNKNOWN_BODY_BYTES: u64 = 64 << 10;
/// Bodies larger than this are decoded off the threads that serve sockets.
const DECODE_INLINE_BYTES_MAX: usize = 256 << 10;
/// The same for compressed bodies: they usually inflate to about tenfold.
const INFLATE_INLINE_BYTES_MAX: usize = 32 << 10;

/// Why nothing of a request was stored.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Larger than the limit, before or after decompression.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The bytes are not what they are said to be.
    #[error("{0}")]
    Malformed(String),
    /// The sender stopped in the middle of the body.
    #[error("the body did not arrive: {0}")]
    Incomplete(String),
    /// The sender's type of content is not one we read.
    #[error("{0}")]
    UnsupportedType(String),
    /// The sender's compression is not one we undo.
    #[error("{0}")]
    UnsupportedEncoding(String),
    /// Too much is being received, or the store has no room at the moment.
    #[error("{0}; send it again a little later")]
    Full(String),
    /// The store is not there yet, or not any more.
    #[error("{0}; send it again a little later")]
    NotReady(&'static str),
    /// The disk refused.
    #[error("{0}; send it again a little later")]
    Disk(String),
}

impl Refusal {
    /// The name in metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::TooLarge { .. } => "too_large",
            Refusal::Malformed(_) => "malformed",
            Refusal::Incomplete(_) => "incomplete",
            Refusal::UnsupportedType(_) => "unsupported_type",
            Refusal::UnsupportedEncoding(_) => "unsupported_encoding",
            Refusal::Full(_) => "full",
            Refusal::NotReady(_) => "not_ready",
            Refusal::Disk(_) => "disk",
        }
    }

    /// Whether the same request may be stored a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Refusal::Full(_) | Refusal::NotReady(_) | Refusal::Disk(_))
    }
}

impl From<Overloaded> for Refusal {
    fn from(overloaded: Overloaded) -> Self {
        Refusal::Full(overloaded.to_string())
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Refusal::Malformed(error.to_string())
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full(_) => Refusal::Full(error.to_string()),
            AppendError::Closed => Refusal::NotReady("the server is stopping"),
            AppendError::Io(_) => Refusal::Disk(error.to_string()),
        }
    }
}

/// A body that is in memory, still compressed.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub body: Bytes,
    /// What they cost.
    pub charge: Charge,
    /// How they are compressed.
    pub encoding: Encoding,
}

/// What all receivers share.
#[derive(Debug)]
pub struct Intake {
    /// Limits of spans.
    pub limits: Limits,
    /// Limit of a body, before and after decompression.
    pub max_body_bytes: usize,
    /// Limit of all bodies at once.
    pub budget: Budget,
    /// How long to wait for memory or the store, usually [`ADMISSION_WAIT`].
    pub admission_wait: Duration,
    /// Where the store appears.
    pub stage: Stage,
    /// What was received and refused.
    pub metrics: std::sync::Arc<Metrics>,
}

impl Intake {
    /// Stores what `received` holds; returns when it is durable and searchable.
    pub async fn accept(&self, protocol: Protocol, format: Format, received: Received) -> Result<Report, Refusal> {
        let started = Instant::now();
        let received_unix_nano = now_unix_nano();
        let off_thread = received.body.len() > inline_bytes_max(received.encoding);
        let unpack = Unpack { format, received_unix_nano, limits: self.limits, max_body_bytes: self.max_body_bytes };
        let unpacked = if off_thread {
            let job = tokio::task::spawn_blocking(move || unpack.run(received));
            job.await.map_err(|_| Refusal::Malformed("the body could not be decoded".to_owned()))??
        } else {
            unpack.run(received)?
        };
        let Unpacked { body, admitted, charge } = unpacked;
        let Admitted { decoded, out_of_range_spans } = admitted;
        let (spans, bytes) = (decoded.batch.len() as u64, body.len() as u64);
        if spans > 0 {
            let request = Request { format: format as u8, received_unix_nano, body, batch: decoded.batch };
            self.append(request, charge).await?;
        }
        for (reason, count) in decoded.report.reasons() {
            self.metrics.dropped(reason, count);
        }
        if out_of_range_spans > 0 {
            self.metrics.dropped("time_out_of_range", out_of_range_spans);
        }
        self.metrics.received(protocol, spans, bytes, started.elapsed());
        Ok(decoded.report)
    }

    /// Reads a body to its end, bounded in size, in silence, and by what all requests together may hold.
    pub async fn read<B>(&self, body: B, encoding: Encoding) -> Result<Received, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: std::fmt::Display,
    {
        self.read_up_to(self.max_body_bytes, body, encoding).await
    }

    /// As [`Intake::read`], for a body that holds more than the message whose size is limited.
    pub async fn read_up_to<B>(&self, limit_bytes: usize, body: B, encoding: Encoding) -> Result<Received, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: std::fmt::Display,
    {
        let declared = body.size_hint().exact();
        if declared.is_some_and(|declared| declared > limit_bytes as u64) {
            return Err(Refusal::TooLarge { limit_bytes });
        }
        let room = self.budget.open_with(declared.unwrap_or(UNKNOWN_BODY_BYTES));
        let mut charge = timeout(self.admission_wait, room).await.map_err(|_| Overloaded)?;
        let mut body = std::pin::pin!(body);
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        loop {
            let next = timeout(BODY_IDLE, body.frame()).await;
            let next = next.map_err(|_| Refusal::Incomplete("the sender fell silent".to_owned()))?;
            let Some(frame) = next else { break };
            let frame = frame.map_err(|error| Refusal::Incomplete(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let total = first.len() + rest.len() + data.len();
            if total > limit_bytes {
                return Err(Refusal::TooLarge { limit_bytes });
            }
            charge.grow((total as u64).saturating_sub(charge.bytes()) as usize)?;
            if first.is_empty() {
                first = data;
            } else {
                rest.extend_from_slice(&data);
            }
        }
        Ok(Received { body: joined(first, &rest), charge, encoding })
    }

    async fn append(&self, request: Request, charge: Charge) -> Result<(), Refusal> {
        let opened = timeout(self.admission_wait, self.stage.opened()).await;
        let opened = opened.map_err(|_| Refusal::NotReady("the server is still reading its log"))?;
        let opened = opened.ok_or(Refusal::NotReady("the server is stopping"))?;
        let (tell, told) = oneshot::channel();
        // The charge is held until the store is done, even when the sender has gone away by then.
        let done = move |result| {
            drop(charge);
            drop(tell.send(result));
        };
        opened.store.append(request, Box::new(done));
        told.await.unwrap_or(Err(AppendError::Closed))?;
        Ok(())
    }
}

fn inline_bytes_max(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Identity => DECODE_INLINE_BYTES_MAX,
        Encoding::Gzip | Encoding::Deflate | Encoding::Zstd => INFLATE_INLINE_BYTES_MAX,
    }
}

/// Most bodies are one frame, which is then not copied.
fn joined(first: Bytes, rest: &[u8]) -> Bytes {
    if rest.is_empty() {
        return first;
    }
    let mut all = BytesMut::with_capacity(first.len() + rest.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(rest);
    all.freeze()
}

struct Unpack {
    format: Format,
    received_unix_nano: u64,
    limits: Limits,
    max_body_bytes: usize,
}

struct Unpacked {
    body: Bytes,
    admitted: Admitted,
    charge: Charge,
}

impl Unpack {
    fn run(&self, received: Received) -> Result<Unpacked, Refusal> {
        let Received { body, mut charge, encoding } = received;
        let body = inflate(encoding, body, self.max_body_bytes, &mut charge).map_err(|error| match error {
            InflateError::TooLarge => Refusal::TooLarge { limit_bytes: self.max_body_bytes },
            InflateError::Corrupt(_) => Refusal::Malformed(error.to_string()),
            InflateError::Overloaded(overloaded) => overloaded.into(),
        })?;
        let admitted = admit(self.format, self.received_unix_nano, &body, &self.limits)?;
        charge.grow(admitted.decoded.batch.heap_bytes())?;
        Ok(Unpacked { body, admitted, charge })
    }
}
