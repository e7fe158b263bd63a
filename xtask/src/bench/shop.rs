//! The real server under load, beside what other systems needed for a corpus of the same shape.
//!
//! Measuring is the business of an example of `testkit`, so that a network client is no part of xtask; here it is built and
//! run, and its figures become a table. Other systems are not run: their figures are recorded, with version and date.

use super::growth;
use super::results::Results;
use super::{BENCH_LIMIT, release_folder, target_folder};
use crate::steps;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

/// Two million spans.
const TRACES: u64 = 153_000;
/// A quarter of a million: wrong answers show, figures say little.
pub(super) const TRACES_QUICK: u64 = 20_000;
const RUN_LIMIT: Duration = Duration::from_hours(1);

/// How much is measured.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) traces: u64,
    pub(super) runs: u64,
    /// A quarter of the questions.
    pub(super) quick: bool,
    /// So many times the corpus in one directory, instead of several runs.
    pub(super) times: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { traces: TRACES, runs: 2, quick: false, times: 1 }
    }
}

/// A row of the table.
struct Row {
    what: &'static str,
    /// Names of the figures that share a cell, as of one run.
    figures: &'static [&'static str],
    decimals: usize,
    victoria_traces: &'static str,
    tempo: &'static str,
}

const fn row(
    what: &'static str,
    figures: &'static [&'static str],
    decimals: usize,
    victoria_traces: &'static str,
    tempo: &'static str,
) -> Row {
    Row { what, figures, decimals, victoria_traces, tempo }
}

/// Recorded on 2026-11-20 on a machine with two cores, with a corpus of the same shape and the same classes of questions.
const ROWS: [Row; 22] = [
    row("server CPU-s per million spans, until the last OK", &["cpu_s_per_mspan_last_ok"], 2, "", ""),
    row("server CPU-s per million spans, until settled", &["cpu_s_per_mspan_settled"], 2, "30.7", "98–116"),
    row("spans/s until the last OK", &["spans_per_s"], 0, "63,500", "22,700"),
    row("request p50 / p99 ms", &["request_p50_ms", "request_p99_ms"], 1, "", ""),
    row("on disk at the OK", &[], 0, "no (within 5 s)", "no"),
    row("peak resident memory, load, MiB", &["peak_rss_mib"], 0, "350", "4,900"),
    row("… of it no mapped files", &["peak_anon_mib"], 0, "", ""),
    row("bytes on disk per span, settled", &["disk_bytes_per_span"], 1, "96", "140"),
    row("trace by id, p50 / p99 ms", &["idle.get_trace.p50_ms", "idle.get_trace.p99_ms"], 2, "5.5 / 19", "83 / 166"),
    row("unknown id", &["idle.unknown_trace.p50_ms", "idle.unknown_trace.p99_ms"], 2, "183 / 225", "1.2 / 2.3"),
    row("by service", &["idle.service.p50_ms", "idle.service.p99_ms"], 2, "37 / 56", "26 / 40"),
    row("by service and operation", &["idle.operation.p50_ms", "idle.operation.p99_ms"], 2, "20 / 52", "32 / 95"),
    row("by `order.id`", &["idle.order_id.p50_ms", "idle.order_id.p99_ms"], 2, "14.6 / 30", "361 / 492"),
    row("by minimum duration", &["idle.min_duration.p50_ms", "idle.min_duration.p99_ms"], 2, "72 / 117", "77 / 104"),
    row("by error", &["idle.error.p50_ms", "idle.error.p99_ms"], 2, "53 / 130", "83 / 115"),
    row("list of services", &["idle.list_services.p50_ms", "idle.list_services.p99_ms"], 2, "1.8 / 4.6", "6.1 / 10.9"),
    row(
        "server CPU ms: by id / service / operation / `order.id` / duration / error",
        &[
            "idle.get_trace.cpu_ms",
            "idle.service.cpu_ms",
            "idle.operation.cpu_ms",
            "idle.order_id.cpu_ms",
            "idle.min_duration.cpu_ms",
            "idle.error.cpu_ms",
        ],
        1,
        "",
        "",
    ),
    row("trace by id, while ingest runs", &["busy.get_trace.p50_ms", "busy.get_trace.p99_ms"], 2, "", ""),
    row("by service, while ingest runs", &["busy.service.p50_ms", "busy.service.p99_ms"], 2, "", ""),
    row("by `order.id`, while ingest runs", &["busy.order_id.p50_ms", "busy.order_id.p99_ms"], 2, "", ""),
    row("by error, while ingest runs", &["busy.error.p50_ms", "busy.error.p99_ms"], 2, "", ""),
    row("spans/s while questions are asked", &["busy_spans_per_s"], 0, "", ""),
];

pub(super) fn run(options: &Options) -> Result<()> {
    let cargo = |args: &[&str]| steps::run(steps::cargo().args(args), BENCH_LIMIT);
    cargo(&["build", "--locked", "--release", "--package", "longspan"])?;
    cargo(&["build", "--locked", "--release", "--package", "testkit", "--example", "shop_bench"])?;
    let folder = target_folder().join("bench");
    std::fs::create_dir_all(&folder)?;
    let results = folder.join("results.txt");
    let mut bench = Command::new(release_folder().join("examples/shop_bench"));
    bench.arg("--server").arg(release_folder().join("longspan"));
    bench.arg("--results").arg(&results).arg("--scratch").arg(&folder);
    bench.args(["--traces", &options.traces.to_string(), "--runs", &options.runs.to_string()]);
    bench.args(["--times", &options.times.to_string()]);
    if options.quick {
        bench.arg("--quick");
    }
    // Figures of an earlier run are not shown as those of this one, should it fail. That there are none is fine.
    let _ = std::fs::remove_file(&results);
    let measured = steps::run(&mut bench, RUN_LIMIT);
    // Wrong answers are an error, and the table that they came with is still worth seeing.
    if let Ok(text) = std::fs::read_to_string(&results) {
        let results = Results::parse(&text)?;
        let is_growth = options.times > 1;
        let table = if is_growth { growth::table(&results, options.times)? } else { table(&results, options)? };
        let path = folder.join(if is_growth { "growth.md" } else { "latest.md" });
        std::fs::write(&path, &table).with_context(|| path.display().to_string())?;
        println!("\n{table}\nwritten to {}", path.display());
    }
    measured
}

fn table(results: &Results, options: &Options) -> Result<String> {
    let mut text = String::new();
    let runs = 1..=options.runs;
    let (spans, bytes) = (results.get("spans")?, results.get("bytes_per_span")?);
    writeln!(text, "{} spans in {} traces, {bytes:.1} protobuf bytes a span.\n", grouped(spans, 0), options.traces)?;
    let heads: Vec<String> = runs.clone().map(|run| format!("Longspan, run {run} |")).collect();
    writeln!(text, "| | {} VictoriaTraces (2025-07) | Tempo 3.1-dev (2026-08) |", heads.join(" "))?;
    writeln!(text, "|---|{}---|---|", "---|".repeat(heads.len()))?;
    for row in &ROWS {
        write!(text, "| {} |", row.what)?;
        for run in runs.clone() {
            write!(text, " {} |", cell(results, row, run)?)?;
        }
        writeln!(text, " {} | {} |", row.victoria_traces, row.tempo)?;
    }
    let others = runs.map(|run| Ok(format!("{:.0}", results.get(&format!("run.{run}.others_cpu_s"))?)));
    let others = others.collect::<Result<Vec<_>>>()?.join(", ");
    writeln!(
        text,
        "\nCPU seconds that other programs used during the load: {others}. Other systems' figures are recorded ones."
    )?;
    Ok(text)
}

fn cell(results: &Results, row: &Row, run: u64) -> Result<String> {
    if row.figures.is_empty() {
        return Ok("yes".to_owned());
    }
    let figure = |name: &&str| Ok(grouped(results.get(&format!("run.{run}.{name}"))?, row.decimals));
    Ok(row.figures.iter().map(figure).collect::<Result<Vec<_>>>()?.join(" / "))
}

/// `1234567.8` as `1,234,568`.
pub(super) fn grouped(value: f64, decimals: usize) -> String {
    let plain = format!("{value:.decimals$}");
    let (whole, fraction) =
        plain.split_once('.').map_or((plain.as_str(), ""), |(whole, _)| (whole, &plain[whole.len()..]));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_column_for_each_run() {
        // Every run is shown, not the better one, beside the recorded figures.
        let mut text = "spans 2000000\nbytes_per_span 526.6\n".to_owned();
        let names = ROWS.iter().flat_map(|row| row.figures).chain(&["others_cpu_s"]);
        for name in names {
            writeln!(text, "run.1.{name} 1234.5\nrun.2.{name} 2.25").unwrap();
        }
        let options = Options { traces: 9, runs: 2, quick: false, times: 1 };
        let table = table(&Results::parse(&text).unwrap(), &options).unwrap();
        assert!(table.contains("| server CPU-s per million spans, until settled | 1,234.50 | 2.25 | 30.7 | 98–116 |"));
        assert!(table.lines().filter(|line| line.starts_with('|')).all(|line| line.matches('|').count() == 6));
    }

    #[test]
    fn numbers_are_grouped() {
        // Large figures can be read at a glance.
        assert_eq!(grouped(1_234_567.8, 0), "1,234,568");
        assert_eq!(grouped(999.0, 2), "999.00");
        assert_eq!(grouped(0.5, 1), "0.5");
    }
}
