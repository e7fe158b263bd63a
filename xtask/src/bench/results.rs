//! Figures by name, as the programs that measure print them: lines of `name value`.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Figures by name.
#[derive(Debug, Default)]
pub(super) struct Results {
    figures: BTreeMap<String, f64>,
}

impl Results {
    pub(super) fn parse(text: &str) -> Result<Results> {
        let mut results = Results::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (name, value) = line.rsplit_once(' ').with_context(|| format!("no figure: {line}"))?;
            let value = value.parse().with_context(|| format!("no figure: {line}"))?;
            results.figures.insert(name.trim().to_owned(), value);
        }
        Ok(results)
    }

    pub(super) fn get(&self, name: &str) -> Result<f64> {
        self.figures.get(name).copied().with_context(|| format!("`{name}` was not measured"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_is_missing_is_an_error() {
        // A table never shows a zero for something that was not measured.
        let results = Results::parse("spans 12\nrun.1.wall_s 0.5\n").unwrap();
        assert!((results.get("run.1.wall_s").unwrap() - 0.5).abs() < 1e-9);
        assert!(results.get("run.2.wall_s").is_err());
        assert!(Results::parse("spans many\n").is_err());
    }
}
