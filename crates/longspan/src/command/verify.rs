//! `longspan verify`: whether a data directory still is what was written; with an address, whether a server loses nothing.

use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use server::admit::AdmitAgain;
use server::api::params::DurationParam;
use store::StoreError;
use store::disk::RealDisk;
use store::verify::{Finding, Verified, Verify, verify};

use super::verify_server::check_server;
use crate::logging;
use crate::options::{Age, Options, Text};
use crate::progress::{Progress, grouped, megabytes};
use crate::settings::{Origin, Settings};

/// What is to be checked.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct VerifyArguments {
    /// Check a directory that a server is using: only what it has sealed, without the log
    #[arg(long, conflicts_with = "endpoint")]
    while_running: bool,
    /// Say everything as one JSON object
    #[arg(long)]
    json: bool,
    /// Write traces to the server at this OTLP/HTTP address instead, and read them back for ever
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

/// How a server is checked.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Read back from here [default: where --api says, else port 4319 of the same host]
    #[arg(long, value_name = "URL", requires = "endpoint")]
    pub(crate) api_url: Option<String>,
    /// Write the traces of this number; the same number and time give the same trace [default: by the clock]
    #[arg(long, value_name = "NUMBER", requires = "endpoint")]
    pub(crate) seed: Option<u64>,
    /// Write about so many spans a second
    #[arg(long, value_name = "RATE", default_value_t = 20.0, requires = "endpoint")]
    pub(crate) spans_per_second: f64,
    /// Stop writing after this time, such as 10m, read all once more and end [default: never]
    #[arg(long = "for", value_name = "TIME", requires = "endpoint")]
    pub(crate) length: Option<DurationParam>,
    /// Do not expect traces that are older: as the server's --retention-age
    #[arg(long, value_name = "AGE", default_value = "7d", requires = "endpoint")]
    pub(crate) oldest: Text<Age>,
}

const EXAMPLES: &str = "\
Reads every file in the data directory and changes nothing: the manifest, the size and checksum of each file of each \
segment, every page of every column, every row against the index, and every request in the log. What is damaged is \
named with its file and, where it is known, the offset. Exit status 0: all is whole. 1: something is damaged, or the \
directory could not be checked.

    longspan verify --data longspan-data                   a directory at rest
    longspan verify --data longspan-data --while-running   a directory in use
    longspan verify --data /backup/monday --json | jq .findings

What to do about damage: docs/operations.md.

With --endpoint a server is checked from outside, as its senders and users see it. Traces of which every span can be computed again \
from the seed and the time are written over OTLP/HTTP, some in two requests, some twice, and read back by id and by \
search after a second, ten seconds, a minute, and so on up to --oldest. Every span that is missing, changed, doubled or \
invented is named. It goes on over restarts of the server; what was not acknowledged is not expected. Exit status 1: \
something was wrong, or nothing could be read.

    longspan verify --endpoint http://127.0.0.1:4318                        until Ctrl-C
    longspan verify --endpoint http://127.0.0.1:4318 --for 10m --spans-per-second 500";

/// Checks, prints what was found, and says in the exit status whether it is whole.
pub(crate) fn run(options: &Options, arguments: &VerifyArguments) -> Result<ExitCode> {
    let mut settings = Settings::read(options)?;
    if settings.origin("log_level") == Origin::Default {
        // What the log would say is among the findings.
        settings.options.log_level = Some("off".to_owned());
    }
    logging::start(&settings.options)?;
    if let Some(endpoint) = &arguments.endpoint {
        let api = options.api.map(|text| text.0);
        return check_server(endpoint, api, &arguments.server, arguments.json);
    }
    check_directory(&settings.server().data, arguments)
}

fn check_directory(data: &Path, arguments: &VerifyArguments) -> Result<ExitCode> {
    let (begin, mut progress) = (Instant::now(), Progress::new("checked"));
    let verified = verify(Verify {
        disk: &RealDisk,
        data,
        replay: &AdmitAgain::default(),
        while_running: arguments.while_running,
        progress: &mut |so_far| progress.tell(so_far.bytes, so_far.bytes_total),
    });
    progress.end();
    let verified = match verified {
        Err(StoreError::Locked { path }) => bail!(
            "the data directory {} is in use by another Longspan; stop it, or pass --while-running to check what it has sealed",
            path.display()
        ),
        verified => verified?,
    };
    let seconds = begin.elapsed().as_secs_f64();
    let text = if arguments.json { json(data, arguments, &verified, seconds)? } else { words(&verified, seconds) };
    stdout().write_all(text.as_bytes()).context("cannot print")?;
    Ok(if verified.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn words(verified: &Verified, seconds: f64) -> String {
    let line = |finding: &Finding| {
        let sort = if finding.is_damage { "damaged" } else { "note" };
        let place = finding.offset.map_or(String::new(), |offset| format!(", byte {offset}"));
        format!("{sort}: {}{place}: {}\n", finding.path.display(), finding.what)
    };
    let found: String = verified.findings.iter().map(line).collect();
    let damaged = verified.findings.iter().filter(|finding| finding.is_damage).count();
    let summary = format!(
        "checked {} files, {}: {} segments, {} requests in the log, {} spans; {:.1} s, {:.0} MB/s\n",
        grouped(verified.files),
        megabytes(verified.bytes),
        grouped(verified.segments),
        grouped(verified.wal_records),
        grouped(verified.spans),
        seconds,
        verified.bytes as f64 / 1e6 / seconds.max(1e-9),
    );
    let verdict = match damaged {
        0 => "all is whole".to_owned(),
        1 => "1 place is damaged".to_owned(),
        many => format!("{many} places are damaged"),
    };
    format!("{found}{summary}{verdict}\n")
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    directory: String,
    while_running: bool,
    whole: bool,
    files: u64,
    bytes: u64,
    segments: u64,
    wal_records: u64,
    spans: u64,
    elapsed_ns: u64,
    findings: Vec<ReportedFinding<'a>>,
}

#[derive(Debug, Serialize)]
struct ReportedFinding<'a> {
    damage: bool,
    path: String,
    offset: Option<u64>,
    what: &'a str,
}

fn json(data: &Path, arguments: &VerifyArguments, verified: &Verified, seconds: f64) -> Result<String> {
    let findings = verified.findings.iter().map(|finding| ReportedFinding {
        damage: finding.is_damage,
        path: finding.path.display().to_string(),
        offset: finding.offset,
        what: &finding.what,
    });
    let report = Report {
        directory: data.display().to_string(),
        while_running: arguments.while_running,
        whole: verified.is_whole(),
        files: verified.files,
        bytes: verified.bytes,
        segments: verified.segments,
        wal_records: verified.wal_records,
        spans: verified.spans,
        elapsed_ns: (seconds * 1e9) as u64,
        findings: findings.collect(),
    };
    Ok(serde_json::to_string_pretty(&report).context("the report cannot be written")? + "\n")
}
