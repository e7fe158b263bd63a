//! `cargo xtask bench`: the micro benches of every crate, in the release profile, one after the other.
//!
//! A bench is a file in `crates/NAME/benches`; what it measures and how it prints is its own business. Nothing is compared with
//! an earlier run here.

use crate::{files, steps};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::time::Duration;

/// Building for release included.
const BENCH_LIMIT: Duration = Duration::from_mins(30);

pub(crate) fn run() -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benches_are_found_by_their_place() {
        // A new file in a crate's benches folder is run without being listed anywhere; its parts in subfolders are not benches.
        assert_eq!(bench("crates/wire/benches/decode.rs"), Some(("wire".to_owned(), "decode".to_owned())));
        assert_eq!(bench("crates/wire/benches/parts/data.rs"), None);
        assert_eq!(bench("crates/wire/src/lib.rs"), None);
    }
}
