//! Sending OTLP over HTTP as a good sender does: again what may be sent again, later when the server says later, never what it refused.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use crate::client::Client;

/// The first pause before sending again, doubled each time.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Stored, but for so many spans, for a reason.
    Stored { rejected_spans: u64, reason: String },
    /// Larger than the server takes.
    TooLarge,
}

/// Sends to one server.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    url: String,
    /// How long one request is tried.
    pub(crate) patience: Duration,
    /// How often something was sent again.
    pub(crate) retries: u64,
}

impl Sender {
    /// To the OTLP/HTTP endpoint of this address.
    pub(crate) fn new(endpoint: &str, patience: Duration) -> Sender {
        Sender { client: Client::new(), url: format!("{endpoint}/v1/traces"), patience, retries: 0 }
    }

    /// Sends until it is stored, refused for good, or the patience is at an end.
    ///
    /// # Errors
    /// When it is not stored.
    pub(crate) fn send(&mut self, content_type: &str, body: &[u8]) -> Result<Sent> {
        let (deadline, mut pause) = (Instant::now() + self.patience, PAUSE_FIRST);
        loop {
            let reason = match self.client.post(&self.url, content_type, body) {
                Ok(answer) => match answer.status {
                    200 => return Ok(stored(content_type, &answer.body)),
                    413 => return Ok(Sent::TooLarge),
                    429 | 502..=504 => {
                        pause = answer.retry_after_s.map_or(pause, |seconds| pause.max(Duration::from_secs(seconds)));
                        answer.reason()
                    }
                    _ => bail!("{} refused spans: {}", self.url, answer.reason()),
                },
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() + pause > deadline {
                bail!("gave up sending to {} after {} s: {reason}", self.url, self.patience.as_secs());
            }
            // There is no event to wait for: the server is somewhere else.
            std::thread::sleep(pause);
            self.retries += 1;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

fn stored(content_type: &str, body: &[u8]) -> Sent {
    let nothing = Sent::Stored { rejected_spans: 0, reason: String::new() };
    if content_type == "application/json" {
        let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let partial = &answer["partialSuccess"];
        let number = &partial["rejectedSpans"];
        let rejected_spans = number.as_u64().or_else(|| number.as_str()?.parse().ok()).unwrap_or_default();
        let reason = partial["errorMessage"].as_str().unwrap_or_default().to_owned();
        return Sent::Stored { rejected_spans, reason };
    }
    let Ok(answer) = ExportTraceServiceResponse::decode(body) else { return nothing };
    answer.partial_success.map_or(nothing, |partial| Sent::Stored {
        rejected_spans: partial.rejected_spans.max(0) as u64,
        reason: partial.error_message,
    })
}
