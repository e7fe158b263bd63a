//! Unpacked pages that were used lately, bounded in bytes; one cache for all segments of a store.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::segment::page::Page;

/// A page: the segment's number and where the page begins in `spans.parquet`.
pub(crate) type PageKey = (u64, u64);

/// The cache of pages.
pub(crate) struct PageCache(Cache<PageKey, Arc<Page>, PageWeight>);

#[derive(Debug, Clone)]
struct PageWeight;

impl Weighter<PageKey, Arc<Page>> for PageWeight {
    fn weight(&self, _: &PageKey, page: &Arc<Page>) -> u64 {
        page.heap_bytes() as u64
    }
}

/// What a page weighs on average, to size the cache's tables.
const PAGE_BYTES_TYPICAL: u64 = 8 << 10;

impl PageCache {
    /// A cache of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        PageCache(Cache::with_weighter((bytes / PAGE_BYTES_TYPICAL) as usize, bytes, PageWeight))
    }

    /// The page of a key; read and kept if it is not there.
    pub(crate) fn get<E>(&self, key: PageKey, read: impl FnOnce() -> Result<Page, E>) -> Result<Arc<Page>, E> {
        if let Some(page) = self.0.get(&key) {
            return Ok(page);
        }
        let page = Arc::new(read()?);
        self.0.insert(key, Arc::clone(&page));
        Ok(page)
    }
}

impl std::fmt::Debug for PageCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageCache").field("bytes", &self.0.weight()).finish()
    }
}
