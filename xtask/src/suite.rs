//! `cargo xtask test`: everything that must pass before a change lands, in the order that fails soonest.
//!
//! The black-box suites use the binary that `cargo test --workspace` has just built (dev profile, dependencies optimised), so
//! that nothing is built twice. The page comes before any Rust, because the build embeds it.

use crate::setup::{self, Install};
use crate::steps::{self, Steps};
use crate::{files, tidy};
use anyhow::{Result, ensure};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A cold build of the workspace on two cores takes about a tenth of this.
const BUILD_LIMIT: Duration = Duration::from_mins(30);
const SUITE_LIMIT: Duration = Duration::from_mins(10);
const SHORT_LIMIT: Duration = Duration::from_mins(3);

pub(crate) fn run(install: Install, fast: bool) -> Result<()> {
    let mut steps = Steps::default();
    if !fast {
        steps.step("set-up", || setup::run(install))?;
    }
    steps.step("rustfmt", || cargo(&["fmt", "--all", "--check"], SHORT_LIMIT))?;
    steps.step("tidy", tidy::run)?;
    if !fast {
        page(&mut steps)?;
    }
    rust(&mut steps)?;
    if !fast {
        black_box(&mut steps)?;
    }
    steps.print_summary();
    Ok(())
}

fn page(steps: &mut Steps) -> Result<()> {
    for script in ["check", "test", "build", "size"] {
        steps.step(&format!("page: {script}"), || npm("web", script, SHORT_LIMIT))?;
    }
    Ok(())
}

fn rust(steps: &mut Steps) -> Result<()> {
    let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    steps.step("clippy", || cargo(&clippy, BUILD_LIMIT))?;
    steps.step("rustdoc", || {
        let mut doc = steps::cargo();
        doc.args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
        // The crates are read in this checkout only: links to private items are links like others.
        doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links");
        steps::run(&mut doc, BUILD_LIMIT)
    })?;
    // Building and running are two steps, so that the summary tells a slow compiler from a slow test.
    steps.step("cargo test: build", || cargo(&["test", "--locked", "--workspace", "--no-run"], BUILD_LIMIT))?;
    steps.step("cargo test", || cargo(&["test", "--locked", "--workspace"], 2 * SUITE_LIMIT))
}

fn black_box(steps: &mut Steps) -> Result<()> {
    let binary = binary()?;
    steps.step("Python clients", || {
        let mut pytest = Command::new(setup::python());
        pytest.args(["-m", "pytest", "-q"]).current_dir(files::root().join("tests/python"));
        steps::run(pytest.env("LONGSPAN_BIN", &binary), SUITE_LIMIT)
    })?;
    steps.step("JavaScript clients", || {
        let mut npm = Command::new("npm");
        npm.args(["test", "--silent"]).current_dir(files::root().join("tests/js"));
        steps::run(npm.env("LONGSPAN_BIN", &binary), SUITE_LIMIT)
    })?;
    steps.step("browser", || {
        let mut npm = Command::new("npm");
        npm.args(["run", "e2e", "--silent"]).current_dir(files::root().join("tests/js"));
        if let Some(chromium) = setup::chromium() {
            npm.env("LONGSPAN_CHROMIUM", chromium);
        }
        steps::run(npm.env("LONGSPAN_BIN", &binary), SUITE_LIMIT)
    })
}

/// The program that `cargo test` left behind.
fn binary() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| files::root().join("target"), PathBuf::from);
    let binary = files::root().join(target).join("debug/longspan");
    ensure!(binary.is_file(), "{} is not there, though cargo test builds it", binary.display());
    Ok(binary)
}

fn cargo(args: &[&str], limit: Duration) -> Result<()> {
    steps::run(steps::cargo().args(args), limit)
}

fn npm(folder: &str, script: &str, limit: Duration) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["run", "--silent", script]).current_dir(files::root().join(folder));
    steps::run(&mut npm, limit)
}
