//! `longspan tail`: a line for every trace as it arrives, and another one when an error joins it.
//!
//! Asks for what has begun lately, again and again: a trace is shown once its root is there, and late spans change only what is
//! said about errors. How much is remembered is bounded, and so is how much one look asks for.

use std::collections::{BTreeSet, HashMap};
use std::io::{ErrorKind, Write, stdout};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::ask::{Asked, Colour, ServerArguments, paint};
use crate::client::encoded;
use crate::options::Options;
use crate::terminal::{Paint, Style, Summary, SummaryPage, clean, duration};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(500);
/// Spans that began longer ago are not looked at again: their trace has been shown, or has no root.
const LOOK_BACK: Duration = Duration::from_secs(90);
const LIMIT: usize = 1_000;
/// Traces that are remembered as shown; the oldest are forgotten first.
const SHOWN_MAX: usize = 50_000;

/// What is followed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct TailArguments {
    /// Only traces with a span that matches: the query language of the page
    #[arg(value_name = "QUERY")]
    query: Option<String>,
    /// End after this many traces
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    server: ServerArguments,
    /// Use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    color: Colour,
}

const EXAMPLES: &str = "\
    longspan tail
    longspan tail 'status = error'
    longspan tail 'service = checkout and duration > 100ms' --count 10

Each line: when it began (UTC), how long the caller waited, spans and services so far, what it is, and its id for `longspan flow`.";

/// Follows until it is ended, or has shown as many as were asked for.
pub(crate) fn run(options: &Options, arguments: &TailArguments) -> Result<()> {
    let asked = Asked::find(options, &arguments.server)?;
    let query = arguments.query.as_deref().map(|query| format!("&q={}", encoded(query))).unwrap_or_default();
    let mut tail = Tail { paint: paint(arguments.color), shown: HashMap::new(), order: BTreeSet::new(), count: 0 };
    let began = now_ns();
    loop {
        let from = began.max(now_ns().saturating_sub(LOOK_BACK.as_nanos() as u64));
        let page: Option<SummaryPage> = asked.get(&format!("/api/traces?start={from}&limit={LIMIT}{query}"))?;
        let Some(mut page) = page else { bail!("the server has no search") };
        page.items.reverse();
        for found in &page.items {
            if !tail.show(found)? || arguments.count.is_some_and(|count| tail.count >= count) {
                return Ok(());
            }
        }
        sleep(EVERY);
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

struct Tail {
    paint: Paint,
    /// Errors of each trace when it was shown last.
    shown: HashMap<String, u64>,
    order: BTreeSet<(u64, String)>,
    count: u64,
}

impl Tail {
    /// Says what is new of a trace. False when nobody reads any more.
    fn show(&mut self, found: &Summary) -> Result<bool> {
        let Some(root) = &found.root else { return Ok(true) };
        let before = self.shown.insert(found.trace_id.clone(), found.error_count);
        if before.is_some_and(|errors| errors >= found.error_count) {
            return Ok(true);
        }
        let mut line = String::new();
        self.paint.put(&mut line, &clock(found.start_unix_nano), Style::Faint);
        let errors =
            if found.error_count == 1 { "1 error".to_owned() } else { format!("{} errors", found.error_count) };
        if before.is_some() {
            self.paint.put(
                &mut line,
                &format!("  {:>9}  {errors} by now", duration(found.last_effect_ns as f64)),
                Style::Error,
            );
        } else {
            self.count += 1;
            self.paint.put(&mut line, &format!("  {:>9}", duration(found.answer_ns as f64)), Style::Plain);
            self.paint.put(
                &mut line,
                &format!("  {:>4} spans  {:>2} services", found.span_count, found.service_count),
                Style::Faint,
            );
        }
        self.paint.put(&mut line, &format!("  {} ", clean(&root.service)), Style::Plain);
        self.paint.put(&mut line, &clean(&root.name), Style::Bold);
        if before.is_none() && found.error_count > 0 {
            self.paint.put(&mut line, &format!("  {errors}"), Style::Error);
        }
        self.paint.put(&mut line, &format!("  {}", found.trace_id), Style::Faint);
        line.push('\n');
        self.forget(found);
        match stdout().write_all(line.as_bytes()).and_then(|()| stdout().flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true).context("cannot print"),
        }
    }

    fn forget(&mut self, found: &Summary) {
        self.order.insert((found.start_unix_nano, found.trace_id.clone()));
        while self.order.len() > SHOWN_MAX {
            if let Some((_, oldest)) = self.order.pop_first() {
                self.shown.remove(&oldest);
            }
        }
    }
}

/// The time of day in UTC, to the millisecond.
fn clock(unix_nano: u64) -> String {
    let ms = unix_nano / 1_000_000;
    let seconds = ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, ms % 1000)
}
