//! From a request's body to its OK: read, inflate, decode, admit, append, and wait until it is durable.
//!
//! Every receiver comes through [`Intake::accept`]; it differs from the others only in how it finds the body and in how it
//! words the [`Refusal`]. Overload is waited out for a moment ([`ADMISSION_WAIT`]) and then refused as retryable.

mod logs;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use model::Limits;
use store::{AppendError, Request};
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};
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

/// Memory reserved for decoding a body, in multiples of its size; ordinary spans take one to two.
const USUAL_GROWTH: u64 = 4;
/// The most that a body's size can multiply by: an attribute of two bytes takes forty with the room that its column grows into.
const ANY_GROWTH: u64 = 48;
/// Reserved for every body beside that.
const DECODE_BYTES_MIN: u64 = 64 << 10;

/// Why nothing of a request was stored.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Larger than the limit, before or after decompression.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// What is in it takes more memory than one request may.
    #[error("what is in the body takes more than {limit_bytes} bytes of memory; send fewer spans at once")]
    TooMuch {
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
            Refusal::TooLarge { .. } | Refusal::TooMuch { .. } => "too_large",
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
        match error {
            DecodeError::BatchTooLarge { bytes_max } => Refusal::TooMuch { limit_bytes: bytes_max },
            other => Refusal::Malformed(other.to_string()),
        }
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
    /// Limit of all bodies at once, as received and as inflated.
    pub budget: Budget,
    /// Limit of all decoded requests at once, until the store has them.
    pub decoded: Budget,
    /// Turns for large bodies to be inflated or decoded: as many as there are cores. More would not be faster, and every thread that
    /// works on them keeps memory of its own.
    pub turns: Arc<Semaphore>,
    /// How long to wait for memory or the store, usually [`ADMISSION_WAIT`].
    pub admission_wait: Duration,
    /// Where the store appears.
    pub stage: Stage,
    /// What was received and refused.
    pub metrics: Arc<Metrics>,
}

impl Intake {
    /// Stores what `received` holds; returns when it is durable and searchable.
    pub async fn accept(&self, protocol: Protocol, format: Format, received: Received) -> Result<Report, Refusal> {
        let started = Instant::now();
        let received_unix_nano = now_unix_nano();
        let (body, charge) = self.inflate(received).await?;
        let decode = Decode { format, received_unix_nano, limits: self.limits, body };
        let (decode, admitted, room) = self.decode(decode).await?;
        let Admitted { decoded, out_of_range_spans } = admitted;
        let (spans, bytes) = (decoded.batch.len() as u64, decode.body.len() as u64);
        if spans > 0 {
            let request = Request { format: format as u8, received_unix_nano, body: decode.body, batch: decoded.batch };
            self.append(request, [charge, room]).await?;
        }
        for (reason, count) in decoded.report.reasons() {
            self.metrics.dropped(reason, count);
        }
        if out_of_range_spans > 0 {
            self.metrics.flagged("time_out_of_range", out_of_range_spans);
        }
        self.metrics.received(protocol, spans, bytes, started.elapsed());
        Ok(decoded.report)
    }

    /// A body that is not compressed any more.
    pub async fn unpack(&self, received: Received) -> Result<Received, Refusal> {
        let (body, charge) = self.inflate(received).await?;
        Ok(Received { body, charge, encoding: Encoding::Identity })
    }

    /// Undoes the compression of a body.
    async fn inflate(&self, received: Received) -> Result<(Bytes, Charge), Refusal> {
        let limit_bytes = self.max_body_bytes;
        let off_thread = received.encoding != Encoding::Identity && received.body.len() > INFLATE_INLINE_BYTES_MAX;
        let job = move || {
            let Received { body, mut charge, encoding } = received;
            let body = inflate(encoding, body, limit_bytes, &mut charge);
            let body = body.map_err(|error| match error {
                InflateError::TooLarge => Refusal::TooLarge { limit_bytes },
                InflateError::Corrupt(_) => Refusal::Malformed(error.to_string()),
                InflateError::Overloaded(overloaded) => overloaded.into(),
            })?;
            charge.shrink_to(body.len() as u64);
            Ok((body, charge))
        };
        self.run(off_thread, job).await?
    }

    /// Decodes a body. The memory it may take is reserved first, so that it is never taken by more requests than there is room for:
    /// usually a few times the body's size is enough; a body of many small things is read once more with room for all they can take.
    async fn decode(&self, mut decode: Decode) -> Result<(Decode, Admitted, Charge), Refusal> {
        let body_bytes = decode.body.len() as u64;
        let most = self.decoded.max_bytes();
        let usual = (USUAL_GROWTH * body_bytes + DECODE_BYTES_MIN).min(most);
        let any = (ANY_GROWTH * body_bytes + DECODE_BYTES_MIN).min(most);
        for reserved in [usual, any] {
            let room = timeout(self.admission_wait, self.decoded.open_with(reserved)).await;
            let mut room = room.map_err(|_| Overloaded)?;
            let off_thread = decode.body.len() > DECODE_INLINE_BYTES_MAX;
            // The room goes with the job: when the sender goes away, the job still runs.
            let job = move || (decode.run(reserved as usize), decode, room);
            let admitted;
            (admitted, decode, room) = self.run(off_thread, job).await?;
            match admitted {
                Err(DecodeError::BatchTooLarge { .. }) if reserved < any => {}
                Err(error) => return Err(error.into()),
                Ok(admitted) => {
                    room.shrink_to(admitted.decoded.batch.heap_bytes() as u64);
                    return Ok((decode, admitted, room));
                }
            }
        }
        Err(Refusal::TooMuch { limit_bytes: any as usize })
    }

    /// Runs a job; a long one off the threads that serve sockets, when it is its turn.
    async fn run<T: Send + 'static>(
        &self,
        off_thread: bool,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if !off_thread {
            return Ok(job());
        }
        let turn = self.turns.clone().acquire_owned().await.expect("nobody closes the turns");
        let done = tokio::task::spawn_blocking(move || {
            let done = job();
            drop(turn);
            done
        });
        done.await.map_err(|_| Refusal::Malformed("the body could not be decoded".to_owned()))
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
        let mut whole = Whole::default();
        loop {
            let next = timeout(BODY_IDLE, body.frame()).await;
            let next = next.map_err(|_| Refusal::Incomplete("the sender fell silent".to_owned()))?;
            let Some(frame) = next else { break };
            let frame = frame.map_err(|error| Refusal::Incomplete(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let total = whole.len() + data.len();
            if total > limit_bytes {
                return Err(Refusal::TooLarge { limit_bytes });
            }
            charge.grow((total as u64).saturating_sub(charge.bytes()) as usize)?;
            whole.push(data, declared.unwrap_or(0) as usize);
        }
        Ok(Received { body: whole.finish(), charge, encoding })
    }

    async fn append(&self, request: Request, charges: [Charge; 2]) -> Result<(), Refusal> {
        let opened = timeout(self.admission_wait, self.stage.opened()).await;
        let opened = opened.map_err(|_| Refusal::NotReady("the server is still reading its log"))?;
        let opened = opened.ok_or(Refusal::NotReady("the server is stopping"))?;
        let (tell, told) = oneshot::channel();
        // The charges are held until the store is done, even when the sender has gone away by then.
        let done = move |result| {
            drop(charges);
            drop(tell.send(result));
        };
        opened.store.append(request, Box::new(done));
        told.await.unwrap_or(Err(AppendError::Closed))?;
        Ok(())
    }
}

/// A body as it comes. Most are one frame, which is then not copied; the others are copied once.
#[derive(Default)]
struct Whole {
    first: Bytes,
    all: BytesMut,
}

impl Whole {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn push(&mut self, data: Bytes, declared: usize) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if !self.first.is_empty() {
            self.all.reserve(declared.max(self.first.len() + data.len()));
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&data);
    }

    fn finish(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// A body to be decoded.
struct Decode {
    format: Format,
    received_unix_nano: u64,
    limits: Limits,
    body: Bytes,
}

impl Decode {
    fn run(&self, batch_bytes_max: usize) -> Result<Admitted, DecodeError> {
        admit(self.format, self.received_unix_nano, &self.body, &self.limits, batch_bytes_max)
    }
}
