//! A witness of a running server: writes traces it can compute again, reads them back at growing ages, and reports every difference.
//!
//! | module | what |
//! |---|---|
//! | [`mod@trace`] | trace `n` of a seed |
//! | [`ledger`] | what was written, and what is to be read when |
//! | [`read`] | reading back by id, by attribute and by time; what differs |
//!
//! Uses the server as senders and people do, over OTLP/HTTP and the API, and knows nothing else of it.

pub(crate) mod ledger;
pub(crate) mod read;
pub(crate) mod trace;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use prost::Message;

use self::ledger::{AGES_S, Ledger, Written};
use self::read::{Finding, Reader, Wrong};
use self::trace::{SPANS_TYPICAL, Trace, request, trace};
use crate::send::{Sender, Sent};

/// How long a request is tried before its spans count as not acknowledged.
const PATIENCE: Duration = Duration::from_secs(30);
/// Traces sent in one request at the most.
const TRACES_OF_REQUEST: u64 = 500;
/// Every so many traces are sent in two requests, and one of as many is sent twice.
const SPLIT_EVERY: u64 = 4;
const TWICE_EVERY: u64 = 8;
/// At ages past the first, one trace in so many is searched by its attribute too.
const SEARCH_EVERY: u64 = 8;
/// A stretch of time that is searched at once, in microseconds.
const STRETCH_US: u64 = 10_000_000;
/// How long reading pauses when the server cannot be asked.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the last reading waits for a server that does not answer.
const LAST_WAIT: Duration = Duration::from_mins(1);
/// Traces read once more at the end.
const LAST_TRACES: usize = 20_000;

/// What a witness does.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) endpoint: String,
    pub(crate) api: String,
    pub(crate) seed: u64,
    pub(crate) spans_per_second: f64,
    /// How long it writes; for ever if there is none.
    pub(crate) length: Option<Duration>,
    /// Older traces are not read any more, in seconds.
    pub(crate) oldest_s: u64,
}

/// What it has done and seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) traces_written: u64,
    pub(crate) spans_acknowledged: u64,
    pub(crate) traces_unacknowledged: u64,
    pub(crate) traces_read: u64,
    pub(crate) searches: u64,
    /// Questions that were not answered, and asked again.
    pub(crate) unanswered: u64,
    pub(crate) left_out: u64,
    /// The greatest age at which a trace was read, in seconds.
    pub(crate) oldest_read_s: u64,
    pub(crate) wrong: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Whether all that was read was right.
    pub(crate) fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }
}

pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Writes and reads.
pub(crate) struct Witness<'a> {
    plan: Plan,
    sender: Sender,
    reader: Reader,
    ledger: Ledger,
    tally: Tally,
    /// The next stretch of time to be searched.
    stretch_us: u64,
    next_n: u64,
    /// Told of each finding, and now and then of how it goes.
    tell: &'a mut dyn FnMut(Told<'_>),
}

/// What a witness says.
#[derive(Debug)]
pub(crate) enum Told<'a> {
    Found(&'a Finding),
    /// Something that is no loss, such as a server that does not answer.
    Note(String),
    SoFar(&'a Tally),
}

impl<'a> Witness<'a> {
    /// Of a server that answers.
    ///
    /// # Errors
    /// When nobody does.
    pub(crate) fn new(plan: Plan, tell: &'a mut dyn FnMut(Told<'_>)) -> Result<Witness<'a>> {
        let reader = Reader::new(plan.api.clone(), plan.seed);
        reader.is_there()?;
        let now = now_us();
        Ok(Witness {
            sender: Sender::new(&plan.endpoint, PATIENCE),
            reader,
            ledger: Ledger::new(plan.oldest_s),
            tally: Tally::default(),
            stretch_us: now,
            next_n: now,
            plan,
            tell,
        })
    }

    /// Writes and reads until its time is over or `stop` is told, then reads everything once more.
    ///
    /// # Errors
    /// When the server refuses the spans for good, or does not answer at the end.
    pub(crate) fn run(mut self, stop: &Receiver<()>) -> Result<Tally> {
        let begin = Instant::now();
        let mut said = begin;
        while self.plan.length.is_none_or(|length| begin.elapsed() < length) {
            self.write_due();
            let wait = match self.read_due() {
                Ok(true) => Duration::ZERO,
                Ok(false) => self.until_next(),
                Err(error) => {
                    self.unanswered(&error);
                    PAUSE.min(self.until_next())
                }
            };
            if said.elapsed() > Duration::from_secs(10) {
                said = Instant::now();
                self.tally.left_out = self.ledger.left_out;
                (self.tell)(Told::SoFar(&self.tally));
            }
            if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        self.last_reading(stop)?;
        self.tally.left_out = self.ledger.left_out;
        Ok(self.tally)
    }

    /// Microseconds from one trace to the next.
    fn gap_us(&self) -> u64 {
        ((SPANS_TYPICAL / self.plan.spans_per_second * 1e6) as u64).max(1)
    }

    /// How long nothing has to be written.
    fn until_next(&self) -> Duration {
        Duration::from_micros(self.next_n.saturating_sub(now_us()).clamp(1_000, 200_000))
    }

    /// Writes the traces whose time has come; what could not be written in time is left out.
    fn write_due(&mut self) {
        let (now, gap) = (now_us(), self.gap_us());
        if now < self.next_n {
            return;
        }
        let due = ((now - self.next_n) / gap + 1).min(TRACES_OF_REQUEST);
        // A trace never starts before the one before it, whatever the clock does.
        let first = if (now - self.next_n) / gap > TRACES_OF_REQUEST { now } else { self.next_n };
        let numbers: Vec<u64> = (0..due).map(|place| first + place * gap).collect();
        self.next_n = first + due * gap;
        let traces: Vec<Trace> = numbers.iter().map(|&n| trace(self.plan.seed, n)).collect();
        let is_acknowledged = self.write(&numbers, &traces);
        for n in numbers {
            self.ledger.push(Written { n, is_acknowledged });
        }
        self.tally.traces_written += due;
        if is_acknowledged {
            self.tally.spans_acknowledged += traces.iter().map(|trace| trace.spans.len() as u64).sum::<u64>();
        } else {
            self.tally.traces_unacknowledged += due;
        }
    }

    /// Sends traces, some in two requests, some twice. Returns whether all of it was acknowledged.
    fn write(&mut self, numbers: &[u64], traces: &[Trace]) -> bool {
        let gap = self.gap_us();
        let order = |place: usize| numbers[place] / gap;
        let is_late = |place: usize, span: usize| span > 0 && order(place).is_multiple_of(SPLIT_EVERY);
        let first = request(traces, |place, span| !is_late(place, span));
        let second = request(traces, |place, span| is_late(place, span) || order(place) % TWICE_EVERY == 1);
        for message in [first, second] {
            let is_empty = message.resource_spans.iter().all(|group| group.scope_spans[0].spans.is_empty());
            if is_empty {
                continue;
            }
            let what = match self.sender.send("application/x-protobuf", &message.encode_to_vec()) {
                Ok(Sent::Stored { rejected_spans: 0, .. }) => continue,
                Ok(Sent::Stored { rejected_spans, reason }) => {
                    format!("{rejected_spans} spans were rejected: {reason}")
                }
                Ok(Sent::TooLarge) => "a request was refused as too large".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            (self.tell)(Told::Note(what));
            return false;
        }
        true
    }

    /// Reads one trace that is due at some age, or searches a stretch of time. Returns whether there was anything to do.
    fn read_due(&mut self) -> Result<bool> {
        let now = now_us();
        let Some((age, written)) = self.ledger.due(now) else { return self.search_stretch(now) };
        self.read_trace(written, age == 0 || (written.n / self.gap_us()).is_multiple_of(SEARCH_EVERY))?;
        self.ledger.done(age);
        self.tally.oldest_read_s = self.tally.oldest_read_s.max(AGES_S[age]);
        Ok(true)
    }

    fn read_trace(&mut self, Written { n, is_acknowledged }: Written, also_search: bool) -> Result<()> {
        let mut findings = self.reader.by_id(n, is_acknowledged)?;
        self.tally.traces_read += 1;
        if also_search {
            findings.extend(self.reader.by_attribute(n, is_acknowledged)?);
            self.tally.searches += 1;
        }
        let age_s = now_us().saturating_sub(n) / 1_000_000;
        for finding in &mut findings {
            finding.what = format!("{} (age {age_s} s)", finding.what);
        }
        self.report(&findings);
        Ok(())
    }

    fn search_stretch(&mut self, now: u64) -> Result<bool> {
        let range = self.stretch_us..self.stretch_us + STRETCH_US;
        if range.end + AGES_S[1] * 1_000_000 > now {
            return Ok(false);
        }
        self.search(range.clone())?;
        self.stretch_us = range.end;
        Ok(true)
    }

    fn search(&mut self, range: std::ops::Range<u64>) -> Result<()> {
        let Some(written) = self.ledger.within(&range) else { return Ok(()) };
        let findings = self.reader.by_time(range, &written)?;
        self.tally.searches += 1;
        self.report(&findings);
        Ok(())
    }

    fn report(&mut self, findings: &[Finding]) {
        for finding in findings {
            *self.tally.wrong.entry(finding.wrong.name()).or_default() += 1;
            (self.tell)(Told::Found(finding));
        }
    }

    fn unanswered(&mut self, error: &anyhow::Error) {
        self.tally.unanswered += 1;
        (self.tell)(Told::Note(format!("{error:#}")));
    }

    /// Reads all that was written, or an even sample of it, and searches the time since the last stretch.
    fn last_reading(&mut self, stop: &Receiver<()>) -> Result<()> {
        let newest = self.next_n;
        let ripe = Duration::from_micros((newest + AGES_S[0] * 1_000_000).saturating_sub(now_us()));
        if stop.recv_timeout(ripe.min(Duration::from_secs(AGES_S[0] + 1))) == Ok(()) {
            return Ok(());
        }
        for written in self.ledger.sample(LAST_TRACES, now_us()) {
            if stop.try_recv() == Ok(()) {
                return Ok(());
            }
            self.patiently(stop, |witness| witness.read_trace(written, false))?;
        }
        while self.stretch_us < newest {
            let range = self.stretch_us..(self.stretch_us + STRETCH_US).min(newest);
            self.patiently(stop, |witness| witness.search(range.clone()))?;
            self.stretch_us = range.end;
        }
        Ok(())
    }

    /// Asks again for a while when the server does not answer.
    fn patiently(&mut self, stop: &Receiver<()>, mut ask: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let begin = Instant::now();
        while let Err(error) = ask(self) {
            self.unanswered(&error);
            if begin.elapsed() > LAST_WAIT || stop.recv_timeout(PAUSE) == Ok(()) {
                return Err(error.context("what was written could not be read at the end"));
            }
        }
        Ok(())
    }
}

/// All that can be wrong, with how often it was.
pub(crate) fn wrongs(tally: &Tally) -> String {
    let count =
        |wrong: Wrong| format!("{} {}", tally.wrong.get(wrong.name()).copied().unwrap_or_default(), wrong.name());
    Wrong::ALL.map(count).join(", ")
}
