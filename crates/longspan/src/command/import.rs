//! `longspan import`: files of OTLP traces, sent to a running server.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use server::config::Listen;

use crate::client::base_url;
use crate::logging;
use crate::options::Options;
use crate::otlp_file::{Piece, read};
use crate::progress::{Progress, grouped, megabytes};
use crate::send::{Sender, Sent};
use crate::settings::Settings;

/// How long one request is tried before the import gives up.
const PATIENCE: Duration = Duration::from_mins(5);
/// What is taken from a directory.
const ENDINGS: [&str; 6] = ["jsonl", "json", "otlp", "pb", "proto", "bin"];

/// What is sent where.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ImportArguments {
    /// Files of OTLP traces, or directories with such files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Send to this OTLP/HTTP address [default: where --otlp-http says, http://127.0.0.1:4318]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

const EXAMPLES: &str = "\
Reads TracesData or ExportTraceServiceRequest as JSON (one object, or one a line) and as protobuf (one message, or \
messages with their lengths before them, as varints or as the Collector's file exporter writes them). What a file is \
written in is seen from its content. Sent again is what the server says may be sent again; spans that are there already are stored once, so \
an import that was broken off can simply be run again.

    longspan import traces
    longspan import spans-00001.jsonl dump.otlp --endpoint http://127.0.0.1:4318

The limits of docs/limits.md hold for imported spans too: those that started more than 30 days ago are kept and flagged, and \
a server drops days past its --retention-age.";

/// Sends everything, and says what became of it.
pub(crate) fn run(options: &Options, arguments: &ImportArguments) -> Result<()> {
    let settings = Settings::read(options)?;
    logging::start(&settings.options)?;
    let endpoint = match (&arguments.endpoint, settings.server().otlp_http) {
        (Some(url), _) => base_url(url)?,
        (None, Listen::At(address) | Listen::IfFree(address)) => format!("http://{address}"),
        (None, Listen::Off) => bail!("--otlp-http is off, so --endpoint has to say where to send"),
    };
    let files = files(&arguments.files)?;
    let length = |file: &PathBuf| file.metadata().map_or(0, |metadata| metadata.len());
    let mut import = Import {
        sender: Sender::new(&endpoint, PATIENCE),
        progress: Progress::new("imported"),
        bytes_before: 0,
        bytes_total: files.iter().map(length).sum(),
        requests: 0,
        rejected_spans: 0,
    };
    let begin = Instant::now();
    for file in &files {
        let read = read(file, &mut |piece| import.piece(file, &piece));
        import.progress.end();
        read?;
        import.bytes_before += length(file);
    }
    import.summary(files.len() as u64, begin.elapsed().as_secs_f64())
}

/// Files as they are named; of directories what looks like OTLP, in the order of names.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let is_otlp = |path: &PathBuf| path.extension().is_some_and(|end| ENDINGS.iter().any(|known| end == *known));
        let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_otlp).collect();
        if found.is_empty() {
            bail!("{} has no files that end in .{}", path.display(), ENDINGS.join(", ."));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

struct Import {
    sender: Sender,
    progress: Progress,
    bytes_before: u64,
    bytes_total: u64,
    requests: u64,
    rejected_spans: u64,
}

impl Import {
    fn piece(&mut self, file: &Path, piece: &Piece) -> Result<()> {
        self.resources(file, piece, 0..piece.resources.len())?;
        self.progress.tell(self.bytes_before + piece.end, self.bytes_total);
        Ok(())
    }

    fn resources(&mut self, file: &Path, piece: &Piece, range: std::ops::Range<usize>) -> Result<()> {
        let body = piece.body(range.clone());
        let place =
            || format!("{}, at most {} before byte {}", file.display(), megabytes(body.len() as u64), piece.end);
        match self.sender.send(piece.content_type(), &body).with_context(place)? {
            Sent::Stored { rejected_spans, reason } => {
                self.requests += 1;
                if rejected_spans > 0 {
                    eprintln!("longspan: {rejected_spans} spans were not taken: {reason} ({})", place());
                }
                self.rejected_spans += rejected_spans;
                Ok(())
            }
            Sent::TooLarge if range.len() > 1 => {
                let middle = range.start + range.len() / 2;
                self.resources(file, piece, range.start..middle)?;
                self.resources(file, piece, middle..range.end)
            }
            Sent::TooLarge => bail!(
                "{}: a resource with its spans has {}, more than the server takes at once; start it with a larger --max-body-bytes",
                place(),
                megabytes(body.len() as u64)
            ),
        }
    }

    fn summary(&self, files: u64, seconds: f64) -> Result<()> {
        let text = format!(
            "{} files, {}, {} requests, {} sent again, {} spans not taken; {seconds:.1} s, {:.0} MB/s\n",
            grouped(files),
            megabytes(self.bytes_total),
            grouped(self.requests),
            grouped(self.sender.retries),
            grouped(self.rejected_spans),
            self.bytes_total as f64 / 1e6 / seconds.max(1e-9)
        );
        stdout().write_all(text.as_bytes()).context("cannot print")?;
        if self.rejected_spans > 0 {
            bail!("{} spans were not taken, for the reasons above", self.rejected_spans);
        }
        Ok(())
    }
}
