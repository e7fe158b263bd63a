//! `cargo xtask tidy`: house rules that neither rustfmt nor clippy checks.
//!
//! Each rule is a module with a pure function from source text to findings, tested on small texts; this file collects them and
//! decides what is an error. It repairs nothing.

mod arrows;
mod links;
mod mask;
mod rust_rules;
mod settings;
mod sizes;
mod text_rules;

use crate::files::{self, SourceFile};
use anyhow::{Context, Result, bail};
use settings::Settings;

/// One thing that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// From 1; 0 for the file as a whole.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// What the rules found: errors fail the run, warnings are shown.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) errors: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

pub(crate) fn run() -> Result<()> {
    let sources = files::sources()?;
    let settings = std::fs::read_to_string(files::root().join("xtask/tidy.toml")).context("xtask/tidy.toml")?;
    let report = check(&sources, &Settings::parse(&settings)?);
    for warning in &report.warnings {
        println!("   warning: {warning}");
    }
    for error in &report.errors {
        eprintln!("   {error}");
    }
    if !report.errors.is_empty() {
        bail!("{} findings", report.errors.len());
    }
    println!("   {} files are tidy ({} warnings)", sources.len(), report.warnings.len());
    Ok(())
}

fn check(sources: &[SourceFile], settings: &Settings) -> Report {
    let mut report = Report::default();
    arrows::check(sources, &mut report);
    links::check(sources, &mut report);
    let mut long_functions = Vec::new();
    for file in sources {
        text_rules::check(file, &mut report);
        sizes::check(file, &mut report);
        if file.is_rust() {
            let masked = mask::Masked::new(&file.text);
            rust_rules::check(file, &masked, settings, &mut report);
            long_functions.extend(rust_rules::long_functions(file, &masked));
        }
    }
    settings::ratchet(settings, long_functions, &mut report);
    report
}
