//! A corpus as files, so that sending it costs the client little, and its manifest.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::shop::{Manifest, Shop, ShopOptions, TAIL_NS, move_in_time, renew_traces};

/// How long a corpus lasts.
pub(crate) const LENGTH_NS: u64 = 3_300_000_000_000 + TAIL_NS;

/// Requests on disk.
pub(crate) struct Corpus {
    directory: PathBuf,
    /// Spans of each request.
    pub(crate) request_spans: Vec<u32>,
    pub(crate) manifest: Manifest,
    /// No span starts before.
    pub(crate) begin_ns: u64,
    /// No span ends after.
    pub(crate) end_ns: u64,
}

impl Corpus {
    /// Makes `NNNNNN.pb` files, each an `ExportTraceServiceRequest`.
    pub(crate) fn make(directory: &Path, seed: u64, traces: u64, begin_ns: u64) -> Result<Corpus> {
        fs::create_dir_all(directory)?;
        let mut shop = Shop::new(ShopOptions::new(seed, traces, begin_ns));
        let mut request_spans = Vec::new();
        for (number, request) in shop.by_ref().enumerate() {
            fs::write(file(directory, number), &request.body)?;
            request_spans.push(request.spans);
        }
        let (directory, manifest) = (directory.to_owned(), shop.into_manifest());
        Ok(Corpus { directory, request_spans, manifest, begin_ns, end_ns: begin_ns + LENGTH_NS })
    }

    /// Reads request `number` into `body`; in a later pass as other traces, later by `pass_ns` each.
    pub(crate) fn read(&self, number: usize, pass: usize, pass_ns: u64, body: &mut Vec<u8>) -> Result<()> {
        let path = file(&self.directory, number);
        body.clear();
        let mut opened = fs::File::open(&path).with_context(|| path.display().to_string())?;
        opened.read_to_end(body)?;
        if pass > 0 {
            renew_traces(body, pass as u64);
            move_in_time(body, pass as u64 * pass_ns);
        }
        Ok(())
    }
}

fn file(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("{number:06}.pb"))
}
