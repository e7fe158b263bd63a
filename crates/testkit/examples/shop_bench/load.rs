//! Sending a corpus over OTLP/HTTP, as fast as the server takes it.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::corpus::{Corpus, LENGTH_NS};
use crate::server::{Server, agent, back_off};

/// Senders, each with a connection that it keeps.
pub(crate) const CONNECTIONS: usize = 4;
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// Times that were taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    ms: Vec<f64>,
}

impl Latencies {
    pub(crate) fn push(&mut self, time: Duration) {
        self.ms.push(time.as_secs_f64() * 1e3);
    }

    /// In milliseconds; of no times, none.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.ms.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        sorted.get(place).copied().unwrap_or(0.0)
    }
}

/// What became of a corpus.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Acknowledged.
    pub(crate) spans: u64,
    /// Requests that were refused for the moment and sent again.
    pub(crate) retries: u64,
    pub(crate) wall_s: f64,
    /// From sending a request to its OK, retries included.
    pub(crate) latencies: Latencies,
    /// Why a request was refused for good.
    pub(crate) failure: Option<String>,
}

/// Sends all of it once.
pub(crate) fn load(server: &Server, corpus: &Corpus) -> Result<Loaded> {
    load_passes(server, corpus, 0..1)
}

/// Sends all of it in each of some passes: as other traces, each pass later than the one before by as much time as it takes.
pub(crate) fn load_passes(server: &Server, corpus: &Corpus, passes: Range<usize>) -> Result<Loaded> {
    let requests = corpus.request_spans.len();
    let sending = Sending { pass_ns: LENGTH_NS, ..Sending::new(server, corpus)? };
    sending.next.store(passes.start * requests, Ordering::Relaxed);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| sending.run(passes.end * requests));
        }
    });
    let wall_s = begin.elapsed().as_secs_f64();
    Ok(Loaded { wall_s, ..sending.finish() })
}

/// Sends a corpus over and over while `work` goes on; returns spans acknowledged a second.
pub(crate) fn while_loading(server: &Server, corpus: &Corpus, work: impl FnOnce()) -> Result<f64> {
    let sending = Sending::new(server, corpus)?;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| sending.run(usize::MAX));
        }
        work();
        sending.stop.store(true, Ordering::Relaxed);
    });
    let wall_s = begin.elapsed().as_secs_f64();
    let loaded = sending.finish();
    match loaded.failure {
        Some(failure) => Err(anyhow::anyhow!(failure)),
        None => Ok(loaded.spans as f64 / wall_s),
    }
}

struct Sending<'a> {
    corpus: &'a Corpus,
    url: String,
    /// How much later each pass is.
    pass_ns: u64,
    next: AtomicUsize,
    stop: AtomicBool,
    spans: AtomicU64,
    retries: AtomicU64,
    latencies: Mutex<Latencies>,
    failure: Mutex<Option<String>>,
}

impl<'a> Sending<'a> {
    fn new(server: &Server, corpus: &'a Corpus) -> Result<Self> {
        Ok(Sending {
            corpus,
            url: server.url("otlp_http", "/v1/traces")?,
            pass_ns: 0,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            spans: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            latencies: Mutex::default(),
            failure: Mutex::default(),
        })
    }

    /// One connection; takes requests until so many are taken by all, or it is stopped.
    fn run(&self, most: usize) {
        let agent = agent();
        let mut latencies = Latencies::default();
        let mut body = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= most {
                break;
            }
            // What is sent again is sent as other traces: the same spans over and over would be no load that anybody has.
            let (pass, number) = (number / self.corpus.request_spans.len(), number % self.corpus.request_spans.len());
            let begin = Instant::now();
            let read = self.corpus.read(number, pass, self.pass_ns, &mut body);
            if let Err(error) = read.and_then(|()| self.send(&agent, &body)) {
                let mut failure = self.failure.lock().expect("no sender panics");
                failure.get_or_insert(format!("request {number}: {error:#}"));
                break;
            }
            latencies.push(begin.elapsed());
            self.spans.fetch_add(self.corpus.request_spans[number].into(), Ordering::Relaxed);
        }
        self.latencies.lock().expect("no sender panics").ms.extend(latencies.ms);
    }

    /// Sends one request until it is taken.
    fn send(&self, agent: &ureq::Agent, body: &[u8]) -> Result<()> {
        let mut wait = Duration::from_millis(20);
        loop {
            let mut answer = agent.post(&self.url).header("content-type", "application/x-protobuf").send(body)?;
            let said = answer.body_mut().read_to_vec()?;
            match answer.status().as_u16() {
                // An answer that says anything says that spans were rejected.
                200 if said.is_empty() => return Ok(()),
                200 => anyhow::bail!("spans were rejected: {}", String::from_utf8_lossy(&said)),
                429 | 502 | 503 | 504 => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    back_off(wait);
                    wait = (wait * 2).min(BACK_OFF_MAX);
                }
                status => anyhow::bail!("status {status}: {}", String::from_utf8_lossy(&said)),
            }
        }
    }

    fn finish(self) -> Loaded {
        Loaded {
            spans: self.spans.into_inner(),
            retries: self.retries.into_inner(),
            wall_s: 0.0,
            latencies: self.latencies.into_inner().expect("no sender panics"),
            failure: self.failure.into_inner().expect("no sender panics"),
        }
    }
}
