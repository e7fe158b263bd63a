//! `longspan verify --endpoint`: whether a running server gives back what it acknowledged.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use server::config::Listen;

use super::serve::{block_on, stop_signal};
use super::verify::ServerArguments;
use crate::client::base_url;
use crate::progress::grouped;
use crate::witness::{Plan, Tally, Told, Witness, now_us, wrongs};

/// Where a server's API listens if nobody says.
const API_PORT: u16 = 4319;
/// After so many, findings are only counted.
const FINDINGS_TOLD_MAX: u64 = 1_000;
/// For a rate beyond this, a witness would be the load.
const RATE_MAX: f64 = 100_000.0;

/// Writes and reads until told to stop, and says in the exit status whether all was right.
pub(crate) fn check_server(
    endpoint: &str,
    api: Option<Listen>,
    arguments: &ServerArguments,
    as_json: bool,
) -> Result<ExitCode> {
    let plan = plan(endpoint, api, arguments)?;
    if !as_json {
        let text = format!(
            "seed {}: writing about {} spans a second to {}, reading from {}\n",
            plan.seed, plan.spans_per_second, plan.endpoint, plan.api
        );
        stdout().write_all(text.as_bytes()).context("cannot print")?;
    }
    let (begin, seed) = (Instant::now(), plan.seed);
    let tally = watched(plan)?;
    let text = if as_json { report(seed, &tally) } else { format!("{}\n", words(&tally, begin.elapsed())) };
    stdout().write_all(text.as_bytes()).context("cannot print")?;
    if tally.traces_read == 0 {
        bail!("nothing that was written could be read back");
    }
    Ok(if tally.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(endpoint: &str, api: Option<Listen>, arguments: &ServerArguments) -> Result<Plan> {
    let endpoint = base_url(endpoint)?;
    let api = match (&arguments.api_url, api) {
        (Some(url), _) => base_url(url)?,
        (None, Some(Listen::At(address))) => format!("http://{address}"),
        (None, _) => {
            let (host, _) =
                endpoint.rsplit_once(':').filter(|(host, _)| host.len() > "http:".len()).unwrap_or((&endpoint, ""));
            format!("{host}:{API_PORT}")
        }
    };
    let rate = arguments.spans_per_second;
    if !(rate > 0.0 && rate <= RATE_MAX) {
        bail!("--spans-per-second must be more than 0 and at most {RATE_MAX}");
    }
    Ok(Plan {
        endpoint,
        api,
        seed: arguments.seed.unwrap_or_else(now_us),
        spans_per_second: rate,
        length: arguments.length.map(|length| Duration::from_nanos(length.0)),
        oldest_s: arguments.oldest.0.0.map_or(u64::MAX / 1_000_000, |age| age.as_secs()),
    })
}

/// Runs a witness on a thread of its own, and hands it the signal to stop.
fn watched(plan: Plan) -> Result<Tally> {
    let mut outcome = None;
    block_on(async {
        let (tell_stop, stop) = mpsc::channel();
        let mut witness = tokio::task::spawn_blocking(move || {
            let mut told = 0;
            Witness::new(plan, &mut |what| tell(&what, &mut told)).and_then(|witness| witness.run(&stop))
        });
        loop {
            let signal = stop_signal()?;
            tokio::select! {
                ended = &mut witness => {
                    outcome = Some(ended.context("the witness panicked")??);
                    return Ok(());
                }
                () = signal => {
                    say("stopping: reading once more what was written; once more to stop at once");
                    // It may have ended by itself.
                    let _ = tell_stop.send(());
                }
            }
        }
    })?;
    outcome.context("the witness ended without a word")
}

fn say(line: &str) {
    // Nobody to tell is no reason to stop.
    drop(writeln!(stderr(), "{line}"));
}

fn tell(what: &Told<'_>, told: &mut u64) {
    match what {
        Told::Found(finding) => {
            *told += 1;
            match *told {
                ..=FINDINGS_TOLD_MAX => say(&format!("{}: {}", finding.wrong.name(), finding.what)),
                number if number == FINDINGS_TOLD_MAX + 1 => say("further findings are only counted"),
                _ => {}
            }
        }
        Told::Note(text) => say(&format!("note: {text}")),
        Told::SoFar(tally) => say(&words(tally, Duration::ZERO)),
    }
}

fn words(tally: &Tally, elapsed: Duration) -> String {
    let so_far = format!(
        "{} traces written ({} not acknowledged), {} spans acknowledged; {} traces read up to an age of {} s, {} searches, {} \
         questions not answered, {} left out; {}",
        grouped(tally.traces_written),
        grouped(tally.traces_unacknowledged),
        grouped(tally.spans_acknowledged),
        grouped(tally.traces_read),
        grouped(tally.oldest_read_s),
        grouped(tally.searches),
        grouped(tally.unanswered),
        grouped(tally.left_out),
        wrongs(tally),
    );
    if elapsed.is_zero() { so_far } else { format!("{so_far}; {:.0} s", elapsed.as_secs_f64()) }
}

fn report(seed: u64, tally: &Tally) -> String {
    let count = |name: &str| tally.wrong.get(name).copied().unwrap_or_default();
    let report = json!({
        "seed": seed,
        "right": tally.is_right(),
        "traces_written": tally.traces_written,
        "traces_unacknowledged": tally.traces_unacknowledged,
        "spans_acknowledged": tally.spans_acknowledged,
        "traces_read": tally.traces_read,
        "oldest_read_s": tally.oldest_read_s,
        "searches": tally.searches,
        "unanswered": tally.unanswered,
        "left_out": tally.left_out,
        "missing": count("missing"),
        "changed": count("changed"),
        "doubled": count("doubled"),
        "invented": count("invented"),
    });
    format!("{report:#}\n")
}
