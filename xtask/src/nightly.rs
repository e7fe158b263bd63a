//! `cargo xtask nightly`: the counts of docs/reliability.md in full, hours of it.
//!
//! The same tests as `cargo xtask test` runs, built for release, with `LONGSPAN_ALL` set; then the fuzzers, the instruction counts and
//! a soak. One seed rules everything that is left to chance; it is printed, and `--seed` repeats the run. Comes after `cargo xtask
//! test`: what that checks is not checked again.

use crate::setup::{self, Install};
use crate::steps::{self, Steps};
use crate::{bench, files, fuzz, soak};
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Building for release included.
const SUITE_LIMIT: Duration = Duration::from_hours(3);
const BUILD_LIMIT: Duration = Duration::from_mins(30);
/// Cases of each property that does not say how many it wants.
const PROPERTY_CASES: &str = "20000";
/// How much is run.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    install: Install,
    seed: u64,
    soak: Duration,
    /// Each target.
    fuzz: Duration,
}

/// `cargo xtask soak`: the last part alone.
pub(crate) fn soak_only(flags: &[String]) -> Result<()> {
    let options = options(flags, now_s())?;
    println!("seed {}", options.seed);
    soak::run(options.soak, options.seed)
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_secs())
}

pub(crate) fn run(flags: &[String]) -> Result<()> {
    let options = options(flags, now_s())?;
    println!("seed {}: `cargo xtask nightly --seed {}` runs the same again", options.seed, options.seed);
    let mut steps = Steps::default();
    steps.step("set-up", || setup::run(options.install))?;
    steps.step("page: build", || {
        let mut npm = Command::new("npm");
        steps::run(npm.args(["run", "--silent", "build"]).current_dir(files::root().join("web")), BUILD_LIMIT)
    })?;
    for package in ["model", "wire", "flow", "query", "store"] {
        steps.step(&format!("{package}: all cases"), || tests(&options, package, &[]))?;
    }
    // One at a time: the goals are in seconds.
    steps.step("longspan: full counts", || tests(&options, "longspan", &["--test-threads=1", "--nocapture"]))?;
    steps.step("instructions", || bench::run(&["--instructions".to_owned()]))?;
    fuzz_all(&mut steps, &options)?;
    if !options.soak.is_zero() {
        steps.step("soak", || soak::run(options.soak, options.seed))?;
    }
    steps.print_summary();
    Ok(())
}

/// The flags, over what is usual. Zero leaves a part out.
fn options(flags: &[String], seed: u64) -> Result<Options> {
    let (soak, fuzz) = (Duration::from_hours(8), Duration::from_mins(15));
    let mut options = Options { install: Install::Allowed, seed, soak, fuzz };
    let mut rest = flags.iter();
    while let Some(flag) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--no-install" => options.install = Install::Forbidden,
            "--seed" => options.seed = value()?.parse().context("--seed needs a number")?,
            "--soak-minutes" | "--minutes" => options.soak = minutes(value()?)?,
            "--fuzz-minutes" => options.fuzz = minutes(value()?)?,
            other => bail!("`nightly` does not know `{other}`"),
        }
    }
    Ok(options)
}

pub(crate) fn minutes(text: &str) -> Result<Duration> {
    Ok(Duration::from_mins(text.parse().with_context(|| format!("{text} is no number of minutes"))?))
}

/// A crate's tests with everything in full.
fn tests(options: &Options, package: &str, arguments: &[&str]) -> Result<()> {
    let seed = options.seed.to_string();
    let mut cargo = steps::cargo();
    cargo.args(["test", "--locked", "--release", "--package", package, "--"]).args(arguments);
    cargo.env("LONGSPAN_ALL", "1").env("PROPTEST_CASES", PROPERTY_CASES);
    cargo.env("LONGSPAN_SEED", &seed).env("LONGSPAN_TEST_SEED", &seed);
    steps::run(&mut cargo, SUITE_LIMIT)
}

fn fuzz_all(steps: &mut Steps, options: &Options) -> Result<()> {
    if options.fuzz.is_zero() {
        return Ok(());
    }
    steps.step("fuzz: corpus", fuzz::corpus)?;
    for target in fuzz::targets()? {
        steps.step(&format!("fuzz: {target}"), || fuzz::run_target(&target, options.fuzz, options.seed))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &str) -> Result<Options> {
        options(&flags.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>(), 7)
    }

    #[test]
    fn flags_are_read_or_refused() {
        // What is asked for is what is run, and a flag that means nothing is not passed over.
        let usual = parsed("").unwrap();
        assert_eq!((usual.seed, usual.soak, usual.fuzz), (7, Duration::from_hours(8), Duration::from_mins(15)));
        let asked = parsed("--no-install --seed 9 --soak-minutes 20 --fuzz-minutes 0").unwrap();
        let expected =
            Options { install: Install::Forbidden, seed: 9, soak: Duration::from_mins(20), fuzz: Duration::ZERO };
        assert_eq!(asked, expected);
        for wrong in ["--seed", "--seed x", "--soak-minutes many", "--fast", "nightly"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
