//! What it costs that much is there already: the corpus once, then many times more, in one server.
//!
//! The corpus on disk is sent again and again as other traces, each pass later than the one before, so that nothing needs space but
//! the server's directory. Ingest is measured in the first pass and in all others; questions after the first pass, and at the end about
//! the oldest stretch of time, about the newest, and without looking at one.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::corpus::{Corpus, LENGTH_NS};
use crate::load::{Loaded, load_passes};
use crate::questions::Questions;
use crate::server::{CpuSeconds, Peaks, Server};
use crate::{Arguments, Lines, QUIET, SETTLE_LIMIT};

pub(crate) fn run(arguments: &Arguments, scratch: &Path, lines: &mut Lines, problems: &mut Vec<String>) -> Result<()> {
    let times = arguments.times;
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let begin_ns = now_ns.checked_sub(times * LENGTH_NS).context("--times: so long ago there was no time")?;
    eprintln!("making {} traces", arguments.traces);
    let corpus = Corpus::make(&scratch.join("corpus"), 1, arguments.traces, begin_ns)?;
    lines.put("spans", corpus.manifest.spans as f64);
    lines.put("bytes_per_span", corpus.manifest.request_bytes as f64 / corpus.manifest.spans as f64);
    let server = Server::start(&arguments.server, &scratch.join("data"))?;
    let peaks = Peaks::watch(server.pid());
    let mut growth = Growth { server, peaks, corpus, times, quick: arguments.quick, lines, problems };
    growth.load("once", 0..1)?;
    growth.ask("once", 0);
    growth.load("more", 1..times as usize)?;
    growth.ask("oldest", 0);
    growth.ask("newest", times - 1);
    growth.ask("any", 0);
    growth.lines.put("peak_rss_mib_with_questions", growth.server.peak_rss_mib()?);
    let Growth { server, corpus, lines, problems, .. } = growth;
    drop(server);
    load_alone(&Server::start(&arguments.server, &scratch.join("alone"))?, &corpus, times, lines, problems)
}

/// The memory of loading everything, with nobody asking.
fn load_alone(
    server: &Server,
    corpus: &Corpus,
    times: u64,
    lines: &mut Lines,
    problems: &mut Vec<String>,
) -> Result<()> {
    eprintln!("alone: {times} times {} spans", corpus.manifest.spans);
    let peaks = Peaks::watch(server.pid());
    for (name, passes) in [("alone_once", 0..1), ("alone_more", 1..times as usize)] {
        problems.extend(load_passes(server, corpus, passes)?.failure);
        for (figure, value) in [("peak_rss_mib", server.peak_rss_mib()?), ("peak_anon_mib", peaks.anon_mib())] {
            eprintln!("  {name:8} {figure:36} {value:12.2}");
            lines.put(&format!("{name}.{figure}"), value);
        }
    }
    Ok(())
}

struct Growth<'a> {
    server: Server,
    peaks: Peaks,
    corpus: Corpus,
    times: u64,
    quick: bool,
    lines: &'a mut Lines,
    problems: &'a mut Vec<String>,
}

impl Growth<'_> {
    fn load(&mut self, name: &str, passes: std::ops::Range<usize>) -> Result<()> {
        eprintln!("{name}: {} times {} spans", passes.len(), self.corpus.manifest.spans);
        let (begin, disk_bytes) = (CpuSeconds::now(self.server.pid())?, self.server.disk_bytes());
        let expected = passes.len() as u64 * self.corpus.manifest.spans;
        let loaded: Loaded = load_passes(&self.server, &self.corpus, passes)?;
        // Before anything waits: what the load itself needed.
        let (rss_mib, anon_mib) = (self.server.peak_rss_mib()?, self.peaks.anon_mib());
        self.server.settle(QUIET, SETTLE_LIMIT)?;
        let used = begin.until(CpuSeconds::now(self.server.pid())?);
        let million_spans = loaded.spans as f64 / 1e6;
        self.put(name, "cpu_s_per_mspan_settled", used.server / million_spans);
        self.put(name, "others_cpu_s", used.others);
        self.put(name, "spans_per_s", loaded.spans as f64 / loaded.wall_s);
        self.put(name, "request_p99_ms", loaded.latencies.percentile(0.99));
        self.put(name, "peak_rss_mib", rss_mib);
        self.put(name, "peak_anon_mib", anon_mib);
        let added_bytes = self.server.disk_bytes().saturating_sub(disk_bytes);
        self.put(name, "disk_bytes_per_span", added_bytes as f64 / loaded.spans as f64);
        if loaded.spans != expected {
            self.problems.push(format!("{name}: {} spans of {expected} were taken", loaded.spans));
        }
        self.problems.extend(loaded.failure);
        Ok(())
    }

    /// Asks about the stretch of a pass, or, of `any`, about all of them.
    fn ask(&mut self, name: &str, pass: u64) {
        let (begin_ns, end_ns) = (self.corpus.begin_ns + pass * LENGTH_NS, self.corpus.end_ns + pass * LENGTH_NS);
        let is_any = name == "any";
        let range = if is_any { (self.corpus.begin_ns, begin_ns + self.times * LENGTH_NS) } else { (begin_ns, end_ns) };
        let mut questions = Questions::new(&self.server, &self.corpus, range, self.quick).of_pass(pass);
        if is_any {
            questions = questions.while_more_arrives();
        }
        for class in questions.ask_all() {
            // Of all passes together more traces have an order than the corpus says.
            if is_any && class.name == "order_id" {
                continue;
            }
            self.put(name, &format!("{}.p50_ms", class.name), class.latencies.percentile(0.5));
            self.put(name, &format!("{}.p99_ms", class.name), class.latencies.percentile(0.99));
            self.put(name, &format!("{}.cpu_ms", class.name), class.server_cpu_ms);
            if let Some(problem) = &class.first_problem {
                self.problems.push(format!("{name}, {}: {} wrong, first: {problem}", class.name, class.wrong));
            }
        }
    }

    fn put(&mut self, part: &str, name: &str, value: f64) {
        eprintln!("  {part:8} {name:36} {value:12.2}");
        self.lines.put(&format!("{part}.{name}"), value);
    }
}
