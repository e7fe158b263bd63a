//! `cargo xtask bench`: how fast and how small, three ways.
//!
//! Without a flag: the real server under load, as a table beside other systems' figures ([`shop`]). `--times 10`: the same load, then as much
//! nine times more in the same directory, and what that changes ([`growth`]). `--micro`: the benches of
//! every crate, for finding out why. `--instructions`: instruction counts of the hot paths against the recorded ones
//! ([`instructions`]), for noticing what got slower where a clock is too noisy.

mod growth;
mod instructions;
mod results;
mod shop;

use crate::{files, steps};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::time::Duration;

/// Building for release included.
const BENCH_LIMIT: Duration = Duration::from_mins(30);

/// What is measured.
#[derive(Debug, PartialEq, Eq)]
enum What {
    Shop(shop::Options),
    Micro,
    Instructions { accept: bool },
}

pub(crate) fn run(flags: &[String]) -> Result<()> {
    match what(flags)? {
        What::Shop(options) => shop::run(&options),
        What::Micro => micro(),
        What::Instructions { accept } => instructions::run(accept),
    }
}

fn what(flags: &[String]) -> Result<What> {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    match flags[..] {
        ["--micro"] => return Ok(What::Micro),
        ["--instructions"] => return Ok(What::Instructions { accept: false }),
        ["--instructions", "--accept"] | ["--accept", "--instructions"] => {
            return Ok(What::Instructions { accept: true });
        }
        _ => {}
    }
    let mut options = shop::Options { quick: flags.contains(&"--quick"), ..shop::Options::default() };
    if options.quick {
        options.traces = shop::TRACES_QUICK;
        options.runs = 1;
    }
    let mut rest = flags.iter();
    while let Some(flag) = rest.next() {
        let mut number = || -> Result<u64> {
            let text = rest.next().with_context(|| format!("{flag} needs a number"))?;
            let number: u64 = text.parse().with_context(|| format!("{flag} {text}"))?;
            ensure!(number > 0, "{flag} {number}: that is nothing to measure");
            Ok(number)
        };
        match *flag {
            "--traces" => options.traces = number()?,
            "--runs" => options.runs = number()?,
            "--times" => options.times = number()?,
            "--quick" => {}
            other => bail!("`bench` does not know `{other}`, or not together with the others"),
        }
    }
    Ok(What::Shop(options))
}

fn micro() -> Result<()> {
    let benches: Vec<(String, String)> = files::sources()?.iter().filter_map(|file| bench(&file.path)).collect();
    ensure!(!benches.is_empty(), "there is no bench in crates/*/benches");
    for (package, name) in &benches {
        let args = ["bench", "--locked", "--package", package, "--bench", name];
        steps::run(steps::cargo().args(args), BENCH_LIMIT).with_context(|| format!("bench {name} of {package}"))?;
    }
    println!("\nbenches: {} run", benches.len());
    Ok(())
}

/// Crate and name of `crates/NAME/benches/BENCH.rs`.
fn bench(path: &str) -> Option<(String, String)> {
    let (package, rest) = path.strip_prefix("crates/")?.split_once("/benches/")?;
    let is_file = !rest.contains('/') && Path::new(rest).extension().is_some_and(|extension| extension == "rs");
    is_file.then(|| (package.to_owned(), rest.trim_end_matches(".rs").to_owned()))
}

/// Where cargo puts what it builds for release.
pub(crate) fn release_folder() -> std::path::PathBuf {
    target_folder().join("release")
}

fn target_folder() -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| files::root().join("target"), Into::into);
    files::root().join(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &str) -> Result<What> {
        what(&flags.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn benches_are_found_by_their_place() {
        // A new file in a crate's benches folder is run without being listed anywhere; its parts in subfolders are not benches.
        assert_eq!(bench("crates/wire/benches/decode.rs"), Some(("wire".to_owned(), "decode".to_owned())));
        assert_eq!(bench("crates/wire/benches/parts/data.rs"), None);
        assert_eq!(bench("crates/wire/src/lib.rs"), None);
    }

    #[test]
    fn flags_are_read_or_refused() {
        // What is asked for is what is measured, and a flag that means nothing is not passed over.
        assert_eq!(parsed("").unwrap(), What::Shop(shop::Options::default()));
        let options = shop::Options { traces: 5, runs: 3, quick: true, times: 1 };
        assert_eq!(parsed("--quick --traces 5 --runs 3").unwrap(), What::Shop(options));
        let options = shop::Options { times: 10, ..shop::Options::default() };
        assert_eq!(parsed("--times 10").unwrap(), What::Shop(options));
        assert_eq!(parsed("--micro").unwrap(), What::Micro);
        assert_eq!(parsed("--instructions --accept").unwrap(), What::Instructions { accept: true });
        for wrong in ["--runs", "--runs 0", "--traces many", "--accept", "--micro --quick", "--fast"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
