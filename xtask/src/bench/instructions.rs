//! `cargo xtask bench --instructions`: what the hot paths cost in instructions, against `xtask/instructions.toml`.
//!
//! A clock on a shared machine is off by ten per cent and more; the number of instructions of the same work is not. An example of
//! `testkit` does the work stage by stage; callgrind counts each run; what a kernel costs is the difference of two stages.
//! The counts depend on the compiler, so the file says which one it was.

use super::results::Results;
use super::{BENCH_LIMIT, release_folder};
use crate::{files, steps};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// More than this above the record is a failure; more than this below is worth a new record.
const TOLERANCE: f64 = 0.05;

/// A kernel: its name, the stage that does it, the stage without it, and what its cost is divided by.
struct Kernel {
    name: &'static str,
    stage: &'static str,
    without: &'static str,
    per: &'static str,
    means: &'static str,
}

const fn kernel(
    name: &'static str,
    (stage, without): (&'static str, &'static str),
    per: &'static str,
    means: &'static str,
) -> Kernel {
    Kernel { name, stage, without, per, means }
}

const KERNELS: [Kernel; 6] = [
    kernel("decode", ("decode", "corpus"), "spans", "OTLP protobuf to columns, a span"),
    kernel("wal", ("wal", "one_span_each"), "spans", "packing, checksumming and writing the log, a span"),
    kernel("apply", ("apply", "wal"), "spans", "making a batch searchable, a span"),
    kernel("seal", ("seal", "apply"), "spans", "from memory to a synced segment, a span"),
    kernel("by_id", ("by_id", "seal"), "look_ups", "a trace by its id from a segment, a look-up"),
    kernel("scan", ("scan", "seal"), "scanned_spans", "a filter that no index answers, a span"),
];

/// Instructions by kernel.
type Counts = BTreeMap<String, f64>;

pub(super) fn run(accept: bool) -> Result<()> {
    let valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !valgrind.is_ok_and(|status| status.success()) {
        println!("skipped: valgrind is missing, so instructions cannot be counted (Debian: apt-get install valgrind)");
        return Ok(());
    }
    let build = ["build", "--locked", "--release", "--package", "testkit", "--example", "kernels"];
    steps::run(steps::cargo().args(build), BENCH_LIMIT)?;
    let counts = count_all()?;
    let compiler = compiler()?;
    let path = record_path();
    if accept {
        std::fs::write(&path, record(&counts, &compiler)).with_context(|| path.display().to_string())?;
        print!("{}", report(&counts, &counts));
        println!("recorded in xtask/instructions.toml");
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).context("xtask/instructions.toml; --accept makes it")?;
    let (recorded, recorded_compiler) = read_record(&text)?;
    print!("{}", report(&counts, &recorded));
    if recorded_compiler != compiler {
        println!("the record is of {recorded_compiler}, this is {compiler}: differences may be the compiler's");
    }
    let worse = worse(&counts, &recorded);
    if !worse.is_empty() {
        bail!(
            "more than {:.0} % above the record: {}; if it is worth it, `cargo xtask bench --instructions --accept`",
            TOLERANCE * 100.0,
            worse.join(", ")
        );
    }
    Ok(())
}

fn record_path() -> PathBuf {
    files::root().join("xtask/instructions.toml")
}

fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("rustc --version")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn count_all() -> Result<Counts> {
    let program = release_folder().join("examples/kernels");
    let mut stages: BTreeMap<&str, (f64, Results)> = BTreeMap::new();
    let mut counts = Counts::new();
    for kernel in &KERNELS {
        for stage in [kernel.without, kernel.stage] {
            if !stages.contains_key(stage) {
                stages.insert(stage, count(&program, stage)?);
            }
        }
        let (all, results) = &stages[kernel.stage];
        let units = results.get(kernel.per)?;
        ensure!(units > 0.0, "{} did nothing", kernel.name);
        counts.insert(kernel.name.to_owned(), (all - stages[kernel.without].0) / units);
    }
    Ok(counts)
}

/// Instructions of one run, all threads together, and what it says it did.
fn count(program: &Path, stage: &str) -> Result<(f64, Results)> {
    println!("   counting {stage}");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).arg(stage);
    let output = valgrind.stdin(Stdio::null()).output().context("valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kernels {stage} failed under valgrind:\n{said}");
    let instructions = collected(&said).with_context(|| format!("valgrind did not say what it counted:\n{said}"))?;
    Ok((instructions, Results::parse(&String::from_utf8_lossy(&output.stdout))?))
}

/// The figure of `==123== Collected : 456789`.
fn collected(said: &str) -> Option<f64> {
    let (_, figure) = said.lines().find_map(|line| line.split_once("Collected :"))?;
    figure.trim().parse().ok()
}

fn record(counts: &Counts, compiler: &str) -> String {
    let mut text = "# Instructions of the hot paths, as callgrind counts them: `cargo xtask bench --instructions`.\n\
        # Written by `--accept`; a count more than 5 % above is a failure.\n\n"
        .to_owned();
    writeln!(text, "compiler = \"{compiler}\"\n\n[instructions]").expect("writing to a string");
    for kernel in &KERNELS {
        writeln!(text, "# {}\n{} = {:.0}", kernel.means, kernel.name, counts[kernel.name])
            .expect("writing to a string");
    }
    text
}

fn read_record(text: &str) -> Result<(Counts, String)> {
    let mut counts = Counts::new();
    let mut compiler = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once('=') else { continue };
        match name.trim() {
            "compiler" => value.trim().trim_matches('"').clone_into(&mut compiler),
            name => {
                let value = value.trim().parse().with_context(|| format!("xtask/instructions.toml: {line}"))?;
                counts.insert(name.to_owned(), value);
            }
        }
    }
    Ok((counts, compiler))
}

fn report(counts: &Counts, recorded: &Counts) -> String {
    let mut text = String::new();
    for kernel in &KERNELS {
        let now = counts[kernel.name];
        let change = recorded.get(kernel.name).map_or_else(
            || "not recorded".to_owned(),
            |before| format!("{:+.1} % of {before:.0}", (now / before - 1.0) * 100.0),
        );
        writeln!(text, "  {:8} {now:>10.0}  {change:24} {}", kernel.name, kernel.means).expect("writing to a string");
    }
    text
}

/// Kernels above the record, or without one.
fn worse(counts: &Counts, recorded: &Counts) -> Vec<String> {
    let limit = |name: &String| recorded.get(name).map_or(0.0, |before| before * (1.0 + TOLERANCE));
    counts.iter().filter(|(name, now)| **now > limit(name)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(decode: f64) -> Counts {
        KERNELS
            .iter()
            .map(|kernel| (kernel.name.to_owned(), if kernel.name == "decode" { decode } else { 7.0 }))
            .collect()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        // What `--accept` writes is what the next run compares with.
        let (read, compiler) = read_record(&record(&counts(1234.0), "rustc 1.95.0")).unwrap();
        assert_eq!((read, compiler.as_str()), (counts(1234.0), "rustc 1.95.0"));
    }

    #[test]
    fn only_what_got_worse_fails() {
        // Five per cent are noise, more is a failure, less work is fine, and a kernel without a record does not slip through.
        assert_eq!(worse(&counts(104.0), &counts(100.0)), Vec::<String>::new());
        assert_eq!(worse(&counts(106.0), &counts(100.0)), ["decode"]);
        assert_eq!(worse(&counts(50.0), &counts(100.0)), Vec::<String>::new());
        assert_eq!(worse(&counts(100.0), &Counts::new()).len(), KERNELS.len());
    }

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        // The figure is the sum over threads, wherever it stands.
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 123456\n==7==\n"), Some(123_456.0));
        assert_eq!(collected("==7== nothing\n"), None);
    }
}
