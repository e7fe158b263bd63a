//! Verification finds what is damaged, says where, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use store::StoreError;
use store::disk::RealDisk;
use store::verify::{Progress, Verified, Verify, verify};
use testkit::rng::Rng;

use crate::{Regenerate, append, open};

const LONG: Duration = Duration::from_mins(1);
/// Bits flipped in each file.
const FLIPS: usize = 16;

pub(crate) fn check(directory: &Path, while_running: bool) -> Result<Verified, StoreError> {
    let progress = &mut |_: Progress| {};
    verify(Verify { disk: &RealDisk, data: directory, replay: &Regenerate, while_running, progress })
}

/// A directory with segments of several days and a WAL of several requests, at rest.
fn filled(directory: &Path) -> u64 {
    let store = open(directory);
    append(&store, 1, 120).unwrap();
    append(&store, 2, 90).unwrap();
    assert!(store.seal(LONG));
    for seed in 3..8 {
        append(&store, seed, 20).unwrap();
    }
    store.stats().spans
}

/// Every file below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(directory).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_whole_directory_is_whole() {
    // Guarantees that nothing is reported where nothing is wrong, that everything is counted, and that nothing is written.
    let directory = tempfile::tempdir().unwrap();
    let spans = filled(directory.path());
    let before = contents(directory.path());
    let verified = check(directory.path(), false).unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(verified.spans, spans);
    assert_eq!(verified.wal_records, 5);
    assert!(verified.segments > 1);
    let read: usize = before.iter().filter(|(path, _)| !path.ends_with("LOCK")).map(|(_, bytes)| bytes.len()).sum();
    assert_eq!((verified.files, verified.bytes), (before.len() as u64 - 1, read as u64));
    assert_eq!(contents(directory.path()), before);
}

#[test]
fn every_flipped_bit_is_found() {
    // Guarantees that a flipped bit in any file is found and that the file is named; of the seed that is printed.
    let seed = std::env::var("LONGSPAN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("seed {seed} (LONGSPAN_SEED repeats it)");
    let mut rng = Rng::new(seed);
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    for (path, bytes) in contents(directory.path()) {
        for _ in 0..FLIPS.min(bytes.len() * 8) {
            let (place, bit) = (rng.below(bytes.len() as u64) as usize, rng.below(8));
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            fs::write(&path, &damaged).unwrap();
            let named = match check(directory.path(), false) {
                Ok(verified) => verified.findings.iter().any(|finding| finding.is_damage && finding.path == path),
                Err(StoreError::Newer { .. }) => path.ends_with("FORMAT"),
                Err(error) => panic!("{error}"),
            };
            assert!(named, "byte {place}, bit {bit} of {}", path.display());
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert!(check(directory.path(), false).unwrap().is_whole());
}

#[test]
fn damage_has_a_place() {
    // Guarantees that damage in a page, a section of the index and a request is reported with its offset.
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let mut places = 0;
    for (path, bytes) in contents(directory.path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let place = match name {
            "index.bin" => bytes.len() - 1,
            "spans.parquet" if bytes.len() > 9_000 => 9_000,
            _ if path.extension().is_some_and(|extension| extension == "wal") => bytes.len() - 1,
            _ => continue,
        };
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let verified = check(directory.path(), false).unwrap();
        let offset = verified.findings.iter().find_map(|finding| finding.offset.filter(|_| finding.path == path));
        assert!(offset.is_some_and(|offset| 0 < offset && offset <= place as u64), "{:?}", verified.findings);
        places += 1;
        fs::write(&path, &bytes).unwrap();
    }
    assert!(places > 3, "only {places} files were large enough");
}

#[test]
fn an_unfinished_write_is_no_damage() {
    // Guarantees that what a kill or a power cut leaves at the end of the WAL is told apart from damage, wherever it was cut.
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let wal =
        files(directory.path()).into_iter().rfind(|path| path.extension().is_some_and(|end| end == "wal")).unwrap();
    let bytes = fs::read(&wal).unwrap();
    for cut in [0, 10, 31, bytes.len() - 1, bytes.len() - 20, bytes.len() - 47] {
        fs::write(&wal, &bytes[..cut]).unwrap();
        let verified = check(directory.path(), false).unwrap();
        assert!(verified.is_whole() && verified.findings.len() == 1, "cut at {cut}: {:?}", verified.findings);
    }
    fs::write(&wal, [&bytes[..], &[0; 100]].concat()).unwrap();
    let verified = check(directory.path(), false).unwrap();
    assert!(verified.is_whole() && verified.findings.len() == 1, "{:?}", verified.findings);
}

#[test]
fn missing_and_strange_things_are_named() {
    // Guarantees that missing files are damage, and that files of others, leftovers and the quarantine are notes.
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let of_segment = |name: &str| files(directory.path()).into_iter().find(|path| path.ends_with(name)).unwrap();
    let segment = of_segment("segment.json").parent().unwrap().to_owned();
    fs::write(segment.join("notes.txt"), "mine").unwrap();
    fs::create_dir_all(directory.path().join("quarantine/0000-00000000000000000001")).unwrap();
    fs::create_dir_all(segment.with_file_name(format!("{:020}", 700))).unwrap();
    let verified = check(directory.path(), false).unwrap();
    assert_eq!((verified.is_whole(), verified.findings.len()), (true, 3), "{:?}", verified.findings);
    for name in ["scopes.parquet", "segment.json", "manifest.json"] {
        let path = of_segment(name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let verified = check(directory.path(), false).unwrap();
        assert!(verified.findings.iter().any(|finding| finding.is_damage && finding.path == path), "{name}");
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_day_that_is_being_removed_is_no_damage() {
    // Guarantees that what a power cut leaves of a day that retention was removing, named by the manifest or not, is a note.
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let days = directory.path().join("days");
    let day = fs::read_dir(&days).unwrap().next().unwrap().unwrap().path();
    let aside = day.with_file_name(format!("{}.dropped", day.file_name().unwrap().to_str().unwrap()));
    fs::rename(&day, &aside).unwrap();
    let verified = check(directory.path(), false).unwrap();
    assert_eq!((verified.is_whole(), verified.findings.len()), (true, 1), "{:?}", verified.findings);
    assert_eq!(verified.findings[0].path, aside);
    drop(open(directory.path()));
    assert!(!aside.exists());
    assert!(check(directory.path(), false).unwrap().findings.is_empty());
}

#[test]
fn a_directory_in_use_is_left_alone() {
    // Guarantees that a store at work is not read without being asked to, and then only what it has sealed.
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(check(directory.path(), false), Err(StoreError::NoData { .. })));
    let store = open(directory.path());
    append(&store, 1, 100).unwrap();
    assert!(store.seal(LONG));
    let sealed = store.stats().spans;
    append(&store, 2, 100).unwrap();
    assert!(matches!(check(directory.path(), false), Err(StoreError::Locked { .. })));
    let verified = check(directory.path(), true).unwrap();
    assert_eq!((verified.findings.as_slice(), verified.spans, verified.wal_records), (&[][..], sealed, 0));
    drop(store);
    fs::write(directory.path().join("FORMAT"), "9\n").unwrap();
    assert!(matches!(check(directory.path(), false), Err(StoreError::Newer { found: 9, .. })));
}
