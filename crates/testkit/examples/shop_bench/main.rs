//! Loads the shop into a real server, over the network, and asks it: what `cargo xtask bench` makes its table of.
//!
//!     shop_bench --server target/release/longspan --results FILE --scratch DIRECTORY [--traces N] [--runs N] [--quick] [--times N]
//!
//! Every run has a server of its own on an empty directory; the corpus is made once. The results are lines of `name value`;
//! progress goes to stderr. An answer that disagrees with the corpus, or a request that was refused for good, is an error once
//! everything is measured. Not here: what other systems measured, and the table.
//!
//! | module | what |
//! |---|---|
//! | [`corpus`] | the requests on disk, and what they hold |
//! | [`server`] | the program under test; its CPU, memory and disk |
//! | [`load`] | sending |
//! | [`questions`] | asking, and checking the answers |
//! | [`growth`] | the same with many times as much in the directory |

mod corpus;
mod growth;
mod load;
mod questions;
mod server;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use corpus::Corpus;
use load::{CONNECTIONS, Loaded, load};
use questions::{ClassFigures, Questions};
use server::{CpuSeconds, Peaks, Server};

/// Traces of the corpus when nobody says how many: two million spans.
const TRACES: u64 = 153_000;
/// A server is settled once nothing changed for so long: longer than it waits before it seals what it has.
const QUIET: Duration = Duration::from_secs(15);
const SETTLE_LIMIT: Duration = Duration::from_mins(5);

struct Arguments {
    server: PathBuf,
    results: PathBuf,
    scratch: PathBuf,
    traces: u64,
    runs: u64,
    quick: bool,
    /// So many times the corpus, in one run; 1 for the usual runs.
    times: u64,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop_bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<Arguments> {
    let (mut server, mut results, mut scratch) = (None, None, None);
    let (mut traces, mut runs, mut quick, mut times) = (TRACES, 1, false, 1);
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().with_context(|| format!("{name} needs a value"));
        match name.as_str() {
            "--server" => server = Some(PathBuf::from(value()?)),
            "--results" => results = Some(PathBuf::from(value()?)),
            "--scratch" => scratch = Some(PathBuf::from(value()?)),
            "--traces" => traces = value()?.parse().context("--traces")?,
            "--runs" => runs = value()?.parse().context("--runs")?,
            "--quick" => quick = true,
            "--times" => times = value()?.parse().context("--times")?,
            other => bail!("there is no {other}"),
        }
    }
    let server = server.context("--server is missing: the program to measure")?;
    let results = results.context("--results is missing: the file for the figures")?;
    let scratch = scratch.context("--scratch is missing: where the corpus and the data go; use a real disk")?;
    ensure!(traces > 0 && runs > 0 && times > 0, "nothing to do");
    Ok(Arguments { server, results, scratch, traces, runs, quick, times })
}

fn run(arguments: &Arguments) -> Result<()> {
    let scratch = tempfile::tempdir_in(&arguments.scratch).context("--scratch")?;
    let mut problems = Vec::new();
    let mut lines = Lines::default();
    if arguments.times > 1 {
        growth::run(arguments, scratch.path(), &mut lines, &mut problems)?;
    } else {
        run_all(arguments, scratch.path(), &mut lines, &mut problems)?;
    }
    std::fs::write(&arguments.results, &lines.text).context("--results")?;
    ensure!(problems.is_empty(), "wrong:\n  {}", problems.join("\n  "));
    Ok(())
}

fn run_all(arguments: &Arguments, scratch: &Path, lines: &mut Lines, problems: &mut Vec<String>) -> Result<()> {
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    // Two stretches of time that do not touch, both in the past: what is measured, and what comes in while it is asked about.
    let begin_ns = now_ns - 2 * corpus::LENGTH_NS;
    eprintln!("making {} traces", arguments.traces);
    let main = Corpus::make(&scratch.join("corpus"), 1, arguments.traces, begin_ns)?;
    let later = Corpus::make(&scratch.join("later"), 2, arguments.traces.div_ceil(2), begin_ns + corpus::LENGTH_NS)?;
    lines.put("spans", main.manifest.spans as f64);
    lines.put("bytes_per_span", main.manifest.request_bytes as f64 / main.manifest.spans as f64);
    for number in 1..=arguments.runs {
        eprintln!("run {number}");
        let data = scratch.join(format!("data-{number}"));
        let server = Server::start(&arguments.server, &data)?;
        measure(&server, &main, &later, arguments.quick, &mut lines.of_run(number), problems)?;
        drop(server);
        std::fs::remove_dir_all(&data)?;
    }
    Ok(())
}

fn measure(
    server: &Server,
    main: &Corpus,
    later: &Corpus,
    quick: bool,
    run: &mut RunLines<'_>,
    problems: &mut Vec<String>,
) -> Result<()> {
    let peaks = Peaks::watch(server.pid());
    let begin = CpuSeconds::now(server.pid())?;
    let loaded = load(server, main)?;
    let last_ok = CpuSeconds::now(server.pid())?;
    let disk_at_last_ok_bytes = server.disk_bytes();
    server.settle(QUIET, SETTLE_LIMIT)?;
    let settled = CpuSeconds::now(server.pid())?;
    run.load(&loaded, begin.until(last_ok), begin.until(settled));
    let spans = loaded.spans as f64;
    run.put("disk_bytes_per_span_at_last_ok", disk_at_last_ok_bytes as f64 / spans);
    run.put("disk_bytes_per_span", server.disk_bytes() as f64 / spans);
    run.put("peak_rss_mib", server.peak_rss_mib()?);
    run.put("peak_anon_mib", peaks.anon_mib());
    if loaded.spans != main.manifest.spans {
        problems.push(format!("{} spans of {} were taken", loaded.spans, main.manifest.spans));
    }
    problems.extend(loaded.failure.iter().cloned());
    let idle = Questions::new(server, main, (main.begin_ns, main.end_ns), quick).ask_all();
    run.classes("idle", &idle, problems);
    let span_rate = load::while_loading(server, later, || {
        let busy = Questions::new(server, main, (main.begin_ns, later.end_ns), quick).while_more_arrives().ask_all();
        run.classes("busy", &busy, problems);
    })?;
    run.put("busy_spans_per_s", span_rate);
    run.put("peak_rss_mib_with_questions", server.peak_rss_mib()?);
    Ok(())
}

/// The results: lines of `name value`.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn put(&mut self, name: &str, value: f64) {
        writeln!(self.text, "{name} {value}").expect("writing to a string");
    }

    fn of_run(&mut self, number: u64) -> RunLines<'_> {
        RunLines { lines: self, number }
    }
}

/// Lines of one run, named `run.NUMBER.…`.
struct RunLines<'a> {
    lines: &'a mut Lines,
    number: u64,
}

impl RunLines<'_> {
    fn put(&mut self, name: &str, value: f64) {
        eprintln!("  {name:40} {value:12.2}");
        self.lines.put(&format!("run.{}.{name}", self.number), value);
    }

    fn load(&mut self, loaded: &Loaded, until_last_ok: CpuSeconds, until_settled: CpuSeconds) {
        let million_spans = loaded.spans as f64 / 1e6;
        self.put("cpu_s_per_mspan_last_ok", until_last_ok.server / million_spans);
        self.put("cpu_s_per_mspan_settled", until_settled.server / million_spans);
        self.put("client_cpu_s_per_mspan", until_last_ok.client / million_spans);
        self.put("others_cpu_s", until_last_ok.others);
        self.put("wall_s", loaded.wall_s);
        self.put("spans_per_s", loaded.spans as f64 / loaded.wall_s);
        self.put("request_p50_ms", loaded.latencies.percentile(0.5));
        self.put("request_p99_ms", loaded.latencies.percentile(0.99));
        self.put("connections", CONNECTIONS as f64);
        self.put("retries", loaded.retries as f64);
    }

    fn classes(&mut self, when: &str, classes: &[ClassFigures], problems: &mut Vec<String>) {
        for class in classes {
            let name = class.name;
            self.put(&format!("{when}.{name}.p50_ms"), class.latencies.percentile(0.5));
            self.put(&format!("{when}.{name}.p99_ms"), class.latencies.percentile(0.99));
            self.put(&format!("{when}.{name}.cpu_ms"), class.server_cpu_ms);
            self.put(&format!("{when}.{name}.wrong"), class.wrong as f64);
            if let Some(problem) = &class.first_problem {
                problems.push(format!("run {}, {when}, {name}: {} wrong, first: {problem}", self.number, class.wrong));
            }
        }
    }
}
