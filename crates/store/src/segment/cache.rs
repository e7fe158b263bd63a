//! Unpacked pages and sections of indexes that were used lately, each bounded in bytes; one cache for all segments of a store.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::segment::page::Page;

/// A page: the segment's number and where the page begins in `spans.parquet`.
pub(crate) type PageKey = (u64, u64);

/// A section of an index: the segment's number and the section's kind.
pub(crate) type SectionKey = (u64, u32);

/// The cache of pages and sections.
pub(crate) struct PageCache {
    pages: Cache<PageKey, Arc<Page>, PageWeight>,
    sections: Cache<SectionKey, Arc<[u8]>, SectionWeight>,
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
/// For sections of a cache that is made for pages: those of one segment at a time.
const SECTION_BYTES_SMALL: u64 = 32 << 20;

impl PageCache {
    /// A cache of so many bytes of pages, for one segment at a time.
    pub(crate) fn new(bytes: u64) -> Self {
        PageCache::with_sections(bytes, SECTION_BYTES_SMALL)
    }

    /// A cache of so many bytes of pages and of sections.
    pub(crate) fn with_sections(page_bytes: u64, section_bytes: u64) -> Self {
        let pages = Cache::with_weighter((page_bytes / PAGE_BYTES_TYPICAL) as usize, page_bytes, PageWeight);
        let count = (section_bytes / SECTION_BYTES_TYPICAL) as usize;
        PageCache { pages, sections: Cache::with_weighter(count, section_bytes, SectionWeight) }
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
}

impl std::fmt::Debug for PageCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (pages, sections) = (self.pages.weight(), self.sections.weight());
        f.debug_struct("PageCache").field("page_bytes", &pages).field("section_bytes", &sections).finish()
    }
}
