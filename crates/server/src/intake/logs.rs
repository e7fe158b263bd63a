//! The way of log records from a body to its OK: as that of spans, with a decoder and a store of their own.

use std::time::Instant;

use bytes::Bytes;
use store::{AppendError, LogRequest};
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::logs::LogFormat;
use wire::{DecodeError, Report};

use super::{ANY_GROWTH, DECODE_BYTES_MIN, DECODE_INLINE_BYTES_MAX, Intake, Received, Refusal, USUAL_GROWTH};
use crate::admit::logs::{AdmittedLogs, admit_logs};
use crate::budget::{Charge, Overloaded};
use crate::clock::now_unix_nano;
use crate::metrics::Protocol;

impl Intake {
    /// Stores the log records that `received` holds; returns when they are durable and searchable.
    pub async fn accept_logs(
        &self,
        protocol: Protocol,
        format: LogFormat,
        received: Received,
    ) -> Result<Report, Refusal> {
        Ok(self.accept_logs_and_keep(protocol, format, received).await?.0)
    }

    /// As [`Intake::accept_logs`]; hands out the inflated body as well, for protocols that answer entry by entry.
    pub async fn accept_logs_and_keep(
        &self,
        protocol: Protocol,
        format: LogFormat,
        received: Received,
    ) -> Result<(Report, Bytes), Refusal> {
        let started = Instant::now();
        let received_unix_nano = now_unix_nano();
        let (body, charge) = self.inflate(received).await?;
        let (admitted, room) = self.decode_logs(format, received_unix_nano, &body).await?;
        let AdmittedLogs { decoded, out_of_range } = admitted;
        let (records, bytes) = (decoded.batch.len() as u64, body.len() as u64);
        if records > 0 {
            let (format, body) = (format as u8, body.clone());
            let request = LogRequest { format, received_unix_nano, body, batch: decoded.batch };
            self.append_logs(request, [charge, room]).await?;
        }
        for (reason, count) in decoded.report.reasons() {
            self.metrics.dropped(reason, count);
        }
        if out_of_range > 0 {
            self.metrics.flagged("log_time_out_of_range", out_of_range);
        }
        self.metrics.received_logs(protocol, records, bytes, started.elapsed());
        Ok((decoded.report, body))
    }

    /// Decodes a body; the memory it may take is reserved first, as for spans.
    async fn decode_logs(
        &self,
        format: LogFormat,
        received_unix_nano: u64,
        body: &Bytes,
    ) -> Result<(AdmittedLogs, Charge), Refusal> {
        let most = self.decoded.max_bytes();
        let [usual, any] =
            [USUAL_GROWTH, ANY_GROWTH].map(|growth| (growth * body.len() as u64 + DECODE_BYTES_MIN).min(most));
        for reserved in [usual, any] {
            let room = timeout(self.admission_wait, self.decoded.open_with(reserved)).await;
            let mut room = room.map_err(|_| Overloaded)?;
            let (limits, body) = (self.limits, body.clone());
            let off_thread = body.len() > DECODE_INLINE_BYTES_MAX;
            // The room goes with the job: when the sender goes away, the job still runs.
            let job = move || (admit_logs(format, received_unix_nano, &body, &limits, reserved as usize), room);
            let admitted;
            (admitted, room) = self.run(off_thread, job).await?;
            match admitted {
                Err(DecodeError::BatchTooLarge { .. }) if reserved < any => {}
                Err(error) => return Err(error.into()),
                Ok(admitted) => {
                    room.shrink_to(admitted.decoded.batch.heap_bytes() as u64);
                    return Ok((admitted, room));
                }
            }
        }
        Err(Refusal::TooMuch { limit_bytes: any as usize })
    }

    async fn append_logs(&self, request: LogRequest, charges: [Charge; 2]) -> Result<(), Refusal> {
        let opened = timeout(self.admission_wait, self.stage.opened()).await;
        let opened = opened.map_err(|_| Refusal::NotReady("the server is still reading its log"))?;
        let opened = opened.ok_or(Refusal::NotReady("the server is stopping"))?;
        let (tell, told) = oneshot::channel();
        // The charges are held until the store is done, even when the sender has gone away by then.
        let done = move |result| {
            drop(charges);
            drop(tell.send(result));
        };
        opened.store.append_logs(request, Box::new(done));
        told.await.unwrap_or(Err(AppendError::Closed))?;
        Ok(())
    }
}
