//! `cargo xtask fuzz NAME`: one of the fuzzers for as long as one likes, on a stable compiler.
//!
//! Seeds are made first. What breaks a target is kept in `fuzz/artifacts` under the name of its kind; found inputs that reach something
//! new are added to `fuzz/corpus`, so that a second run goes on where the first one ended.

use crate::{files, nightly, steps};
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::time::Duration;

const BUILD_LIMIT: Duration = Duration::from_mins(30);
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// Coverage for libFuzzer from a stable compiler.
const FLAGS: &str = "-Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table";
const USUAL: Duration = Duration::from_mins(5);
/// Packages with an example that makes seeds.
const SEEDS: [(&str, &str); 2] = [("wire", "fuzz_corpus"), ("testkit", "forged_corpus")];

pub(crate) fn run(flags: &[String]) -> Result<()> {
    let known = targets()?;
    let Some((target, rest)) = flags.split_first() else {
        println!("{}", known.join("\n"));
        return Ok(());
    };
    let (how_long, seed) = options(rest)?;
    ensure!(known.contains(target), "there is no target `{target}`; there are {}", known.join(", "));
    corpus()?;
    run_target(target, how_long, seed)
}

fn options(flags: &[String]) -> Result<(Duration, u64)> {
    let (mut how_long, mut seed) = (USUAL, nightly::now_s());
    let mut rest = flags.iter();
    while let Some(flag) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--minutes" => how_long = nightly::minutes(value()?)?,
            "--seed" => seed = value()?.parse().context("--seed needs a number")?,
            other => bail!("`fuzz` does not know `{other}`"),
        }
    }
    Ok((how_long, seed))
}

/// The names of all targets.
pub(crate) fn targets() -> Result<Vec<String>> {
    let folder = fuzz_folder().join("fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Makes the seeds of all targets.
pub(crate) fn corpus() -> Result<()> {
    for (package, example) in SEEDS {
        let args = ["run", "--locked", "--package", package, "--example", example, "--", "fuzz/corpus"];
        steps::run(steps::cargo().args(args), BUILD_LIMIT)?;
    }
    Ok(())
}

/// Builds a target and runs it for so long.
pub(crate) fn run_target(target: &str, how_long: Duration, seed: u64) -> Result<()> {
    let folder = fuzz_folder();
    for needed in ["artifacts", &format!("corpus/{target}")] {
        std::fs::create_dir_all(folder.join(needed))?;
    }
    let mut cargo = steps::cargo();
    cargo.args(["run", "--locked", "--release", "--target", PLATFORM, "--bin", target, "--"]);
    cargo.args([&format!("corpus/{target}"), "-artifact_prefix=artifacts/"]);
    cargo.arg(format!("-max_total_time={}", how_long.as_secs()));
    // libFuzzer's seeds have 32 bits, and 0 means any.
    cargo.arg(format!("-seed={}", 1 + seed % u64::from(u32::MAX)));
    cargo.env("RUSTFLAGS", FLAGS).current_dir(&folder);
    steps::run(&mut cargo, BUILD_LIMIT + how_long)
}

fn fuzz_folder() -> PathBuf {
    files::root().join("fuzz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_binaries_are_the_same() {
        // A target that is not listed in fuzz/Cargo.toml would never run.
        let listed = std::fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() > 10);
        for target in &targets {
            assert!(listed.contains(&format!("name = \"{target}\"")), "{target}");
        }
        assert_eq!(listed.matches("[[bin]]").count(), targets.len());
    }

    #[test]
    fn flags_are_read_or_refused() {
        // What is asked for is what is run, and a flag that means nothing is not passed over.
        let parsed = |text: &str| options(&text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>());
        assert_eq!(parsed("--minutes 2 --seed 9").unwrap(), (Duration::from_mins(2), 9));
        for wrong in ["--minutes", "--minutes x", "--fast"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
