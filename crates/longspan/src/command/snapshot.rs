//! `longspan snapshot`: a consistent copy of a data directory, whether or not a server works in it.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use store::StoreError;
use store::backup::{Copied, copy_directory, lock};
use store::disk::RealDisk;

use crate::client::Client;
use crate::logging;
use crate::options::Options;
use crate::progress::{grouped, megabytes};
use crate::settings::Settings;

/// Where the copy goes.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct SnapshotArguments {
    /// Make the copy here: a directory that is new or empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

const EXAMPLES: &str = "\
The copy holds every span that was acknowledged before the command began. Segments, which never change, become hard links: \
on the same file system it takes an instant, and room only for the log; they keep their room when the server drops the \
originals. On another file system everything is copied, and the command says so.

A running server is asked over its API, found through listening.json in the data directory. The copy is an ordinary \
data directory: check it, move it anywhere, start a server on it.

    longspan snapshot --data longspan-data --to /backup/monday
    longspan verify --data /backup/monday
    longspan --data /backup/monday                         restored

More: docs/operations.md.";

/// Copies, and says what the copy holds.
pub(crate) fn run(options: &Options, arguments: &SnapshotArguments) -> Result<()> {
    let settings = Settings::read(options)?;
    logging::start(&settings.options)?;
    let begin = Instant::now();
    let data = settings.server().data;
    let to = std::path::absolute(&arguments.to).context("the target is not a path")?;
    let copied = copy(&data, &to)?;
    let shared = match copied {
        Copied { segments: 0, .. } => "nothing is sealed yet".to_owned(),
        Copied { bytes_copied, bytes, .. } if bytes_copied < bytes => {
            format!("{} written, the rest is shared with the original", megabytes(bytes_copied))
        }
        _ => "all of it written: hard links do not reach there".to_owned(),
    };
    let text = format!(
        "{}: {} segments, {} files, {} ({shared}); {:.2} s\n",
        to.display(),
        grouped(copied.segments),
        grouped(copied.files),
        megabytes(copied.bytes),
        begin.elapsed().as_secs_f64()
    );
    stdout().write_all(text.as_bytes()).context("cannot print")
}

/// Copies a data directory at rest, or at work.
pub(crate) fn copy(data: &Path, to: &Path) -> Result<Copied> {
    match lock(&RealDisk, data) {
        Ok(_lock) => copy_here(data, to),
        Err(StoreError::Locked { .. }) => copy_at_work(data, to),
        Err(error) => Err(error.into()),
    }
}

fn copy_here(data: &Path, to: &Path) -> Result<Copied> {
    let data = data.canonicalize().with_context(|| format!("cannot read {}", data.display()))?;
    Ok(copy_directory(&RealDisk, &data, to)?)
}

/// Has the server make the copy, whose files they are. If it cannot be asked, the copy is made here, which is just as consistent.
fn copy_at_work(data: &Path, to: &Path) -> Result<Copied> {
    let Some(api) = listening_api(data) else { return copy_here(data, to) };
    let body = json!({ "directory": to.display().to_string() }).to_string();
    let url = format!("http://{api}/api/snapshots");
    let Ok(answer) = Client::new().post(&url, "application/json", body.as_bytes()) else {
        return copy_here(data, to);
    };
    match answer.status {
        201 => {
            let said = answer.json();
            let number = |name: &str| said[name].as_u64().unwrap_or_default();
            let (segments, files) = (number("segments"), number("files"));
            Ok(Copied { segments, files, bytes: number("bytes"), bytes_copied: number("bytes_copied") })
        }
        // Not over its API, or a server of before there were snapshots.
        403..=405 => copy_here(data, to),
        _ => bail!("the server made no snapshot: {}", answer.reason()),
    }
}

/// Where the server of a directory serves its API.
fn listening_api(data: &Path) -> Option<String> {
    let text = std::fs::read(data.join("listening.json")).ok()?;
    let listening: Value = serde_json::from_slice(&text).ok()?;
    listening["api"].as_str().map(str::to_owned)
}
