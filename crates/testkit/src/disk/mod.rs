//! A file system in memory that fails as real ones do, at a call a test has named, and forgets at a power cut what real ones
//! may forget. Everything it leaves to chance comes from a seed.

mod faults;
mod tree;

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use store::disk::{Disk, Entry, Lock, ReadFile, WriteFile};

use self::faults::{Broken, Plan};
pub use self::faults::{Call, Fault};
use self::tree::{Node, Tree};
use crate::clock::SimClock;
use crate::rng::Rng;

/// A simulated disk.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when syncs are held or let go.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    plan: Plan,
    rng: Rng,
    space_bytes: Option<u64>,
    locks: BTreeSet<PathBuf>,
    syncs: Syncs,
}

/// How slow syncs are.
#[derive(Debug, Default)]
struct Syncs {
    /// Each takes so long on this clock.
    cost: Option<(Arc<SimClock>, u64)>,
    held: bool,
    waiting: usize,
}

impl State {
    fn strike(&mut self, call: Call, path: &Path) -> io::Result<()> {
        self.plan.strike(call, path).map_or(Ok(()), |fault| Err(fault.error()))
    }

    /// Appends as much as fits and as a fault lets through.
    fn append(&mut self, node: Node, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut fault = self.plan.strike(Call::Write, path);
        let mut count = bytes.len();
        if fault.is_some() {
            count = self.rng.below(count as u64 + 1) as usize;
        }
        if let Some(space) = self.space_bytes {
            let left = space.saturating_sub(self.tree.used_bytes()) as usize;
            if left < count {
                (count, fault) = (left, fault.or(Some(Fault::NoSpace)));
            }
        }
        self.tree.file(node)?.bytes.extend_from_slice(&bytes[..count]);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn sync(&mut self, node: Node, path: &Path) -> io::Result<()> {
        if let Some((clock, cost_ns)) = &self.syncs.cost {
            clock.advance(*cost_ns);
        }
        let struck = self.strike(Call::Sync, path);
        let file = self.tree.file(node)?;
        match struck {
            Ok(()) => file.sync(),
            Err(_) => file.sync_fails(),
        }
        struck
    }
}

/// Making, and what a test does to it.
impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self::holding(Tree::default(), seed)
    }

    fn holding(tree: Tree, seed: u64) -> Self {
        let state = State {
            tree,
            plan: Plan::default(),
            rng: Rng::new(seed),
            space_bytes: None,
            locks: BTreeSet::new(),
            syncs: Syncs::default(),
        };
        SimDisk(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no thread panics while it holds the disk")
    }

    /// How many calls there were so far.
    pub fn calls(&self) -> u64 {
        self.state().plan.calls()
    }

    /// Has the call of this number fail, once; the first call ever has number 1. A crash is for ever.
    pub fn fail_at(&self, number: u64, fault: Fault) {
        self.state().plan.fail(None, number, fault);
    }

    /// Has a coming call of a kind fail, once: 1 is the next one.
    pub fn fail_next(&self, call: Call, number: u64, fault: Fault) {
        let mut state = self.state();
        let number = state.plan.calls_of(call) + number;
        state.plan.fail(Some(call), number, fault);
    }

    /// Has every change at or below a path fail, until [`SimDisk::mend`].
    pub fn break_below(&self, path: impl Into<PathBuf>, fault: Fault) {
        self.state().plan.set_broken(Some(Broken { call: None, below: path.into(), fault }));
    }

    /// Has calls of one kind at or below a path fail, until [`SimDisk::mend`].
    pub fn break_calls(&self, call: Call, path: impl Into<PathBuf>, fault: Fault) {
        self.state().plan.set_broken(Some(Broken { call: Some(call), below: path.into(), fault }));
    }

    /// Ends [`SimDisk::break_below`] and [`SimDisk::break_calls`].
    pub fn mend(&self) {
        self.state().plan.set_broken(None);
    }

    /// Whether the power has failed.
    pub fn crashed(&self) -> bool {
        self.state().plan.crashed
    }

    /// Limits what all files together may take; writes beyond get `ENOSPC` until space is freed.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.state().space_bytes = bytes;
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        self.state().tree.used_bytes()
    }

    /// Has every sync move a clock.
    pub fn slow_syncs(&self, clock: Arc<SimClock>, cost_ns: u64) {
        self.state().syncs.cost = Some((clock, cost_ns));
    }

    /// Lets syncs of files begin but not end, as long as the guard lives.
    pub fn hold_syncs(&self) -> HeldSyncs {
        self.state().syncs.held = true;
        HeldSyncs(self.clone())
    }

    /// Returns when a sync is being held; none within half a minute is a failure.
    pub fn await_held_sync(&self) {
        let long = Duration::from_secs(30);
        let waited = self.0.changed.wait_timeout_while(self.state(), long, |state| state.syncs.waiting == 0);
        let (state, waited) = waited.expect("no thread panics while it holds the disk");
        drop(state);
        assert!(!waited.timed_out(), "nothing was synced");
    }

    /// The disk as the next start finds it after a power cut now.
    pub fn power_cut(&self, seed: u64) -> SimDisk {
        let tree = self.state().tree.after_power_cut(&mut Rng::new(seed));
        Self::holding(tree, seed)
    }

    /// A disk of its own with the same content.
    pub fn copy(&self) -> SimDisk {
        let tree = self.state().tree.clone();
        Self::holding(tree, 0)
    }

    /// All files, with their sizes in bytes.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        let mut files = Vec::new();
        let mut directories = vec![PathBuf::from("/")];
        while let Some(directory) = directories.pop() {
            for entry in state.tree.list(&directory).into_iter().flatten() {
                let path = directory.join(&entry.name);
                if entry.is_directory { directories.push(path) } else { files.push((path, entry.bytes)) }
            }
        }
        files.sort();
        files
    }

    /// The names in a directory; none if it is not there.
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = self.state().tree.list(path.as_ref()).unwrap_or_default();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    /// A file's bytes.
    pub fn contents(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let node = state.tree.find(path.as_ref())?;
        Ok(state.tree.file(node)?.bytes.clone())
    }

    /// Puts a file there, or other bytes into it, durably.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let (path, mut state) = (path.as_ref(), self.state());
        let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
        state.tree.create_directories(parent)?;
        let node = state.tree.find(path).or_else(|_| state.tree.create(path))?;
        let file = state.tree.file(node)?;
        file.bytes = bytes.to_vec();
        file.truncate(bytes.len());
        for directory in parent.ancestors() {
            state.tree.sync_directory(directory)?;
        }
        Ok(())
    }

    /// Removes a file, durably.
    pub fn remove(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let (path, mut state) = (path.as_ref(), self.state());
        state.tree.remove_file(path)?;
        state.tree.sync_directory(path.parent().ok_or(ErrorKind::InvalidInput)?)
    }

    /// Flips a bit of a file.
    pub fn flip(&self, path: impl AsRef<Path>, bit: u64) -> io::Result<()> {
        let mut state = self.state();
        let node = state.tree.find(path.as_ref())?;
        let byte = state.tree.file(node)?.bytes.get_mut((bit / 8) as usize).ok_or(ErrorKind::UnexpectedEof)?;
        *byte ^= 1 << (bit % 8);
        Ok(())
    }
}

/// Syncs do not end while this is held.
#[derive(Debug)]
pub struct HeldSyncs(SimDisk);

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        self.0.state().syncs.held = false;
        self.0.0.changed.notify_all();
    }
}

#[derive(Debug)]
struct SimWrite {
    disk: SimDisk,
    path: PathBuf,
    node: Node,
}

impl WriteFile for SimWrite {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().append(self.node, &self.path, bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.syncs.waiting += 1;
        self.disk.0.changed.notify_all();
        let state = self.disk.0.changed.wait_while(state, |state| state.syncs.held);
        let mut state = state.expect("no thread panics while it holds the disk");
        state.syncs.waiting -= 1;
        state.sync(self.node, &self.path)
    }
}

#[derive(Debug)]
struct SimRead {
    disk: SimDisk,
    path: PathBuf,
    node: Node,
    bytes: u64,
}

impl ReadFile for SimRead {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.strike(Call::Read, &self.path)?;
        let bytes = &state.tree.file(self.node)?.bytes;
        let start = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes.get(start..end).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.bytes
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut state = self.state();
        state.strike(Call::Create, path)?;
        let node = state.tree.create(path)?;
        Ok(Box::new(SimWrite { disk: self.clone(), path: path.to_owned(), node }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let mut state = self.state();
        state.strike(Call::Open, path)?;
        let node = state.tree.find(path)?;
        let bytes = state.tree.file(node)?.bytes.len() as u64;
        Ok(Arc::new(SimRead { disk: self.clone(), path: path.to_owned(), node, bytes }))
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        let struck = state.strike(Call::Truncate, path);
        if struck.is_ok() || state.rng.chance(2) {
            let node = state.tree.find(path)?;
            state.tree.file(node)?.truncate(bytes as usize);
        }
        struck
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.strike(Call::Rename, from)?;
        state.tree.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.strike(Call::RemoveFile, path)?;
        state.tree.remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let struck = state.strike(Call::RemoveDirectory, path);
        let mut count = state.tree.names_below(path)?;
        if struck.is_err() {
            count = state.rng.below(count as u64) as usize;
        }
        state.tree.remove_names(path, count)?;
        struck
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.strike(Call::CreateDirectories, path)?;
        state.tree.create_directories(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.strike(Call::SyncDirectory, path)?;
        state.tree.sync_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        state.strike(Call::List, path)?;
        state.tree.list(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.state();
        state.strike(Call::Lock, path)?;
        if state.tree.find(path).is_err() {
            state.tree.create(path)?;
        }
        let free = state.locks.insert(path.to_owned());
        Ok(free.then(|| Box::new(SimLock { disk: self.clone(), path: path.to_owned() }) as Box<dyn Lock>))
    }
}
