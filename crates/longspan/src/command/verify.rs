//! `longspan verify`: whether a data directory still is what was written.

use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use server::admit::AdmitAgain;
use store::StoreError;
use store::disk::RealDisk;
use store::verify::{Finding, Verified, Verify, verify};

use crate::logging;
use crate::options::Options;
use crate::progress::{Progress, grouped, megabytes};
use crate::settings::{Origin, Settings};

/// What is to be checked.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct VerifyArguments {
    /// Check a directory that a server is using: only what it has sealed, without the log
    #[arg(long)]
    while_running: bool,
    /// Say everything as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Reads every file in the data directory and changes nothing: the manifest, the size and checksum of each file of each \
segment, every page of every column, every row against the index, and every request in the log. What is damaged is \
named with its file and, where it is known, the offset. Exit status 0: all is whole. 1: something is damaged, or the \
directory could not be checked.

    longspan verify --data longspan-data                   a directory at rest
    longspan verify --data longspan-data --while-running   a directory in use
    longspan verify --data /backup/monday --json | jq .findings

What to do about damage: docs/operations.md.";

/// Checks, prints what was found, and says in the exit status whether it is whole.
pub(crate) fn run(options: &Options, arguments: &VerifyArguments) -> Result<ExitCode> {
    let mut settings = Settings::read(options)?;
    if settings.origin("log_level") == Origin::Default {
        // What the log would say is among the findings.
        settings.options.log_level = Some("off".to_owned());
    }
    logging::start(&settings.options)?;
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
