//! Whether a segment still is what was written: checksums, pages, rows, and where the index says that traces lie.
//!
//! Part of [`crate::verify`]. Reads everything and believes nothing, not even what has a right checksum: that would find damage, but
//! not a mistake of the program that wrote it. Deliberately absent: mending; a segment never changes.

pub(crate) mod logs;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::text::hash_text;
use model::{SpanBatch, StatusCode, TraceId};
use parquet::file::metadata::ParquetMetaData;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::disk::{Disk, Located, read_file};
use crate::error::ReadError;
use crate::filenames;
use crate::options::{BLOCK_ROWS, FORMAT_VERSION};
use crate::segment::cache::PageCache;
use crate::segment::index::{Block, Index, Place, read_sections};
use crate::segment::meta::{FileMeta, SegmentMeta};
use crate::segment::page::{Page, Shape};
use crate::segment::parquet_file::{ParquetFile, chunk_shape, read_metadata};
use crate::segment::pieces::{self, checked};
use crate::segment::{META_BYTES_MAX, Segment};
use crate::snapshot::Projection;
use crate::verify::Finding;

/// Bytes hashed at a time.
const PIECE_BYTES: usize = 1 << 20;
/// A file that is damaged all over is told of so many times.
const FINDINGS_OF_FILE_MAX: usize = 8;
/// Dictionaries are needed again and again, data pages once.
const CACHE_BYTES: u64 = 16 << 20;

/// What was looked at in a segment, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) spans: u64,
    pub(crate) findings: Vec<Finding>,
}

/// Checks the segment `id` of `day`; `read` is told of bytes that were hashed.
pub(crate) fn check_segment(
    disk: &dyn Disk,
    data: &Path,
    (day, id): (&str, u64),
    read: &mut dyn FnMut(u64),
) -> Checked {
    let directory = filenames::segment_directory(data, day, id);
    let mut check = Check { disk, directory: &directory, out: Checked::default() };
    if let Some(meta) = check.meta(day, id) {
        read(check.out.bytes);
        for file in &meta.files {
            check.file(file, read);
        }
        // Rows of damaged files would only say the same again, in more words.
        if check.out.findings.is_empty() {
            check.contents();
        }
        check.strangers(&meta);
    }
    check.out
}

struct Check<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    out: Checked,
}

impl Check<'_> {
    fn damage(&mut self, path: &Path, offset: Option<u64>, what: impl Into<String>) {
        let damage = |finding: &&Finding| finding.path == path && finding.is_damage;
        let known = self.out.findings.iter().filter(damage).count();
        if known < FINDINGS_OF_FILE_MAX {
            self.out.findings.push(Finding::damage(path, offset, what));
        } else if known == FINDINGS_OF_FILE_MAX {
            self.out.findings.push(Finding::damage(path, None, "there is more damage in this file"));
        }
    }

    fn unreadable(&mut self, error: &ReadError) {
        match error {
            ReadError::Corrupt { path, reason } => self.damage(path, None, reason.clone()),
            ReadError::Io { path, source } => self.damage(path, None, format!("it cannot be read: {source}")),
        }
    }

    fn meta(&mut self, day: &str, id: u64) -> Option<SegmentMeta> {
        let path = self.directory.join(filenames::SEGMENT);
        let bytes = match read_file(self.disk, &path, META_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.damage(&path, None, format!("it cannot be read: {error}"));
                return None;
            }
        };
        (self.out.files, self.out.bytes) = (1, bytes.len() as u64);
        let meta = match SegmentMeta::from_bytes(&bytes) {
            Ok(meta) => meta,
            Err(reason) => {
                self.damage(&path, None, reason);
                return None;
            }
        };
        if meta.format == 0 || meta.format > FORMAT_VERSION {
            self.damage(&path, None, format!("this program does not know format {}", meta.format));
            return None;
        }
        if (meta.day.as_str(), meta.id) != (day, id) {
            self.damage(&path, None, format!("it describes segment {} of {}", meta.id, meta.day));
        }
        Some(meta)
    }

    /// Size and checksum of a file, then what is inside.
    fn file(&mut self, file: &FileMeta, read: &mut dyn FnMut(u64)) {
        let path = self.directory.join(&file.name);
        self.out.files += 1;
        match hash_file(self.disk, &path, read) {
            Ok((bytes, _)) if bytes != file.bytes => {
                self.out.bytes += bytes;
                self.damage(
                    &path,
                    Some(bytes.min(file.bytes)),
                    format!("{bytes} bytes long instead of {}", file.bytes),
                );
            }
            Ok((bytes, hash)) => {
                self.out.bytes += bytes;
                if format!("{hash:016x}") != file.xxh3 {
                    return self.damaged_pieces(&path, &file.name);
                }
            }
            Err(error) => return self.damage(&path, None, format!("it cannot be read: {error}")),
        }
        if file.name == filenames::INDEX {
            self.sections(&path);
        } else if file.name.ends_with(".parquet") {
            self.pages(&path);
        }
    }

    /// Says where a file is damaged, as far as that can be known.
    fn damaged_pieces(&mut self, path: &PathBuf, name: &str) {
        if name == filenames::INDEX {
            self.damage(path, None, "the file's checksum is wrong");
            return self.sections(path);
        }
        let index = self.directory.join(filenames::INDEX);
        let index = Located::open(self.disk, index)
            .ok()
            .and_then(|index| Index::open(index, 0, Arc::new(PageCache::new(0))).ok());
        let file = Located::open(self.disk, path.clone()).ok();
        let file = index.zip(file).and_then(|(index, file)| checked(file, index.pieces(name)));
        let mut places = Vec::new();
        if let Some(Located { file, .. }) = &file {
            let starts = (0..file.len()).step_by(pieces::PIECE_BYTES);
            let end = |start: u64| (start + pieces::PIECE_BYTES as u64).min(file.len());
            places.extend(starts.map(|start| start..end(start)).filter(|piece| {
                let mut bytes = vec![0; (piece.end - piece.start) as usize];
                file.read_exact_at(&mut bytes, piece.start).is_err()
            }));
        }
        if places.is_empty() {
            self.damage(path, None, "the file's checksum is wrong");
        }
        for piece in places {
            let what = format!("the {} bytes from here on have a wrong checksum", piece.end - piece.start);
            self.damage(path, Some(piece.start), what);
        }
    }

    fn strangers(&mut self, meta: &SegmentMeta) {
        for entry in self.disk.list(self.directory).unwrap_or_default() {
            let is_known = entry.name == filenames::SEGMENT || meta.files.iter().any(|file| file.name == entry.name);
            if !is_known {
                let path = self.directory.join(entry.name);
                self.out.findings.push(Finding::note(&path, None, "not a file of this segment"));
            }
        }
    }

    fn sections(&mut self, path: &PathBuf) {
        let sections = Located::open(self.disk, path.clone())
            .map_err(ReadError::io(path))
            .and_then(|file| read_sections(&file).map(|sections| (file, sections)));
        let (file, sections) = match sections {
            Ok(opened) => opened,
            Err(error) => return self.unreadable(&error),
        };
        for (number, section) in sections.iter().enumerate() {
            let mut bytes = vec![0; section.bytes as usize];
            let read = file.file.read_exact_at(&mut bytes, section.offset);
            if read.is_err() || xxh3_64(&bytes) != section.hash {
                let what = format!("section {} of the index has a wrong checksum", number + 1);
                self.damage(path, Some(section.offset), what);
            }
        }
    }

    /// Unpacks every page of every column.
    fn pages(&mut self, path: &Path) {
        let cache = Arc::new(PageCache::new(0));
        let opened = Located::open(self.disk, path.to_owned()).map_err(ReadError::io(path));
        let file = match opened.and_then(|file| ParquetFile::open(file, 0, cache)) {
            Ok(file) => file,
            Err(error) => return self.unreadable(&error),
        };
        let metadata = match read_metadata(&file.file) {
            Ok(metadata) => metadata,
            Err(error) => return self.unreadable(&error),
        };
        for (column, number, shape) in file.leaves() {
            for group in 0..metadata.num_row_groups() {
                if let Err((offset, damage)) = check_chunk(&file, &metadata, (group, number), shape) {
                    self.damage(path, Some(offset), format!("column {column}: {damage}"));
                }
            }
        }
    }

    /// Reads all rows and compares them with what the index says of them.
    fn contents(&mut self) {
        let cache = Arc::new(PageCache::new(CACHE_BYTES));
        let segment = match Segment::open(self.disk, self.directory, &cache) {
            Ok(segment) => segment,
            Err(error) => return self.unreadable(&error),
        };
        let index = self.directory.join(filenames::INDEX);
        let mut walk = TraceWalk::default();
        for number in 0..segment.index.blocks.len() {
            match segment.read_block(number, &Projection::all()) {
                Ok(batch) => {
                    self.out.spans += batch.len() as u64;
                    if let Err(what) = check_block(&segment.index.blocks[number], &batch) {
                        self.damage(&index, None, format!("block {number}: {what}"));
                    }
                    walk.block(&segment, (number * BLOCK_ROWS) as u32, &batch);
                    self.links(&segment, (number * BLOCK_ROWS) as u32, &batch);
                }
                Err(error) => self.unreadable(&error),
            }
        }
        walk.end_of_trace(&segment);
        let lost = walk.lost.iter().take(FINDINGS_OF_FILE_MAX).cloned().collect::<Vec<_>>();
        for what in lost {
            self.damage(&index, None, what);
        }
        if walk.traces != segment.meta.traces && self.out.spans == segment.meta.spans {
            let what = format!("{} traces instead of {}", walk.traces, segment.meta.traces);
            self.damage(&self.directory.join(filenames::SPANS), None, what);
        }
    }

    /// Looks up every link of some rows in the index; many may be to the same trace.
    fn links(&mut self, segment: &Segment, first_row: u32, batch: &SpanBatch) {
        let index = self.directory.join(filenames::INDEX);
        let mut known: HashMap<TraceId, HashSet<u32>> = HashMap::new();
        for (row, number) in (first_row..).zip(0..batch.len()) {
            for &id in &batch.links.trace_ids[batch.link_ranges.get(number)] {
                let rows = match known.entry(id) {
                    Entry::Occupied(rows) => rows.into_mut(),
                    Entry::Vacant(place) => match segment.index.link_rows(hash_text(&id.0)) {
                        Ok(found) => place.insert(found.iter().map(|place| place.row).collect()),
                        Err(error) => return self.unreadable(&error),
                    },
                };
                if !rows.contains(&row) {
                    self.damage(&index, None, format!("no link to trace {id} in row {row}"));
                }
            }
        }
    }
}

fn holds(places: &[Place], rows: &Range<u32>) -> bool {
    places.iter().any(|place| place.row == rows.start && place.row + place.rows == rows.end)
}

/// Length and hash of a whole file.
fn hash_file(disk: &dyn Disk, path: &Path, read: &mut dyn FnMut(u64)) -> io::Result<(u64, u64)> {
    let file = disk.open(path)?;
    let mut hash = Xxh3::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < file.len() {
        let bytes = (file.len() - at).min(PIECE_BYTES as u64);
        let piece = &mut piece[..bytes as usize];
        file.read_exact_at(piece, at)?;
        hash.update(piece);
        at += bytes;
        read(bytes);
    }
    Ok((at, hash.digest()))
}

type DamageAt = (u64, String);

/// Unpacks the pages of a column in a row group and counts their rows.
fn check_chunk(
    file: &ParquetFile,
    metadata: &ParquetMetaData,
    (group, column): (usize, usize),
    shape: Shape,
) -> Result<(), DamageAt> {
    let chunk = metadata.row_group(group).column(column);
    let shape = chunk_shape(shape, chunk.compression()).map_err(|reason| (0, reason))?;
    let index = metadata.page_index_for_row_group(group);
    let locations = index.page_locations(column).map_or(&[][..], Vec::as_slice);
    let rows = metadata.row_group(group).num_rows();
    let Some(first) = locations.first() else {
        return if rows == 0 { Ok(()) } else { Err((0, "no page index".to_owned())) };
    };
    let mut dictionary_values = 0;
    if let Some(offset) = chunk.dictionary_page_offset() {
        dictionary_values = page(file, offset, first.offset - offset, shape, true)?.rows;
    }
    for (number, place) in locations.iter().enumerate() {
        let page = page(file, place.offset, place.compressed_page_size.into(), shape, false)?;
        let end = locations.get(number + 1).map_or(rows, |next| next.first_row_index);
        let at = place.offset as u64;
        if place.first_row_index + page.rows as i64 != end {
            return Err((at, "a page has another number of rows than the page index says".to_owned()));
        }
        let mut beyond = false;
        let all = 0..page.rows;
        let numbers = page.numbers(std::slice::from_ref(&all), |number| beyond |= number as usize >= dictionary_values);
        if let Some(Err(damage)) = numbers {
            return Err((at, damage.to_owned()));
        }
        if beyond {
            return Err((at, "a value that the dictionary does not have".to_owned()));
        }
    }
    Ok(())
}

fn page(file: &ParquetFile, offset: i64, bytes: i64, shape: Shape, is_dictionary: bool) -> Result<Page, DamageAt> {
    let end = offset.checked_add(bytes).filter(|&end| offset >= 0 && bytes >= 0 && end as u64 <= file.file.file.len());
    let at = offset.max(0) as u64;
    if end.is_none() {
        return Err((at, "a page lies outside the file".to_owned()));
    }
    let mut buffer = vec![0; bytes as usize];
    file.file.file.read_exact_at(&mut buffer, at).map_err(|error| (at, error.to_string()))?;
    Page::new(&buffer, shape, is_dictionary).map_err(|damage| (at, damage.to_owned()))
}

fn check_block(said: &Block, batch: &SpanBatch) -> Result<(), &'static str> {
    let mut found = Block::default();
    for row in &batch.rows {
        let duration_ns = row.end_unix_nano.saturating_sub(row.start_unix_nano);
        found.add(row.start_unix_nano, duration_ns, StatusCode(row.status_code) == StatusCode::ERROR);
    }
    if (said.rows, said.errors) != (found.rows, found.errors) {
        return Err("other counts of spans or errors than its rows have");
    }
    let starts = |block: &Block| (block.start_min, block.start_max);
    let durations = |block: &Block| (block.duration_min, block.duration_max);
    let same = (starts(said), durations(said)) == (starts(&found), durations(&found));
    if same { Ok(()) } else { Err("other bounds of time than its rows have") }
}

/// Follows the traces of a segment from block to block.
#[derive(Debug, Default)]
struct TraceWalk {
    current: Option<(TraceId, Range<u32>)>,
    traces: u64,
    lost: Vec<String>,
}

impl TraceWalk {
    fn block(&mut self, segment: &Segment, first_row: u32, batch: &SpanBatch) {
        for (row, span) in (first_row..).zip(&batch.rows) {
            match &mut self.current {
                Some((id, range)) if *id == span.trace_id && range.end == row => range.end = row + 1,
                _ => {
                    self.end_of_trace(segment);
                    self.current = Some((span.trace_id, row..row + 1));
                }
            }
        }
    }

    fn end_of_trace(&mut self, segment: &Segment) {
        let Some((id, range)) = self.current.take() else { return };
        self.traces += 1;
        match segment.index.trace_rows(hash_text(&id.0)) {
            Ok(places) if holds(&places, &range) => {}
            Ok(_) => self.lost.push(format!("trace {id} does not lie where the index says")),
            Err(error) => self.lost.push(error.to_string()),
        }
    }
}
