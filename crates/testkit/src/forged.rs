//! A data directory with one file whose bytes are wrong and whose checksums are right: what readers of files must survive.
//!
//! Checksums keep damage away from the code behind them, so that flipping bits never gets there; here they are made again after a file
//! was changed, as somebody who wants to do harm would, or a writer with a fault. Nothing is said about the answers: whoever asks must get
//! one, or an error, without a panic, a standstill or memory without bound.
//!
//! Not here: what an honest disk does to files; see [`crate::disk`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use model::{SpanBatch, StatusCode};
use serde_json::Value as Json;
use store::disk::Disk;
use store::verify::{Verify, verify};
use store::{Intrinsic, Projection, Replay, Request, Selection, Store, StoreOptions, intrinsic_pair_hash};
use xxhash_rust::xxh3::xxh3_64;

use crate::disk::SimDisk;
use crate::rng::Rng;
use crate::spans::{Shape, random_batch, trace_id};

const DATA: &str = "/data";
const LONG: Duration = Duration::from_mins(1);
/// Spans of the segment, and of the log: pages of each kind, in little time.
const SEALED: usize = 300;
const LOGGED: u64 = 6;
const PIECE_BYTES: usize = 8 << 10;
const PIECES_SECTION: u32 = 8;
const PARQUET_FILES: [&str; 2] = ["spans.parquet", "scopes.parquet"];

/// The files that can be changed.
pub const FILES: [&str; 6] = ["spans.parquet", "scopes.parquet", "index.bin", "segment.json", "manifest.json", "wal"];

/// "Decodes" a body that is a seed.
struct Seeded;

impl Replay for Seeded {
    fn decode(&self, _: u8, _: u64, body: &[u8]) -> Result<SpanBatch, String> {
        let seed: [u8; 8] = body.try_into().map_err(|_| "not eight bytes".to_owned())?;
        Ok(batch(u64::from_le_bytes(seed), 20))
    }
}

fn batch(seed: u64, spans: usize) -> SpanBatch {
    let shape = Shape { traces: 12, range_ns: 60_000_000_000, ..Shape::default() };
    random_batch(&mut Rng::new(seed), &shape, spans)
}

/// An intact directory, to be changed again and again.
#[derive(Debug)]
pub struct Forged {
    disk: SimDisk,
    files: BTreeMap<&'static str, (PathBuf, Vec<u8>)>,
}

impl Default for Forged {
    fn default() -> Self {
        Forged::new()
    }
}

impl Forged {
    /// Makes a directory with a segment and a log.
    pub fn new() -> Self {
        let disk = SimDisk::new(1);
        let store = open(&disk).expect("an empty directory opens");
        append(&store, 1, batch(1, SEALED));
        assert!(store.seal(LONG), "a memtable on a sound disk is sealed");
        (2..2 + LOGGED).for_each(|seed| append(&store, seed, batch(seed, 20)));
        drop(store);
        let named = |name: &'static str| {
            let is_it = |path: &PathBuf| path.ends_with(name) || path.extension().is_some_and(|end| end == name);
            let path = disk.files().into_iter().map(|(path, _)| path).filter(is_it).max();
            let path = path.expect("every file of FILES is in a directory with a segment and a log");
            let bytes = disk.contents(&path).expect("a file that is listed can be read");
            (name, (path, bytes))
        };
        let files = FILES.into_iter().map(named).collect();
        Forged { disk, files }
    }

    /// The intact bytes of one of [`FILES`].
    pub fn bytes(&self, file: &str) -> &[u8] {
        &self.files[file].1
    }

    /// Puts other bytes in the place of a file, makes all checksums right again, and asks the store everything.
    pub fn check(&self, file: &str, bytes: &[u8]) {
        let disk = self.disk.copy();
        let put = |name: &str, bytes: &[u8]| disk.put(&self.files[name].0, bytes).expect("a sound disk is written to");
        match file {
            "wal" => put(file, &with_log_checksums(bytes)),
            "manifest.json" => put(file, &with_line_checksum(bytes)),
            "segment.json" => put(file, &with_last_checksum(bytes)),
            "index.bin" => {
                let index = with_section_checksums(bytes);
                put("segment.json", &self.described(&[(file, &index)]));
                put(file, &index);
            }
            _ => {
                let index = self.index_with(file, bytes);
                put("segment.json", &self.described(&[(file, bytes), ("index.bin", &index)]));
                put("index.bin", &index);
                put(file, bytes);
            }
        }
        let progress = &mut |_| {};
        let data = Path::new(DATA);
        drop(verify(Verify { disk: &disk, data, replay: &Seeded, while_running: false, progress }));
        if let Ok(store) = open(&disk) {
            ask(&store);
        }
    }

    /// `segment.json` for changed files.
    fn described(&self, changed: &[(&str, &[u8])]) -> Vec<u8> {
        let mut meta: Json = serde_json::from_slice(self.bytes("segment.json")).expect("the intact file is JSON");
        for file in meta["files"].as_array_mut().expect("a segment lists its files") {
            if let Some((_, bytes)) = changed.iter().find(|(name, _)| file["name"] == *name) {
                file["bytes"] = bytes.len().into();
                file["xxh3"] = format!("{:016x}", xxh3_64(bytes)).into();
            }
        }
        meta.as_object_mut().expect("it is an object").remove("xxh3");
        let text = serde_json::to_string_pretty(&meta).expect("it was JSON");
        let head = text.strip_suffix("\n}").expect("a pretty object ends so");
        with_last_checksum(format!("{head}{LAST}{:016x}\"\n}}", 0).as_bytes())
    }

    /// `index.bin` with the hashes of a changed file's pieces.
    fn index_with(&self, changed: &str, bytes: &[u8]) -> Vec<u8> {
        let index = self.bytes("index.bin");
        let mut sections: Vec<(u32, Vec<u8>)> = Vec::new();
        for (kind, place) in sections_of(index).expect("the intact index adds up") {
            let made = if kind == PIECES_SECTION { self.pieces_with(changed, bytes) } else { index[place].to_vec() };
            sections.push((kind, made));
        }
        let head = 16 + 32 * sections.len() + 8;
        let mut out = index[..12].to_vec();
        out.extend((sections.len() as u32).to_le_bytes());
        let mut offset = head as u64;
        for (kind, bytes) in &sections {
            out.extend(u64::from(*kind).to_le_bytes());
            out.extend([offset, bytes.len() as u64, 0].iter().flat_map(|number| number.to_le_bytes()));
            offset += bytes.len() as u64;
        }
        out.extend([0; 8]);
        for (_, bytes) in &sections {
            out.extend(bytes);
        }
        with_section_checksums(&out)
    }

    fn pieces_with(&self, changed: &str, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, name) in (0u32..).zip(PARQUET_FILES) {
            let bytes = if name == changed { bytes } else { self.bytes(name) };
            let hashes: Vec<u64> = bytes.chunks(PIECE_BYTES).map(xxh3_64).collect();
            out.extend(number.to_le_bytes());
            out.extend((hashes.len() as u32).to_le_bytes());
            out.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
        }
        out
    }
}

/// What comes before the checksum of `segment.json`.
const LAST: &str = ",\n  \"xxh3\": \"";

fn with_last_checksum(bytes: &[u8]) -> Vec<u8> {
    let place = bytes.windows(LAST.len()).rposition(|window| window == LAST.as_bytes());
    let Some(head) = place.map(|place| &bytes[..place]) else { return bytes.to_vec() };
    [head, format!("{LAST}{:016x}\"\n}}", xxh3_64(head)).as_bytes()].concat()
}

fn with_line_checksum(bytes: &[u8]) -> Vec<u8> {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    [line, format!("\n{:016x}\n", xxh3_64(line)).as_bytes()].concat()
}

/// Kind and place of each section of an index; `None` if the list does not lie within it.
fn sections_of(index: &[u8]) -> Option<Vec<(u32, std::ops::Range<usize>)>> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(index.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(index.get(at..at + 8)?.try_into().ok()?) as usize);
    let count = u32_at(12).filter(|&count| count < 1000)? as usize;
    let section = |at: usize| {
        let (offset, bytes) = (u64_at(at + 8)?, u64_at(at + 16)?);
        Some((u32_at(at)?, offset..offset.saturating_add(bytes)))
    };
    (0..count).map(|number| section(16 + 32 * number)).collect()
}

fn with_section_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut index = bytes.to_vec();
    let Some(sections) = sections_of(bytes) else { return index };
    let head = 16 + 32 * sections.len();
    if index.len() < head + 8 {
        return index;
    }
    for (number, (_, place)) in sections.into_iter().enumerate() {
        let hash = xxh3_64(index.get(place).unwrap_or_default());
        index[16 + 32 * number + 24..][..8].copy_from_slice(&hash.to_le_bytes());
    }
    let hash = xxh3_64(&index[..head]);
    index[head..head + 8].copy_from_slice(&hash.to_le_bytes());
    index
}

/// Bytes of the head of a log file and of a record.
const LOG_HEAD: usize = 32;

fn with_log_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut log = bytes.to_vec();
    if log.len() < LOG_HEAD {
        return log;
    }
    let salt: [u8; 4] = log[24..28].try_into().expect("four bytes");
    put_crc(&mut log, 28, |log| crc32fast::hash(&log[..28]));
    let mut at = LOG_HEAD;
    while let Some(found) = log[at..].windows(4).position(|window| window == b"LREC") {
        let start = at + found;
        at = start + 4;
        let Some(stored) = log.get(start + 4..start + 8) else { break };
        let stored = u32::from_le_bytes(stored.try_into().expect("four bytes")) as usize;
        let Some(end) = (start + LOG_HEAD).checked_add(stored).filter(|&end| end <= log.len()) else { continue };
        put_crc(&mut log, start + 24, |log| crc32fast::hash(&log[start + LOG_HEAD..end]));
        put_crc(&mut log, start + 28, |log| crc32fast::hash(&[&salt[..], &log[start..start + 28]].concat()));
        at = end;
    }
    log
}

fn put_crc(log: &mut [u8], at: usize, crc: impl FnOnce(&[u8]) -> u32) {
    let crc = crc(log);
    log[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

fn open(disk: &SimDisk) -> Result<Store, store::StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open(StoreOptions { disk, merge_segments_min: 0, ..StoreOptions::new(DATA) }, &Seeded)
}

fn append(store: &Store, seed: u64, batch: SpanBatch) {
    let (send, receive) = mpsc::channel();
    let body = seed.to_le_bytes().to_vec().into();
    let request = Request { format: 1, received_unix_nano: 99, body, batch };
    store.append(request, Box::new(move |stored| drop(send.send(stored))));
    receive.recv_timeout(LONG).expect("every append is answered").expect("a sound disk takes it");
}

/// Asks in every way there is.
fn ask(store: &Store) {
    let snapshot = store.snapshot();
    for id in (0..12).map(trace_id) {
        drop(snapshot.trace(id));
        drop(snapshot.incoming_links(id));
    }
    let attribute = Some(("order.id".to_owned(), "5".to_owned()));
    let name = Some("GET".to_owned());
    let selections = [
        Selection { attribute, ..Selection::default() },
        Selection { name, status: Some(StatusCode::ERROR.0), kind: Some(2), ..Selection::default() },
        Selection { service: Some("order".to_owned()), durations: 1..=u64::MAX, ..Selection::default() },
    ];
    for part in snapshot.parts() {
        let _ = (part.start_bounds(), part.duration_bounds(), part.service_bounds("order"), part.span_count());
        drop(part.may_contain(intrinsic_pair_hash(Intrinsic::Name, "GET")));
        drop(part.read(&Projection::all()));
        for selection in &selections {
            drop(part.read_some(&Projection::all(), selection));
        }
    }
    drop(snapshot.catalog());
    let walked: Result<(), ()> = snapshot.each_span(0..u64::MAX, &mut |_| {}, &mut |_| Ok(()));
    walked.expect("nobody stops it");
}

/// Changes some bytes as a fuzzer would: bits, bytes, numbers at their ends, pieces cut out, doubled or zeroed.
pub fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len().max(1) as u64) as usize;
        let length = (1 + rng.below(32) as usize).min(bytes.len().saturating_sub(at));
        if length == 0 {
            bytes.push(rng.next_u64() as u8);
            continue;
        }
        match rng.below(7) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.next_u64() as u8,
            2 => bytes[at..at + length].fill(if rng.below(2) == 0 { 0 } else { u8::MAX }),
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let piece = bytes[at..at + length].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let from = rng.below((bytes.len() - length + 1) as u64) as usize;
                bytes.copy_within(from..from + length, at);
            }
            _ => bytes.truncate(if rng.below(8) == 0 { at } else { bytes.len() - 1 }),
        }
    }
}
