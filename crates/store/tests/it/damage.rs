//! Bits flip and files go missing: every answer is right, or says what is damaged; only what was hit is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::{SpanBatch, SpanKey, SpanRef, TraceId};
use store::{IncomingLink, Intrinsic, Projection, Snapshot, Store, intrinsic_pair_hash};
use testkit::disk::SimDisk;
use testkit::rng::Rng;
use testkit::spans::{normal_form, trace_id};

use crate::ledger::{Cases, DATA, Ledger, World, read_parts, seal};

/// Batches of the world that is damaged, and so about thrice as many traces as there can be.
const TRACES: u64 = 20;

fn sealed_and_unsealed() -> (World, Ledger) {
    let world = World::new(1);
    let mut ledger = Ledger::default();
    for spans in [30, 45] {
        let store = world.open().unwrap();
        for _ in 0..4 {
            ledger.append(&store, spans).unwrap();
        }
        assert!(seal(&world, &store));
    }
    for _ in 0..2 {
        let store = world.open().unwrap();
        for _ in 0..3 {
            ledger.append(&store, 5).unwrap();
        }
    }
    (world, ledger)
}

/// What a store gives, and what it says it cannot give.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    spans: BTreeMap<SpanKey, String>,
    links: BTreeSet<IncomingLink>,
    services: BTreeMap<String, u64>,
    /// Traces whose reading gave an error.
    failed_traces: BTreeSet<TraceId>,
    errors: Vec<String>,
    /// What the start reported: segments in quarantine, damaged places and torn bytes of the WAL.
    reported: [u64; 3],
}

impl Seen {
    fn of(store: &Store) -> Seen {
        let metrics = store.metrics();
        let mut seen = Seen {
            reported: [
                metrics.segments_quarantined.get(),
                metrics.wal_damaged_places.get(),
                metrics.wal_torn_bytes.get(),
            ],
            ..Seen::default()
        };
        let snapshot = store.snapshot();
        seen.services = snapshot.catalog().services;
        seen.read_parts(&snapshot);
        seen.read_traces(&snapshot);
        seen.errors.extend(snapshot.damage().iter().map(ToString::to_string));
        seen
    }

    fn says_so(&self) -> bool {
        !self.errors.is_empty() || self.reported != [0; 3]
    }

    fn read_parts(&mut self, snapshot: &Snapshot) {
        for part in snapshot.parts() {
            let batch = match part.read(&Projection::all()) {
                Ok(batch) => batch,
                Err(error) => {
                    self.errors.push(error.to_string());
                    continue;
                }
            };
            for span in batch.spans() {
                let ((first, last), (short, long)) = (part.start_bounds(), part.duration_bounds());
                assert!((first..=last).contains(&span.start_unix_nano()), "a part's bounds are wrong");
                assert!((short..=long).contains(&span.duration_ns()), "a part's bounds are wrong");
                match part.may_contain(intrinsic_pair_hash(Intrinsic::Name, span.name())) {
                    Ok(may) => assert!(may, "a filter denies what is there"),
                    Err(error) => self.errors.push(error.to_string()),
                }
                self.note(span);
            }
        }
    }

    fn note(&mut self, span: SpanRef<'_>) {
        let form = normal_form(span);
        let before = self.spans.insert(span.key(), form.clone());
        assert!(before.is_none_or(|before| before == form), "two answers differ for {:?}", span.key());
    }

    fn read_traces(&mut self, snapshot: &Snapshot) {
        for id in (0..TRACES).map(trace_id) {
            match snapshot.trace(id) {
                Ok(batches) => batches.iter().flat_map(SpanBatch::spans).for_each(|span| {
                    assert_eq!(span.trace_id(), id);
                    self.note(span);
                }),
                Err(error) => {
                    self.failed_traces.insert(id);
                    self.errors.push(error.to_string());
                }
            }
        }
        for id in (0..40).map(trace_id) {
            match snapshot.incoming_links(id) {
                Ok(links) => self.links.extend(links),
                Err(error) => self.errors.push(error.to_string()),
            }
        }
    }
}

/// The directory a file's loss is confined to: its segment, or the file itself.
fn unit_of(path: &Path) -> PathBuf {
    let parent = path.parent().unwrap();
    if parent.join("segment.json") == path || parent.parent().is_some_and(|day| day.starts_with(format!("{DATA}/days")))
    {
        parent.to_owned()
    } else {
        path.to_owned()
    }
}

/// Keys of the spans that are gone when a segment or WAL file is.
fn spans_in(world: &World, unit: &Path, all: &Seen) -> BTreeSet<SpanKey> {
    let without = World { disk: world.disk.copy(), clock: world.clock.clone() };
    for (path, _) in without.disk.files().iter().filter(|(path, _)| path.starts_with(unit)) {
        without.disk.put(path, b"").unwrap();
    }
    let Ok(store) = without.open() else { return BTreeSet::new() };
    let left = Seen::of(&store);
    all.spans.keys().filter(|key| !left.spans.contains_key(key)).copied().collect()
}

/// Flips bits of covered files, one at a time, and checks what can be read afterwards.
fn flip_bits(covered: impl Fn(&Path) -> bool, flips: u64, sample: u64) {
    let (world, ledger) = sealed_and_unsealed();
    let store = world.copy().open().unwrap();
    ledger.assert(&store, "undamaged");
    let whole = Seen::of(&store);
    assert!(!whole.says_so() && whole.links.len() > 20 && whole.spans.len() == ledger.stored_spans());
    let files: Vec<(PathBuf, u64)> =
        world.disk.files().into_iter().filter(|(path, bytes)| *bytes > 0 && covered(path)).collect();
    let units: BTreeSet<PathBuf> = files.iter().map(|(path, _)| unit_of(path)).collect();
    let lost_with: BTreeMap<PathBuf, BTreeSet<SpanKey>> =
        units.into_iter().map(|unit| (unit.clone(), spans_in(&world, &unit, &whole))).collect();
    let virtual_bytes = peak_virtual_bytes();
    let cases = Cases::from_environment();
    cases.run(&cases.numbers(flips, sample), |number| {
        // Every file in turn, however small.
        let mut rng = Rng::new(cases.seed << 32 | number);
        let (path, bytes) = &files[(number % files.len() as u64) as usize];
        let bit = rng.below(bytes * 8);
        let damaged = world.copy();
        damaged.disk.flip(path, bit).unwrap();
        let what = format!("bit {bit} of {}", path.display());
        match damaged.open() {
            // The one file that nothing can be served without.
            Err(error) => assert!(path.ends_with("FORMAT"), "{error} ({what})"),
            Ok(store) => assert_partial(&Seen::of(&store), &whole, &lost_with[&unit_of(path)], &what),
        }
    });
    let grown = peak_virtual_bytes().saturating_sub(virtual_bytes);
    assert!(grown < 2 << 30, "a flipped bit made the store ask for memory it cannot need: {grown} bytes");
}

/// Everything seen is right, and what is missing was in the damaged file and is reported.
fn assert_partial(seen: &Seen, whole: &Seen, hit: &BTreeSet<SpanKey>, what: &str) {
    for (key, form) in &seen.spans {
        assert_eq!(Some(form), whole.spans.get(key), "a wrong answer, {what}");
    }
    assert!(seen.links.is_subset(&whole.links), "a link that never was, {what}");
    let missing: Vec<&SpanKey> = whole.spans.keys().filter(|key| !seen.spans.contains_key(key)).collect();
    let complete = missing.is_empty() && seen.links == whole.links && seen.services == whole.services;
    assert!(complete || seen.says_so(), "{} spans are missing and nothing says so, {what}", missing.len());
    assert!(missing.iter().all(|key| hit.contains(key)), "spans of undamaged files are missing, {what}");
    let traces_hit: BTreeSet<TraceId> = hit.iter().map(|key| key.0).collect();
    assert!(seen.failed_traces.is_subset(&traces_hit), "undamaged traces cannot be read, {what}");
}

/// The most address space this process ever had, bytes.
fn peak_virtual_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let kibibytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

impl World {
    fn copy(&self) -> World {
        World { disk: SimDisk::copy(&self.disk), clock: self.clock.clone() }
    }
}

#[test]
fn a_flipped_bit_gives_no_wrong_answer() {
    // Guarantees that a flipped bit in any file but those with rows never changes an answer: it is corrected, or it is found,
    // reported, and costs at most the file or segment it is in; and it never makes the store panic or ask for absurd memory.
    flip_bits(|path| path.extension().is_none_or(|extension| extension != "parquet"), 10_000, 400);
}

#[test]
fn a_flipped_bit_in_rows_gives_no_wrong_answer() {
    // Guarantees the same for the files with rows.
    flip_bits(|path| path.extension().is_some_and(|extension| extension == "parquet"), 10_000, 400);
}

#[test]
fn what_is_damaged_does_not_keep_the_rest_back() {
    // Guarantees that a trace that lies in several segments, one of them damaged, is read from the others, alone and among others;
    // that the damaged file is named; and that without damage nothing is.
    let (world, _) = sealed_and_unsealed();
    let store = world.open().unwrap();
    let whole = store.snapshot();
    let ids: Vec<TraceId> = (0..TRACES).map(trace_id).collect();
    let spans_of = |batches: &[SpanBatch]| batches.iter().map(SpanBatch::len).sum::<usize>();
    let all: Vec<usize> = ids.iter().map(|&id| spans_of(&whole.trace(id).unwrap())).collect();
    assert!(whole.damage().is_empty());
    let files = world.disk.files();
    let (path, bytes) = files.iter().find(|(path, _)| path.ends_with("spans.parquet")).unwrap();
    let damaged = world.copy();
    let store = damaged.open().unwrap();
    (0..bytes / 2).step_by(64).for_each(|byte| damaged.disk.flip(path, byte * 8).unwrap());
    let (alone, together) = (store.snapshot(), store.snapshot());
    let left: Vec<usize> = ids.iter().map(|&id| spans_of(&alone.trace(id).unwrap())).collect();
    assert!(left.iter().zip(&all).all(|(left, all)| left <= all));
    assert!(left.iter().zip(&all).any(|(left, all)| 0 < *left && left < all), "{left:?} of {all:?}");
    let mut found: Vec<usize> = Vec::new();
    while found.len() < ids.len() {
        found.extend(together.traces(&ids[found.len()..]).unwrap().iter().map(|batches| spans_of(batches)));
    }
    assert!(found.iter().zip(&left).all(|(found, left)| found <= left));
    for snapshot in [alone, together] {
        let named: Vec<String> = snapshot.damage().iter().map(ToString::to_string).collect();
        assert!(matches!(&named[..], [one] if one.contains("spans.parquet")), "{named:?}");
    }
}

#[test]
fn a_torn_tail_at_every_byte() {
    // Guarantees that a WAL cut at any byte of its last three records gives every whole record back, cuts the rest off once,
    // counts it, and goes on.
    let world = World::new(1);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    let wal = format!("{DATA}/wal/{:020}.wal", 1);
    let mut ends = Vec::new();
    for _ in 0..6 {
        let sent = ledger.send(&store, 3, 60);
        ledger.settle(&sent).unwrap();
        ends.push(world.disk.contents(&wal).unwrap().len());
    }
    drop(store);
    let bytes = world.disk.contents(&wal).unwrap();
    for cut in ends[2]..bytes.len() {
        let world = world.copy();
        world.disk.put(&wal, &bytes[..cut]).unwrap();
        let store = world.open().unwrap();
        let records = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(store.stats().spans, 3 * records as u64, "cut at {cut}");
        let torn = cut - ends[records - 1];
        assert_eq!(store.metrics().wal_torn_bytes.get(), torn as u64, "cut at {cut}");
        assert_eq!(store.metrics().wal_damaged_places.get(), 0);
        drop(store);
        let store = world.open().unwrap();
        assert_eq!((store.stats().spans, store.metrics().wal_torn_bytes.get()), (3 * records as u64, 0));
        ledger.append(&store, 0).unwrap();
    }
}

#[test]
fn a_lost_wal_header_is_put_aside() {
    // Guarantees that a WAL file whose beginning is gone is neither cut off nor deleted: it is reported and kept aside.
    let world = World::new(2);
    let mut ledger = Ledger::default();
    let store = world.open().unwrap();
    ledger.append(&store, 5).unwrap();
    drop(store);
    let wal = format!("{DATA}/wal/{:020}.wal", 1);
    let mut bytes = world.disk.contents(&wal).unwrap();
    bytes[..40].fill(0);
    world.disk.put(&wal, &bytes).unwrap();
    let store = world.open().unwrap();
    assert_eq!(store.metrics().wal_damaged_places.get(), 1);
    assert_eq!(world.disk.names(format!("{DATA}/quarantine")).len(), 1);
    let kept = &world.disk.names(format!("{DATA}/quarantine"))[0];
    assert_eq!(world.disk.contents(format!("{DATA}/quarantine/{kept}")).unwrap(), bytes);
    for seed in 0..20 {
        let cut = world.power_cut(seed);
        assert_eq!(cut.disk.names(format!("{DATA}/quarantine")).len(), 1);
    }
}

#[test]
fn strange_files() {
    // Guarantees that a store starts whatever lies in its directory, keeps what is not its own, and loses nothing by it.
    // With whether it is kept; what looks like a leftover of our own need not be.
    let strange = [
        ("wal/00000000000000000007.wal", false),
        ("wal/18446744073709551614.wal", true),
        ("wal/18446744073709551615.wal", true),
        ("wal/99999999999999999999.wal", true),
        ("wal/+0000000000000000001.wal", true),
        ("wal/00000000000000000003.wal/file", true),
        ("wal/core", true),
        ("days/2026-11-20/18446744073709551615/segment.json", true),
        ("days/2026-11-20/00000000000000000042", true),
        ("days/2026-11-20/notes.tmp/mine", true),
        ("days/photos/00000000000000000001/mine", true),
        ("days/photos.dropped/mine", true),
        ("days/2026-01-01", true),
        ("manifest.tmp", false),
        ("FORMAT.tmp", false),
        ("quarantine/0007-00000000000000000001/spans.parquet", true),
    ];
    for (path, is_kept) in strange {
        let (world, mut ledger) = sealed_and_unsealed();
        let path = format!("{DATA}/{path}");
        world.disk.put(&path, b"").unwrap();
        for _ in 0..2 {
            let store = world.open().unwrap_or_else(|error| panic!("{error} ({path})"));
            ledger.assert(&store, &path);
            ledger.append(&store, 3).unwrap();
            assert!(seal(&world, &store), "{path}");
            ledger.assert(&store, &path);
        }
        assert!(!is_kept || world.disk.contents(&path).is_ok(), "{path} is gone");
    }
}

#[test]
fn a_missing_segment_is_reported() {
    // Guarantees that segments that somebody has removed are missed, and the rest is served.
    let (world, _) = sealed_and_unsealed();
    let days = world.disk.names(format!("{DATA}/days"));
    let all = read_parts(&world.copy().open().unwrap()).unwrap().len();
    let day = PathBuf::from(format!("{DATA}/days/{}", days[0]));
    for (path, _) in world.disk.files().iter().filter(|(path, _)| path.starts_with(&day)) {
        world.disk.remove(path).unwrap();
    }
    let store = world.open().unwrap();
    let left = read_parts(&store).unwrap().len();
    assert!(0 < left && left < all);
    assert!(store.metrics().segments_quarantined.get() > 0);
}
