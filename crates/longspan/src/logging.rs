//! The program's log: to stderr, for people or as JSON.

use std::io::{IsTerminal, stderr};

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::options::{LogFormat, Options};

/// Starts logging as the settings say.
pub(crate) fn start(options: &Options) -> Result<()> {
    let level = options.log_level.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(level).with_context(|| format!("{level:?} is not a log level"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let started = match options.log_format {
        Some(LogFormat::Json) => log.json().flatten_event(true).try_init(),
        _ => log.with_target(false).with_ansi(stderr().is_terminal()).try_init(),
    };
    // Only a second start in one process fails, and then there is a log already.
    drop(started);
    Ok(())
}
