//! `longspan config show`.

use std::io::{Write, stdout};

use anyhow::{Context, Result};
use toml::Table;

use crate::options::Options;
use crate::settings::{Origin, Settings};

/// Prints every setting with where it comes from; what is printed is a valid `longspan.toml`.
pub(crate) fn show(options: &Options) -> Result<()> {
    let settings = Settings::read(options)?;
    settings.server().validate()?;
    let text = written(&settings)?;
    stdout().write_all(text.as_bytes()).context("cannot print")
}

fn written(settings: &Settings) -> Result<String> {
    let table = Table::try_from(&settings.options).context("the settings cannot be written")?;
    let line = |(key, value): (&String, &toml::Value)| {
        let origin = match settings.origin(key) {
            Origin::CommandLine => "flag or environment",
            Origin::File => "file",
            Origin::Default => "default",
        };
        format!("{:<40} # {origin}\n", format!("{key} = {value}"))
    };
    Ok(table.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_used() {
        // Guarantees that the output is a settings file which gives the same settings.
        let settings = Settings::read(&Options::default()).unwrap();
        let again: Options = toml::from_str(&written(&settings).unwrap()).unwrap();
        assert_eq!(again, settings.options);
    }
}
