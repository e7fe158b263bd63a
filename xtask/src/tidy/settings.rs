//! `xtask/tidy.toml`: what is tolerated, and the ratchets that only turn one way.
//!
//! Reads the little TOML that the file needs (sections, `key = number`, `"path" = "reason"`), so that xtask needs no parser
//! crate and builds in seconds.

use super::{Finding, Report};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

const FILE: &str = "xtask/tidy.toml";

#[derive(Debug, Default)]
pub(super) struct Settings {
    /// How many functions may be over the limit.
    pub(super) long_functions: usize,
    /// Path → why it may sleep.
    pub(super) sleeps: BTreeMap<String, String>,
}

impl Settings {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut settings = Self::default();
        for entry in super::arrows::entries(text) {
            let value = entry.value.trim().trim_matches('"');
            match (entry.section.as_str(), entry.key.as_str()) {
                ("ratchets", "functions_over_70_lines") => {
                    settings.long_functions = value.parse().context("functions_over_70_lines is no number")?;
                }
                ("sleeps", path) if !value.is_empty() => {
                    settings.sleeps.insert(path.to_owned(), value.to_owned());
                }
                (section, key) => bail!("{FILE}: [{section}] {key} is not known, or has no reason"),
            }
        }
        Ok(settings)
    }
}

/// More than the stored number is an error, and so is fewer: the number is lowered in the same change.
pub(super) fn ratchet(settings: &Settings, long_functions: Vec<Finding>, report: &mut Report) {
    let (found, stored) = (long_functions.len(), settings.long_functions);
    if found > stored {
        report.errors.extend(long_functions);
    } else if found < stored {
        let what = format!("functions_over_70_lines can be lowered from {stored} to {found}; do it");
        report.errors.push(Finding::new(FILE, 0, what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratchet_turns_only_down() {
        // One more fails, one fewer asks for the lower number, equal is silent.
        let settings = Settings { long_functions: 1, ..Settings::default() };
        let errors = |count: usize| {
            let mut report = Report::default();
            ratchet(&settings, (0..count).map(|n| Finding::new("a.rs", n, "long")).collect(), &mut report);
            report.errors.len()
        };
        assert_eq!((errors(0), errors(1), errors(2)), (1, 0, 2));
    }

    #[test]
    fn an_exception_needs_a_reason_and_a_known_section() {
        // A typo in the settings is an error, never silently ignored.
        assert!(Settings::parse("[ratchets]\nfunctions_over_70_lines = 2\n[sleeps]\n\"a.rs\" = \"backoff\"\n").is_ok());
        assert!(Settings::parse("[sleeps]\n\"a.rs\" = \"\"\n").is_err());
        assert!(Settings::parse("[ratchet]\nx = 1\n").is_err());
    }
}
