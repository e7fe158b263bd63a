//! `index.bin`: where each trace lies, which blocks may hold a value, and what the segment has to offer for completion.
//!
//! ```text
//! magic "LSPANIDX" · version u32 · sections u32
//! then a section: kind u32 · 0 u32 · offset u64 · bytes u64 · xxh3 u64 of its bytes
//! xxh3 u64 of everything before · the sections' bytes
//! ```
//!
//! All numbers are little-endian. Sections: see [`SectionKind`]. The small ones are read when a segment is opened, the large
//! ones at their first use; each is checked against its hash when it is read.

use std::path::PathBuf;
use std::sync::Arc;

use model::Level;
use model::text::hash_text;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::{CATALOG_ENTRIES_MAX, Catalog};
use crate::disk::Located;
use crate::error::ReadError;
use crate::filenames;
use crate::segment::cache::PageCache;
use crate::segment::filter::{build_filter, filter_may_contain};
pub(crate) use crate::segment::row_table::Place;
use crate::segment::row_table::{Entry, RowTable, table_to_bytes};
use crate::snapshot::ServiceBounds;

const MAGIC: &[u8; 8] = b"LSPANIDX";
const VERSION: u32 = 2;
const SECTION_BYTES: usize = 32;
const SECTIONS_MAX: usize = 64;
const BLOCK_BYTES: usize = 56;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum SectionKind {
    /// A block: rows u32, errors u32, start min and max u64, duration min and max u64, filter offset u64 and bytes u64.
    Blocks = 1,
    /// The blocks' filters over `key = value` hashes, one behind the other.
    BlockFilters = 2,
    /// Rows by the hash of the trace id, with counts: [`crate::segment::row_table`].
    Traces = 3,
    /// A filter over the hashes of the trace ids.
    TraceFilter = 4,
    /// Rows that carry links by the hash of the trace id linked to, without counts: [`crate::segment::row_table`].
    LinkRows = 5,
    /// The catalog as JSON.
    Catalog = 6,
    /// For each block how many services it has u32, 0 u32, and for each: hash of its name u64, errors u32, 0 u32, start min and
    /// max u64, duration min and max u64; sorted. A count of `u32::MAX` is followed by nothing: too many to say.
    Services = 7,
    /// For each Parquet file: its number in [`PIECE_FILES`] u32, how many pieces it has u32, and the xxh3 u64 of each.
    Pieces = 8,
}

/// Bounds of a block of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Block {
    pub(crate) rows: u32,
    pub(crate) errors: u32,
    pub(crate) start_min: u64,
    pub(crate) start_max: u64,
    pub(crate) duration_min: u64,
    pub(crate) duration_max: u64,
    filter_offset: u64,
    filter_bytes: u64,
}

impl Block {
    /// Takes one more span into the bounds.
    pub(crate) fn add(&mut self, start_unix_nano: u64, duration_ns: u64, is_error: bool) {
        if self.rows == 0 {
            (self.start_min, self.duration_min) = (u64::MAX, u64::MAX);
        }
        self.rows += 1;
        self.errors += u32::from(is_error);
        self.start_min = self.start_min.min(start_unix_nano);
        self.start_max = self.start_max.max(start_unix_nano);
        self.duration_min = self.duration_min.min(duration_ns);
        self.duration_max = self.duration_max.max(duration_ns);
    }
}

/// Bounds of each service of a block, by the hash of its name, sorted.
pub(crate) type BlockServices = Vec<(u64, ServiceBounds)>;

/// A block with more services than this says nothing about each.
const BLOCK_SERVICES_MAX: usize = 512;
const SERVICE_BYTES: usize = 48;

/// The files whose pieces the index has hashes of, by their numbers.
pub(crate) const PIECE_FILES: [&str; 3] = [filenames::SPANS, filenames::SCOPES, filenames::LOGS];

/// Collects an index while a segment is written.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    blocks: Vec<Block>,
    filters: Vec<u8>,
    services: Vec<u8>,
    /// By the hash of the trace id.
    pub(crate) traces: Vec<Entry>,
    /// By the hash of the trace id linked to.
    pub(crate) links: Vec<Entry>,
}

impl IndexWriter {
    /// Ends a block whose rows have these `key = value` hashes.
    pub(crate) fn push_block(&mut self, mut block: Block, services: &BlockServices, pair_hashes: &mut Vec<u64>) {
        services_to_bytes(services, &mut self.services);
        let filter = build_filter(pair_hashes);
        block.filter_offset = self.filters.len() as u64;
        block.filter_bytes = filter.len() as u64;
        self.filters.extend_from_slice(&filter);
        self.blocks.push(block);
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The bytes of `index.bin`.
    /// `pieces` are the names of the files written before, with the hashes of their pieces.
    pub(crate) fn finish<'p>(
        mut self,
        catalog: &Catalog,
        pieces: impl Iterator<Item = (&'p str, &'p Vec<u64>)>,
    ) -> Vec<u8> {
        let mut hashes = self.traces.iter().map(|entry| entry.hash).collect();
        let sections = [
            (SectionKind::Blocks, blocks_to_bytes(&self.blocks)),
            (SectionKind::BlockFilters, self.filters),
            (SectionKind::Traces, table_to_bytes(&mut self.traces, true)),
            (SectionKind::TraceFilter, build_filter(&mut hashes)),
            (SectionKind::LinkRows, table_to_bytes(&mut self.links, false)),
            (SectionKind::Services, self.services),
            (SectionKind::Pieces, pieces_to_bytes(pieces)),
            (SectionKind::Catalog, serde_json::to_vec(catalog).expect("a catalog is always JSON")),
        ];
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(sections.len() as u32).to_le_bytes());
        let mut offset = (out.len() + sections.len() * SECTION_BYTES + 8) as u64;
        for (kind, bytes) in &sections {
            out.extend_from_slice(&u64::from(*kind as u32).to_le_bytes());
            for number in [offset, bytes.len() as u64, xxh3_64(bytes)] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            offset += bytes.len() as u64;
        }
        let head = xxh3_64(&out);
        out.extend_from_slice(&head.to_le_bytes());
        for (_, bytes) in sections {
            out.extend_from_slice(&bytes);
        }
        out
    }
}

fn blocks_to_bytes(blocks: &[Block]) -> Vec<u8> {
    let mut out = Vec::with_capacity(blocks.len() * BLOCK_BYTES);
    for block in blocks {
        out.extend_from_slice(&block.rows.to_le_bytes());
        out.extend_from_slice(&block.errors.to_le_bytes());
        let numbers = [
            block.start_min,
            block.start_max,
            block.duration_min,
            block.duration_max,
            block.filter_offset,
            block.filter_bytes,
        ];
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    out
}

fn services_to_bytes(services: &BlockServices, out: &mut Vec<u8>) {
    let too_many = services.len() > BLOCK_SERVICES_MAX;
    let count = if too_many { u32::MAX } else { services.len() as u32 };
    out.extend_from_slice(&u64::from(count).to_le_bytes());
    for (hash, bounds) in services.iter().take(if too_many { 0 } else { services.len() }) {
        out.extend_from_slice(&hash.to_le_bytes());
        out.extend_from_slice(&u64::from(bounds.errors).to_le_bytes());
        for number in [bounds.starts.0, bounds.starts.1, bounds.durations.0, bounds.durations.1] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn services_from_bytes(bytes: &[u8], blocks: usize) -> Option<Vec<Option<BlockServices>>> {
    let mut at = 0;
    let mut all = Vec::with_capacity(blocks);
    for _ in 0..blocks {
        let count = u32_at(bytes.get(at..at + 8)?, 0);
        at += 8;
        if count == u32::MAX {
            all.push(None);
            continue;
        }
        let end = at.checked_add((count as usize).checked_mul(SERVICE_BYTES)?)?;
        let service = |bytes: &[u8]| {
            let (starts, durations) = ((u64_at(bytes, 16), u64_at(bytes, 24)), (u64_at(bytes, 32), u64_at(bytes, 40)));
            (u64_at(bytes, 0), ServiceBounds { errors: u32_at(bytes, 8), starts, durations })
        };
        all.push(Some(bytes.get(at..end)?.chunks_exact(SERVICE_BYTES).map(service).collect()));
        at = end;
    }
    Some(all)
}

fn pieces_to_bytes<'p>(files: impl Iterator<Item = (&'p str, &'p Vec<u64>)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, hashes) in files {
        let number = PIECE_FILES.iter().position(|known| *known == name).expect("files with pieces are known");
        out.extend_from_slice(&(number as u32).to_le_bytes());
        out.extend_from_slice(&(hashes.len() as u32).to_le_bytes());
        for hash in hashes {
            out.extend_from_slice(&hash.to_le_bytes());
        }
    }
    out
}

fn pieces_from_bytes(bytes: &[u8]) -> Option<[Arc<[u64]>; PIECE_FILES.len()]> {
    let mut files: [Arc<[u64]>; PIECE_FILES.len()] = std::array::from_fn(|_| Arc::from([]));
    let mut at = 0;
    while at < bytes.len() {
        let head = bytes.get(at..at + 8)?;
        let end = (at + 8).checked_add((u32_at(head, 4) as usize).checked_mul(8)?)?;
        let hashes = bytes.get(at + 8..end)?.chunks_exact(8).map(|hash| u64_at(hash, 0)).collect();
        *files.get_mut(u32_at(head, 0) as usize)? = hashes;
        at = end;
    }
    Some(files)
}

/// An opened `index.bin`.
#[derive(Debug)]
pub(crate) struct Index {
    file: Located,
    sections: Vec<Section>,
    pub(crate) blocks: Vec<Block>,
    services: Vec<Option<BlockServices>>,
    pieces: [Arc<[u64]>; PIECE_FILES.len()],
    trace_filter: Vec<u8>,
    /// Hashes of the keys that attributes have, with their levels; sorted. None if the catalog has no room for all.
    keys: Option<Vec<u64>>,
    cache: Arc<PageCache>,
    /// The segment's number, for the cache.
    number: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    kind: u32,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) hash: u64,
}

impl Index {
    /// Reads the small sections; the large ones of segment `number` come and go in the cache.
    pub(crate) fn open(file: Located, number: u64, cache: Arc<PageCache>) -> Result<Index, ReadError> {
        let sections = read_sections(&file)?;
        let mut index = Index {
            file,
            sections,
            blocks: Vec::new(),
            services: Vec::new(),
            pieces: std::array::from_fn(|_| Arc::from([])),
            trace_filter: Vec::new(),
            keys: None,
            cache,
            number,
        };
        index.blocks = blocks_from_bytes(&index.section(SectionKind::Blocks)?);
        let services = index.section(SectionKind::Services)?;
        let services = services_from_bytes(&services, index.blocks.len());
        index.services = services.ok_or_else(|| ReadError::corrupt(index.path(), "the services do not add up"))?;
        let pieces = pieces_from_bytes(&index.section(SectionKind::Pieces)?);
        index.pieces = pieces.ok_or_else(|| ReadError::corrupt(index.path(), "the pieces do not add up"))?;
        index.trace_filter = index.section(SectionKind::TraceFilter)?;
        // Damage is to be found now, and what is sound is to be read when it is asked for.
        let catalog: Result<Catalog, _> = serde_json::from_slice(&index.section(SectionKind::Catalog)?);
        index.keys = keys_of(&catalog.map_err(|error| ReadError::corrupt(index.path(), error))?);
        Ok(index)
    }

    /// Whether an attribute may have a key at a level; false only if none has.
    pub(crate) fn may_have_key(&self, level: Level, key: &str) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.binary_search(&key_hash(level, key)).is_ok())
    }

    fn path(&self) -> PathBuf {
        self.file.path.clone()
    }

    fn section(&self, kind: SectionKind) -> Result<Vec<u8>, ReadError> {
        let section = self.sections.iter().find(|section| section.kind == kind as u32);
        let section = section.ok_or_else(|| ReadError::corrupt(self.path(), format!("no section {kind:?}")))?;
        let mut bytes = vec![0; section.bytes as usize];
        self.file.file.read_exact_at(&mut bytes, section.offset).map_err(ReadError::io(&self.file.path))?;
        if xxh3_64(&bytes) != section.hash {
            return Err(ReadError::corrupt(self.path(), format!("section {kind:?} has a wrong checksum")));
        }
        Ok(bytes)
    }

    /// A large section; kept as long as it is used.
    fn cached(&self, kind: SectionKind) -> Result<Arc<[u8]>, ReadError> {
        self.cache.section((self.number, kind as u32), || self.section(kind))
    }

    fn table(&self, kind: SectionKind) -> Result<RowTable, ReadError> {
        let table = RowTable::new(self.cached(kind)?);
        table.ok_or_else(|| ReadError::corrupt(self.path(), format!("section {kind:?} does not add up")))
    }

    /// What the segment has to offer for completion.
    pub(crate) fn catalog(&self) -> Result<Catalog, ReadError> {
        // Read once for the sum of all, see [`crate::catalog::SealedCatalog`].
        let catalog = self.section(SectionKind::Catalog)?;
        serde_json::from_slice(&catalog).map_err(|error| ReadError::corrupt(self.path(), error))
    }

    /// The hashes of the pieces of a file.
    pub(crate) fn pieces(&self, name: &str) -> Arc<[u64]> {
        let number = PIECE_FILES.iter().position(|known| *known == name).expect("files with pieces are known");
        Arc::clone(&self.pieces[number])
    }

    /// Bounds of the rows of block `number`, or of a service's there; `None` if it has none.
    pub(crate) fn bounds(&self, number: usize, service: Option<&str>) -> Option<ServiceBounds> {
        let block = &self.blocks[number];
        let (Some(service), Some(services)) = (service, &self.services[number]) else {
            let (starts, durations) = ((block.start_min, block.start_max), (block.duration_min, block.duration_max));
            return Some(ServiceBounds { errors: block.errors, starts, durations });
        };
        let hash = hash_text(service.as_bytes());
        let place = services.binary_search_by_key(&hash, |(service, _)| *service).ok()?;
        Some(services[place].1)
    }

    /// Whether rows of block `number` may have a `key = value` of this hash.
    pub(crate) fn block_may_contain(&self, number: usize, pair_hash: u64) -> Result<bool, ReadError> {
        let filters = self.cached(SectionKind::BlockFilters)?;
        let block = &self.blocks[number];
        let range = block.filter_offset as usize..(block.filter_offset + block.filter_bytes) as usize;
        let filter = filters.get(range).ok_or_else(|| ReadError::corrupt(self.path(), "a filter lies outside"))?;
        Ok(filter_may_contain(filter, pair_hash))
    }

    /// Rows that may be of the trace whose id has this hash.
    pub(crate) fn trace_rows(&self, id_hash: u64) -> Result<Vec<Place>, ReadError> {
        if !filter_may_contain(&self.trace_filter, id_hash) {
            return Ok(Vec::new());
        }
        Ok(self.table(SectionKind::Traces)?.find(id_hash))
    }

    /// Rows that may carry a link to the trace whose id has this hash.
    pub(crate) fn link_rows(&self, id_hash: u64) -> Result<Vec<Place>, ReadError> {
        Ok(self.table(SectionKind::LinkRows)?.find(id_hash))
    }
}

/// The keys of a catalog, if it has all there are.
fn keys_of(catalog: &Catalog) -> Option<Vec<u64>> {
    if catalog.keys.len() >= CATALOG_ENTRIES_MAX {
        return None;
    }
    let mut keys: Vec<u64> = catalog.keys.keys().map(|key| key_hash(key.level, &key.key)).collect();
    keys.sort_unstable();
    keys.dedup();
    Some(keys)
}

fn key_hash(level: Level, key: &str) -> u64 {
    hash_text(key.as_bytes()).wrapping_add(level as u64)
}

pub(super) fn read_sections(file: &Located) -> Result<Vec<Section>, ReadError> {
    let corrupt = |reason: &str| ReadError::corrupt(&file.path, reason);
    let read = |bytes: &mut [u8], offset| file.file.read_exact_at(bytes, offset).map_err(ReadError::io(&file.path));
    let mut head = vec![0; 16];
    if file.file.len() < 24 {
        return Err(corrupt("too short"));
    }
    read(&mut head, 0)?;
    if &head[..8] != MAGIC || u32_at(&head, 8) != VERSION {
        return Err(corrupt("not an index of this version"));
    }
    let count = u32_at(&head, 12) as usize;
    let bytes = 16 + count.min(SECTIONS_MAX) * SECTION_BYTES;
    if count > SECTIONS_MAX || file.file.len() < bytes as u64 + 8 {
        return Err(corrupt("too many sections"));
    }
    head.resize(bytes + 8, 0);
    read(&mut head, 0)?;
    if u64_at(&head, bytes) != xxh3_64(&head[..bytes]) {
        return Err(corrupt("the list of sections has a wrong checksum"));
    }
    let section = |at: usize| Section {
        kind: u32_at(&head, at),
        offset: u64_at(&head, at + 8),
        bytes: u64_at(&head, at + 16),
        hash: u64_at(&head, at + 24),
    };
    let sections: Vec<_> = (0..count).map(|number| section(16 + number * SECTION_BYTES)).collect();
    let inside =
        |section: &Section| section.offset.checked_add(section.bytes).is_some_and(|end| end <= file.file.len());
    if sections.iter().all(inside) { Ok(sections) } else { Err(corrupt("a section lies outside the file")) }
}

fn blocks_from_bytes(bytes: &[u8]) -> Vec<Block> {
    let block = |bytes: &[u8]| Block {
        rows: u32_at(bytes, 0),
        errors: u32_at(bytes, 4),
        start_min: u64_at(bytes, 8),
        start_max: u64_at(bytes, 16),
        duration_min: u64_at(bytes, 24),
        duration_max: u64_at(bytes, 32),
        filter_offset: u64_at(bytes, 40),
        filter_bytes: u64_at(bytes, 48),
    };
    bytes.chunks_exact(BLOCK_BYTES).map(block).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
