//! Step *compact*: small segments of a day become one.
//!
//! | file | what |
//! |---|---|
//! | [`plan`] | which segments are worth it |
//! | [`handover`] | what goes from the sealing thread to the merging thread and back |
//! | [`merge`] | the merging thread |
//!
//! This file is the sealing thread's side: it begins merges and publishes what they made. Order: the merged segment in place and
//! synced → the manifest names it instead of those it was made of → readers see it instead → their directories are removed.
//! A crash before the manifest leaves a segment that is not named, one after it leaves those that are not any more; both are
//! removed at the next start. The merged segment names those it was made of, so that they do not come back with a lost
//! manifest. Deliberately absent: merging what is large already, and dropping what is old ([`crate::seal`]).

pub(crate) mod handover;
pub(crate) mod merge;
pub(crate) mod plan;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::compact::handover::{Handover, Job};
use crate::compact::merge::MergeError;
use crate::compact::plan::{Plan, Policy, next_merge};
use crate::error::{ReadError, StoreError};
use crate::filenames;
use crate::manifest::{Manifest, SegmentEntry};
use crate::metrics::Metrics;
use crate::options::StoreOptions;
use crate::seal::remove_directory_if_there;
use crate::segment::Segment;
use crate::tables::Tables;

/// How long it waits after a merge that has failed; doubled each time, up to [`RETRY_INTERVAL_MAX`].
const RETRY_INTERVAL_MIN: Duration = Duration::from_millis(20);
const RETRY_INTERVAL_MAX: Duration = Duration::from_mins(1);

/// What the sealing thread knows of merging.
#[derive(Debug)]
pub(crate) struct Compactor {
    options: StoreOptions,
    tables: Arc<Tables>,
    metrics: Arc<Metrics>,
    handover: Arc<Handover>,
    /// The merge under way.
    running: Option<Plan>,
    /// One that is finished and not in the manifest yet.
    finished: Option<(Plan, Option<Arc<Segment>>)>,
    /// Segments that cannot be merged because they, or a newer one, cannot be read.
    avoided: BTreeSet<u64>,
    /// Directories of segments that are not live any more.
    remains: Vec<PathBuf>,
    not_before: Option<Instant>,
    retry_interval: Duration,
}

impl Compactor {
    pub(crate) fn new(options: StoreOptions, tables: Arc<Tables>, metrics: Arc<Metrics>) -> Self {
        Compactor {
            options,
            tables,
            metrics,
            handover: Arc::default(),
            running: None,
            finished: None,
            avoided: BTreeSet::new(),
            remains: Vec::new(),
            not_before: None,
            retry_interval: RETRY_INTERVAL_MIN,
        }
    }

    /// Where the merging thread finds what to do.
    pub(crate) fn handover(&self) -> Arc<Handover> {
        Arc::clone(&self.handover)
    }

    /// Publishes a merge that is done, tidies up behind it, and begins the next one.
    /// `may_begin` says that every segment that was written is live: what is merged gets a higher number than all of them.
    pub(crate) fn step(&mut self, manifest: &mut Manifest, may_begin: bool) {
        self.remove_remains();
        // What has passed is not to be waited for again.
        self.not_before = self.not_before.filter(|&instant| Instant::now() < instant);
        if let Some(outcome) = self.handover.take_outcome() {
            let plan = self.running.take().expect("what comes back was begun");
            match outcome {
                Ok(merged) => self.finished = Some((plan, merged)),
                Err(error) => self.failed(&plan, &error, manifest),
            }
        }
        if let Some((plan, merged)) = self.finished.take() {
            if !is_live(&plan, manifest) {
                self.discard(merged.as_ref());
            } else if let Err(error) = self.publish(&plan, merged.as_ref(), manifest) {
                self.metrics.merge_errors.add(1);
                tracing::error!(%error, "merged segments cannot be published; trying again");
                self.finished = Some((plan, merged));
            }
        }
        if may_begin && self.is_at_rest() && !self.tables.stopping() {
            self.begin(manifest);
        }
    }

    /// When to look again at the latest, if nothing happens before.
    pub(crate) fn look_again(&self) -> Option<Duration> {
        self.not_before.map(|instant| instant.saturating_duration_since(Instant::now()))
    }

    fn is_at_rest(&self) -> bool {
        let waits = self.not_before.is_some();
        self.running.is_none() && self.finished.is_none() && self.remains.is_empty() && !waits
    }

    fn begin(&mut self, manifest: &mut Manifest) {
        if self.options.merge_segments_min == 0 {
            return;
        }
        let bytes_max = self.options.memtable_bytes_max as u64;
        let policy = Policy { segments_min: self.options.merge_segments_min, bytes_max };
        if let Some(plan) = next_merge(&self.tables.live().segments, policy, &self.avoided) {
            let id = manifest.next_segment_id;
            manifest.next_segment_id += 1;
            self.running = Some(plan.clone());
            self.handover.give_job(Job { id, plan });
            self.tables.notify();
        }
    }

    fn failed(&mut self, plan: &Plan, error: &MergeError, manifest: &Manifest) {
        // A day that was dropped meanwhile is no failure.
        if matches!(error, MergeError::Stopped) || !is_live(plan, manifest) {
            return;
        }
        self.metrics.merge_errors.add(1);
        if let MergeError::Read { id, error: ReadError::Corrupt { .. }, .. } = error {
            tracing::error!(%error, "a segment is damaged; it is not merged, and served as far as it can be read");
            if plan.inputs.iter().any(|input| input.meta.id == *id) {
                self.avoided.insert(*id);
            } else {
                self.avoided.extend(plan.inputs.iter().map(|input| input.meta.id));
            }
        } else {
            tracing::warn!(%error, "segments could not be merged; they stay as they are, trying again");
        }
        self.not_before = Some(Instant::now() + self.retry_interval);
        self.retry_interval = (2 * self.retry_interval).min(RETRY_INTERVAL_MAX);
    }

    /// Puts the merged segment in the place of those it was made of.
    fn publish(
        &mut self,
        plan: &Plan,
        merged: Option<&Arc<Segment>>,
        manifest: &mut Manifest,
    ) -> Result<(), StoreError> {
        let is_input = |id: u64| plan.inputs.iter().any(|input| input.meta.id == id);
        let mut next = manifest.clone();
        next.segments.retain(|entry| !is_input(entry.id));
        let entry = |segment: &Arc<Segment>| SegmentEntry { id: segment.meta.id, day: segment.meta.day.clone() };
        next.segments.extend(merged.map(entry));
        let data = &self.options.directory;
        next.save(&*self.options.disk, data).map_err(StoreError::io(data.join(filenames::MANIFEST)))?;
        *manifest = next;
        let mut segments = self.tables.live().segments.to_vec();
        segments.retain(|segment| !is_input(segment.meta.id));
        segments.extend(merged.cloned());
        segments.sort_by_key(|segment| (segment.meta.wal_last, segment.meta.id));
        self.tables.set_segments(segments);
        self.count(plan, merged);
        (self.not_before, self.retry_interval) = (None, RETRY_INTERVAL_MIN);
        self.remains.extend(plan.inputs.iter().map(|input| input.directory.clone()));
        self.remove_remains();
        Ok(())
    }

    fn count(&self, plan: &Plan, merged: Option<&Arc<Segment>>) {
        self.metrics.merged_segments.add(plan.inputs.len() as u64);
        self.metrics.merge_bytes_written.add(merged.map_or(0, |segment| segment.meta.bytes()));
        self.metrics.merge_spans_written.add(merged.map_or(0, |segment| segment.meta.spans));
    }

    /// Removes what a merge left; what resists is tried again before anything else is merged.
    fn remove_remains(&mut self) {
        if self.remains.is_empty() {
            return;
        }
        let disk = &*self.options.disk;
        let day = self.remains[0].parent().map(PathBuf::from);
        let resists = |path: &PathBuf| {
            let removed = remove_directory_if_there(disk, path);
            removed.inspect_err(|error| tracing::warn!(%error, path = %path.display(), "a segment that was merged cannot be removed; trying again")).is_err()
        };
        self.remains.retain(resists);
        // Not needed for what is right, only for what is tidy: unnamed segments are removed at a start.
        if let (Some(day), true) = (day, self.remains.is_empty()) {
            drop(disk.sync_directory(&day));
        }
    }

    /// Removes a merged segment whose day was dropped meanwhile.
    fn discard(&mut self, merged: Option<&Arc<Segment>>) {
        let Some(segment) = merged else { return };
        self.remains.push(segment.directory.clone());
        self.remove_remains();
        let day = filenames::day_directory(&self.options.directory, &segment.meta.day);
        if self.options.disk.list(&day).is_ok_and(|entries| entries.is_empty()) {
            drop(self.options.disk.remove_directory(&day));
        }
    }
}

fn is_live(plan: &Plan, manifest: &Manifest) -> bool {
    plan.inputs.iter().all(|input| manifest.segments.iter().any(|entry| entry.id == input.meta.id))
}
