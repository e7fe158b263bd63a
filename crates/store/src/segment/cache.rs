//! Unpacked pages, whole traces and sections of indexes that were used lately, each bounded in bytes; one cache for all segments of a
//! store.
//!
//! A trace takes some kilobytes, the pages that it is in take a third of a megabyte: traces that were found are kept as such, so that
//! opening one of them, or asking again, finds them though their pages have gone.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use model::SpanBatch;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::segment::page::Page;

/// A page: the segment's number and where the page begins in `spans.parquet`.
pub(crate) type PageKey = (u64, u64);

/// A trace: the segment's number and its first row.
pub(crate) type TraceKey = (u64, u64);

/// A section of an index: the segment's number and the section's kind.
pub(crate) type SectionKey = (u64, u32);

/// The cache of pages and sections.
pub(crate) struct PageCache {
    pages: Bounded<PageKey, Arc<Page>, PageWeight>,
    traces: Bounded<TraceKey, Arc<SpanBatch>, TraceWeight>,
    sections: Bounded<SectionKey, Arc<[u8]>, SectionWeight>,
}

type Bounded<K, V, W> = Cache<K, V, W, PlaceHashing>;

/// Keys are places that no sender chooses; hashing them against attacks took as long as finding them.
#[derive(Debug, Clone, Copy, Default)]
struct PlaceHashing;

impl BuildHasher for PlaceHashing {
    type Hasher = PlaceHasher;

    fn build_hasher(&self) -> PlaceHasher {
        PlaceHasher(0)
    }
}

#[derive(Debug)]
struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }

    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

#[derive(Debug, Clone)]
struct TraceWeight;

impl Weighter<TraceKey, Arc<SpanBatch>> for TraceWeight {
    fn weight(&self, _: &TraceKey, trace: &Arc<SpanBatch>) -> u64 {
        (trace.heap_bytes() + size_of::<SpanBatch>()) as u64
    }
}

#[derive(Debug, Clone)]
struct SectionWeight;

impl Weighter<SectionKey, Arc<[u8]>> for SectionWeight {
    fn weight(&self, _: &SectionKey, bytes: &Arc<[u8]>) -> u64 {
        bytes.len() as u64
    }
}

#[derive(Debug, Clone)]
struct PageWeight;

impl Weighter<PageKey, Arc<Page>> for PageWeight {
    fn weight(&self, _: &PageKey, page: &Arc<Page>) -> u64 {
        page.heap_bytes() as u64
    }
}

/// What a page weighs on average, to size the cache's tables.
const PAGE_BYTES_TYPICAL: u64 = 8 << 10;
/// What a section weighs on average.
const SECTION_BYTES_TYPICAL: u64 = 64 << 10;
/// What a trace weighs on average.
const TRACE_BYTES_TYPICAL: u64 = 8 << 10;
/// One in so many bytes for pages and traces is for traces.
const TRACES_SHARE: u64 = 6;
/// For sections of a cache that is made for pages: those of one segment at a time.
const SECTION_BYTES_SMALL: u64 = 32 << 20;

impl PageCache {
    /// A cache of so many bytes of pages, for one segment at a time.
    pub(crate) fn new(bytes: u64) -> Self {
        PageCache::with_sections(bytes, SECTION_BYTES_SMALL)
    }

    /// A cache of so many bytes of pages and traces, and of sections.
    pub(crate) fn with_sections(page_bytes: u64, section_bytes: u64) -> Self {
        let trace_bytes = page_bytes / TRACES_SHARE;
        PageCache {
            pages: bounded(page_bytes - trace_bytes, PAGE_BYTES_TYPICAL, PageWeight),
            traces: bounded(trace_bytes, TRACE_BYTES_TYPICAL, TraceWeight),
            sections: bounded(section_bytes, SECTION_BYTES_TYPICAL, SectionWeight),
        }
    }

    /// The section of a key; read and kept if it is not there.
    pub(crate) fn section<E>(
        &self,
        key: SectionKey,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Arc<[u8]>, E> {
        if let Some(bytes) = self.sections.get(&key) {
            return Ok(bytes);
        }
        let bytes: Arc<[u8]> = read()?.into();
        self.sections.insert(key, Arc::clone(&bytes));
        Ok(bytes)
    }

    /// The page of a key; read and kept if it is not there.
    pub(crate) fn get<E>(&self, key: PageKey, read: impl FnOnce() -> Result<Page, E>) -> Result<Arc<Page>, E> {
        if let Some(page) = self.pages.get(&key) {
            return Ok(page);
        }
        let page = Arc::new(read()?);
        self.pages.insert(key, Arc::clone(&page));
        Ok(page)
    }

    /// A trace that was read lately.
    pub(crate) fn trace(&self, key: TraceKey) -> Option<Arc<SpanBatch>> {
        self.traces.get(&key)
    }

    /// Keeps a trace that was read whole.
    pub(crate) fn keep_trace(&self, key: TraceKey, trace: Arc<SpanBatch>) {
        self.traces.insert(key, trace);
    }
}

fn bounded<K, V, W>(bytes: u64, typical_bytes: u64, weight: W) -> Bounded<K, V, W>
where
    K: Eq + std::hash::Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let count = ((bytes / typical_bytes) as usize).max(1);
    Cache::with(count, bytes, weight, PlaceHashing, DefaultLifecycle::default())
}

impl std::fmt::Debug for PageCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (pages, traces, sections) = (self.pages.weight(), self.traces.weight(), self.sections.weight());
        let mut out = f.debug_struct("PageCache");
        out.field("page_bytes", &pages).field("trace_bytes", &traces).field("section_bytes", &sections).finish()
    }
}
