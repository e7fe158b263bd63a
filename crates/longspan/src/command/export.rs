//! `longspan export`: everything stored as files for other programs, whether or not a server works in the directory.
//!
//! What is exported is a copy taken at one instant ([`super::snapshot`]), opened and sealed beside the original and removed at the
//! end, so that neither the original nor a server in it notices anything.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use model::SpanBatch;
use server::admit::AdmitAgain;
use server::api::params::InstantParam;
use store::walk::SealedSegment;
use store::{ReadError, Snapshot, Store, StoreOptions};
use wire::otlp::{encode_json, encode_protobuf};

use super::snapshot::copy;
use crate::logging;
use crate::options::Options;
use crate::progress::{Progress, grouped, megabytes};
use crate::settings::{Origin, Settings};

/// A file is ended when it is larger than this.
const FILE_BYTES: u64 = 256 << 20;
/// A message is divided when it is larger than this, so that any server takes it.
const MESSAGE_BYTES: usize = 1 << 20;
/// Sealing what is in the log takes seconds.
const SEAL_MAX: Duration = Duration::from_mins(30);
const PARQUET: [&str; 2] = ["spans.parquet", "scopes.parquet"];

/// What is exported, and as what.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ExportArguments {
    /// Write into this directory, which is new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write files of this form
    #[arg(long, value_enum, default_value_t = Form::OtlpJson)]
    format: Form,
    /// Only spans that start then or later: RFC 3339 or Unix nanoseconds
    #[arg(long, value_name = "INSTANT")]
    start: Option<InstantParam>,
    /// Only spans that start earlier than this
    #[arg(long, value_name = "INSTANT")]
    end: Option<InstantParam>,
}

/// What the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// OTLP as JSON, one TracesData object a line: *.jsonl
    OtlpJson,
    /// OTLP as protobuf, TracesData messages with their lengths before them: *.otlp
    OtlpProtobuf,
    /// The sealed files as they are, for DuckDB, pandas and others: whole segments
    Parquet,
}

const EXAMPLES: &str = "\
OTLP files have every span once, in its last record, a trace together, in files of about 256 MB; `longspan import` and the \
OpenTelemetry Collector read them. Parquet files are those of the data directory, a span that was sent twice twice, and with \
--start or --end every segment that has a span of that time. docs/format.md says what is in them.

    longspan export --data longspan-data --out traces
    longspan export --data longspan-data --out traces --format otlp-protobuf --start 2026-11-20T00:00:00Z
    longspan import traces --endpoint http://127.0.0.1:4318

A server may be running in the directory. Until the export ends, a copy of hard links lies beside the data.";

/// Exports, and says what.
pub(crate) fn run(options: &Options, arguments: &ExportArguments) -> Result<()> {
    let mut settings = Settings::read(options)?;
    if settings.origin("log_level") == Origin::Default {
        settings.options.log_level = Some("warn".to_owned());
    }
    logging::start(&settings.options)?;
    let begin = Instant::now();
    let starts = arguments.start.map_or(0, |start| start.0)..arguments.end.map_or(u64::MAX, |end| end.0);
    if starts.is_empty() {
        bail!("--start is not before --end, so there is nothing to export");
    }
    let out = std::path::absolute(&arguments.out).context("the target is not a path")?;
    let is_taken = fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some()) || out.is_file();
    if is_taken {
        bail!("{} is taken: an export goes into a new or an empty directory", out.display());
    }
    let source = Source::take(&settings.server().data, &out)?;
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut done = match arguments.format {
        Form::Parquet => parquet(&source.snapshot, &out, &starts)?,
        form => otlp(&source.snapshot, &out, starts, form)?,
    };
    done.unreadable += source.unreadable;
    let text = format!(
        "{}: {} spans, {} files, {}; {:.1} s\n",
        out.display(),
        grouped(done.spans),
        grouped(done.files),
        megabytes(done.bytes),
        begin.elapsed().as_secs_f64()
    );
    stdout().write_all(text.as_bytes()).context("cannot print")?;
    match done.unreadable {
        0 => Ok(()),
        1 => bail!("1 place could not be read; everything else was exported"),
        many => bail!("{many} places could not be read; everything else was exported"),
    }
}

/// What was written.
#[derive(Debug, Default)]
struct Done {
    spans: u64,
    files: u64,
    bytes: u64,
    /// Places that could not be read.
    unreadable: u64,
}

/// A sealed copy of the data directory, which goes when this does.
struct Source {
    snapshot: Snapshot,
    /// Segments and requests that could not be opened.
    unreadable: u64,
    /// Closed before its directory is removed: fields go in order.
    _store: Store,
    _directory: Removed,
}

struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("longspan: {} could not be removed: {error}", self.0.display());
        }
    }
}

impl Source {
    /// Beside the data, where it takes no room; beside the target if that cannot be written to.
    fn take(data: &Path, out: &Path) -> Result<Source> {
        let name = format!("export-{}.tmp", std::process::id());
        let data = &std::path::absolute(data).context("the data directory is not a path")?;
        remove_leftovers(data);
        let near = data.join(&name);
        let far = out.with_file_name(&name);
        let directory = match copy(data, &near) {
            Ok(_) => near,
            Err(error) => match error.downcast_ref() {
                Some(store::StoreError::Unwritable { .. }) => {
                    copy(data, &far)?;
                    far
                }
                _ => return Err(error),
            },
        };
        let directory = Removed(directory);
        let store = Store::open(StoreOptions::new(&directory.0), &AdmitAgain::default())?;
        if !store.seal(SEAL_MAX) {
            bail!("what is in the log could not be sealed; the log above says why");
        }
        let unreadable = store.metrics().segments_quarantined.get() + store.metrics().wal_damaged_places.get();
        Ok(Source { snapshot: store.snapshot(), unreadable, _store: store, _directory: directory })
    }
}

/// Removes copies of exports that were killed. What cannot be removed does no harm.
fn remove_leftovers(data: &Path) {
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("export-").and_then(|rest| rest.split('.').next());
        let is_gone = |process: &str| process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists();
        if name.contains(".tmp") && process.is_some_and(is_gone) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

fn otlp(snapshot: &Snapshot, out: &Path, starts: std::ops::Range<u64>, form: Form) -> Result<Done> {
    let mut files = Files { out, form, current: None, done: Done::default() };
    let mut progress = Progress::new("exported");
    let mut told = BTreeSet::new();
    let unreadable = &mut |error: ReadError| {
        let what = error.to_string();
        if told.insert(what.clone()) {
            eprintln!("longspan: {what}");
        }
    };
    let walked = snapshot.each_span(starts, unreadable, &mut |piece| {
        files.write(&piece, 0..piece.len())?;
        progress.tell(files.done.bytes, 0);
        Ok::<(), anyhow::Error>(())
    });
    progress.end();
    walked?;
    files.end()?;
    files.done.unreadable += told.len() as u64;
    Ok(files.done)
}

/// Files of messages, one after the other.
struct Files<'a> {
    out: &'a Path,
    form: Form,
    current: Option<(BufWriter<File>, PathBuf, u64)>,
    done: Done,
}

impl Files<'_> {
    /// Writes rows of a batch as one message, or as several if one would be too large.
    fn write(&mut self, batch: &SpanBatch, rows: std::ops::Range<usize>) -> Result<()> {
        let spans = rows.clone().map(|row| batch.span(row));
        let message = match self.form {
            Form::OtlpProtobuf => encode_protobuf(spans),
            _ => encode_json(spans).into_bytes(),
        };
        if message.len() > MESSAGE_BYTES && rows.len() > 1 {
            let middle = rows.start + rows.len() / 2;
            self.write(batch, rows.start..middle)?;
            return self.write(batch, middle..rows.end);
        }
        self.done.spans += rows.len() as u64;
        self.message(&message)
    }

    fn message(&mut self, message: &[u8]) -> Result<()> {
        let (before, after) = match self.form {
            Form::OtlpProtobuf => (varint(message.len() as u64), &b""[..]),
            _ => (Vec::new(), &b"\n"[..]),
        };
        let (file, path, bytes) = self.file()?;
        for part in [&before, message, after] {
            file.write_all(part).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let written = (before.len() + message.len() + after.len()) as u64;
        *bytes += written;
        let is_full = *bytes >= FILE_BYTES;
        self.done.bytes += written;
        if is_full { self.end() } else { Ok(()) }
    }

    fn file(&mut self) -> Result<&mut (BufWriter<File>, PathBuf, u64)> {
        if self.current.is_none() {
            self.done.files += 1;
            let end = if self.form == Form::OtlpProtobuf { "otlp" } else { "jsonl" };
            let path = self.out.join(format!("spans-{:05}.{end}", self.done.files));
            let file = File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
            self.current = Some((BufWriter::with_capacity(1 << 20, file), path, 0));
        }
        Ok(self.current.as_mut().expect("it was just made"))
    }

    /// Ends the current file, durably.
    fn end(&mut self) -> Result<()> {
        let Some((mut file, path, _)) = self.current.take() else { return Ok(()) };
        let synced = file.flush().and_then(|()| file.get_ref().sync_all());
        synced.with_context(|| format!("cannot write {}", path.display()))
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Links or copies the Parquet files of segments that have a span of the range.
fn parquet(snapshot: &Snapshot, out: &Path, starts: &std::ops::Range<u64>) -> Result<Done> {
    let mut done = Done::default();
    let mut progress = Progress::new("exported");
    let is_wanted = |segment: &SealedSegment| segment.starts.0 < starts.end && segment.starts.1 >= starts.start;
    for segment in snapshot.sealed_segments().into_iter().filter(is_wanted) {
        let directory = out.join("days").join(&segment.day).join(format!("{:020}", segment.id));
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        for name in PARQUET {
            let (from, to) = (segment.directory.join(name), directory.join(name));
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
            }
            done.files += 1;
            done.bytes += to.metadata().map_or(0, |metadata| metadata.len());
            progress.tell(done.bytes, 0);
        }
        done.spans += segment.spans;
    }
    progress.end();
    Ok(done)
}
