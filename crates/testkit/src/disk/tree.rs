//! Files and names of a [`super::SimDisk`], each as it is now and as much of it as is sure to survive a power cut.
//!
//! A file's bytes survive up to where it was synced. A name (made, moved, removed) survives once its directory was synced;
//! until then a power cut keeps or forgets each change of names by itself, in any combination.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Component, Path};

use store::disk::Entry;

use crate::rng::Rng;

/// Disks lose whole blocks of so many bytes.
const BLOCK_BYTES: usize = 512;

/// The number of a file or directory; names come and go, the number stays.
pub(super) type Node = usize;
const ROOT: Node = 0;

#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    /// What is before was synced.
    synced: usize,
    /// A sync of what is before, from `synced` on, has failed: a later sync that succeeds does not cover it.
    sync_failed: usize,
    doubtful: Vec<Range<usize>>,
}

#[derive(Debug, Clone, Default)]
struct Directory {
    now: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
}

#[derive(Debug, Clone)]
enum Content {
    File(File),
    Directory(Directory),
}

/// One call's change of names; all of it happens or nothing.
#[derive(Debug, Clone)]
struct Change {
    /// Directory, name, and what the name stands for afterwards.
    edits: Vec<(Node, String, Option<Node>)>,
    /// The directory whose sync makes it durable.
    settled_by: Node,
}

#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: Vec<Content>,
    unsettled: Vec<Change>,
}

fn not_found() -> io::Error {
    ErrorKind::NotFound.into()
}

impl File {
    pub(super) fn sync(&mut self) {
        if self.sync_failed > self.synced {
            self.doubtful.push(self.synced..self.sync_failed);
        }
        self.synced = self.bytes.len();
    }

    pub(super) fn sync_fails(&mut self) {
        self.sync_failed = self.bytes.len();
    }

    pub(super) fn truncate(&mut self, bytes: usize) {
        self.bytes.resize(bytes, 0);
        self.synced = bytes;
        self.sync_failed = self.sync_failed.min(bytes);
        self.doubtful.retain(|range| range.start < bytes);
    }

    fn after_power_cut(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for range in &self.doubtful {
            lose_blocks(&mut bytes, range.clone(), rng);
        }
        let unsynced = (bytes.len() - self.synced) as u64;
        if unsynced > 0 {
            if rng.chance(2) {
                let whole = bytes.len();
                lose_blocks(&mut bytes, self.synced..whole, rng);
            }
            match rng.below(3) {
                0 => bytes.truncate(self.synced),
                1 => bytes.truncate(self.synced + rng.below(unsynced + 1) as usize),
                _ => {}
            }
        }
        bytes
    }
}

/// Zeroes some of the blocks of a range.
fn lose_blocks(bytes: &mut [u8], range: Range<usize>, rng: &mut Rng) {
    let end = range.end.min(bytes.len());
    let mut at = range.start;
    while at < end {
        let next = (at / BLOCK_BYTES * BLOCK_BYTES + BLOCK_BYTES).min(end);
        if rng.chance(2) {
            bytes[at..next].fill(0);
        }
        at = next;
    }
}

impl Default for Tree {
    fn default() -> Self {
        Tree { nodes: vec![Content::Directory(Directory::default())], unsettled: Vec::new() }
    }
}

impl Tree {
    fn names(&self, directory: Node) -> io::Result<&BTreeMap<String, Node>> {
        match &self.nodes[directory] {
            Content::Directory(directory) => Ok(&directory.now),
            Content::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn names_of(path: &Path) -> impl Iterator<Item = &str> {
        path.components().filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Node> {
        let mut node = ROOT;
        for name in Self::names_of(path) {
            node = *self.names(node)?.get(name).ok_or_else(not_found)?;
        }
        Ok(node)
    }

    /// The directory a path lies in, and its name there.
    fn place<'p>(&self, path: &'p Path) -> io::Result<(Node, &'p str)> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidInput)?;
        Ok((self.find(path.parent().ok_or(ErrorKind::InvalidInput)?)?, name))
    }

    pub(super) fn file(&mut self, node: Node) -> io::Result<&mut File> {
        match &mut self.nodes[node] {
            Content::File(file) => Ok(file),
            Content::Directory(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn change(&mut self, settled_by: Node, edits: Vec<(Node, String, Option<Node>)>) {
        for (directory, name, node) in &edits {
            self.edit(*directory, name, *node, false);
        }
        self.unsettled.push(Change { edits, settled_by });
    }

    fn edit(&mut self, directory: Node, name: &str, node: Option<Node>, durably: bool) {
        let Content::Directory(directory) = &mut self.nodes[directory] else { return };
        let names = if durably { &mut directory.durable } else { &mut directory.now };
        match node {
            Some(node) => names.insert(name.to_owned(), node),
            None => names.remove(name),
        };
    }

    fn add(&mut self, directory: Node, name: &str, content: Content) -> Node {
        self.nodes.push(content);
        let node = self.nodes.len() - 1;
        self.change(directory, vec![(directory, name.to_owned(), Some(node))]);
        node
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<Node> {
        let (directory, name) = self.place(path)?;
        if self.names(directory)?.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok(self.add(directory, name, Content::File(File::default())))
    }

    pub(super) fn create_directories(&mut self, path: &Path) -> io::Result<()> {
        let mut at = ROOT;
        for name in Self::names_of(path) {
            at = match self.names(at)?.get(name) {
                Some(&node) => node,
                None => self.add(at, name, Content::Directory(Directory::default())),
            };
        }
        self.names(at).map(|_| ())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let ((from_directory, from_name), (to_directory, to_name)) = (self.place(from)?, self.place(to)?);
        if let Some(&replaced) = self.names(to_directory)?.get(to_name) {
            match &self.nodes[replaced] {
                Content::Directory(directory) if !directory.now.is_empty() => {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
                _ => {}
            }
        }
        let edits = vec![(from_directory, from_name.to_owned(), None), (to_directory, to_name.to_owned(), Some(node))];
        self.change(to_directory, edits);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.place(path)?;
        let node = self.find(path)?;
        self.file(node)?;
        self.change(directory, vec![(directory, name.to_owned(), None)]);
        Ok(())
    }

    /// How many names go when a directory is removed: its own, and all below it.
    pub(super) fn names_below(&self, path: &Path) -> io::Result<usize> {
        Ok(self.removals(path)?.len())
    }

    /// Removes the first `count` of a directory's names; its own comes last.
    pub(super) fn remove_names(&mut self, path: &Path, count: usize) -> io::Result<()> {
        for (directory, name) in self.removals(path)?.into_iter().take(count) {
            self.change(directory, vec![(directory, name, None)]);
        }
        Ok(())
    }

    fn removals(&self, path: &Path) -> io::Result<Vec<(Node, String)>> {
        let (parent, name) = self.place(path)?;
        let mut below = vec![(parent, name.to_owned())];
        let mut at = 0;
        while let Some((directory, name)) = below.get(at) {
            let node = *self.names(*directory)?.get(name).ok_or_else(not_found)?;
            if let Ok(names) = self.names(node) {
                below.extend(names.keys().map(|name| (node, name.clone())));
            } else if at == 0 {
                return Err(ErrorKind::NotADirectory.into());
            }
            at += 1;
        }
        below.reverse();
        Ok(below)
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        let directory = self.find(path)?;
        self.names(directory)?;
        let (settled, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.unsettled).into_iter().partition(|change| change.settled_by == directory);
        self.unsettled = left;
        for change in settled {
            self.settle(&change);
        }
        Ok(())
    }

    fn settle(&mut self, change: &Change) {
        for (directory, name, node) in &change.edits {
            self.edit(*directory, name, *node, true);
        }
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let entry = |(name, &node): (&String, &Node)| match &self.nodes[node] {
            Content::File(file) => Entry { name: name.clone(), is_directory: false, bytes: file.bytes.len() as u64 },
            Content::Directory(_) => Entry { name: name.clone(), is_directory: true, bytes: 0 },
        };
        Ok(self.names(self.find(path)?)?.iter().map(entry).collect())
    }

    /// Bytes of all files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        let mut directories = vec![ROOT];
        let mut used = 0;
        while let Some(directory) = directories.pop() {
            for &node in self.names(directory).into_iter().flat_map(BTreeMap::values) {
                match &self.nodes[node] {
                    Content::File(file) => used += file.bytes.len() as u64,
                    Content::Directory(_) => directories.push(node),
                }
            }
        }
        used
    }

    /// What the next start finds: all that is sure to be there, and of the rest what chance leaves.
    pub(super) fn after_power_cut(&self, rng: &mut Rng) -> Tree {
        let mut cut = self.clone();
        let kept_in_four = rng.below(5);
        for change in std::mem::take(&mut cut.unsettled) {
            if rng.below(4) < kept_in_four {
                cut.settle(&change);
            }
        }
        for content in &mut cut.nodes {
            match content {
                Content::Directory(directory) => directory.now = directory.durable.clone(),
                Content::File(file) => {
                    let bytes = file.after_power_cut(rng);
                    *file = File { synced: bytes.len(), bytes, ..File::default() };
                }
            }
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with the synced file `/d/synced`, the unsynced file `/d/unsynced`, and `/d/renamed` that was `/d/old`.
    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.create_directories(Path::new("/d")).unwrap();
        tree.sync_directory(Path::new("/")).unwrap();
        for name in ["/d/synced", "/d/old"] {
            let node = tree.create(Path::new(name)).unwrap();
            tree.file(node).unwrap().bytes.extend_from_slice(&[7; 2000]);
            tree.file(node).unwrap().sync();
        }
        tree.sync_directory(Path::new("/d")).unwrap();
        let node = tree.create(Path::new("/d/unsynced")).unwrap();
        tree.file(node).unwrap().bytes.extend_from_slice(&[7; 2000]);
        tree.rename(Path::new("/d/old"), Path::new("/d/renamed")).unwrap();
        tree
    }

    #[test]
    fn a_power_cut_keeps_what_was_synced() {
        // Guarantees that synced bytes under synced names always survive, and that a rename happens whole or not at all.
        let tree = tree();
        let (mut unsynced_there, mut renamed, mut torn) = (0, 0, 0);
        for seed in 0..200 {
            let mut cut = tree.after_power_cut(&mut Rng::new(seed));
            let names: Vec<String> = cut.list(Path::new("/d")).unwrap().into_iter().map(|entry| entry.name).collect();
            assert!(names.contains(&"synced".to_owned()));
            assert!(names.contains(&"old".to_owned()) != names.contains(&"renamed".to_owned()), "{names:?}");
            let node = cut.find(Path::new("/d/synced")).unwrap();
            assert_eq!(cut.file(node).unwrap().bytes, [7; 2000]);
            renamed += usize::from(names.contains(&"renamed".to_owned()));
            if let Ok(node) = cut.find(Path::new("/d/unsynced")) {
                unsynced_there += 1;
                torn += usize::from(cut.file(node).unwrap().bytes != [7; 2000]);
            }
        }
        assert!((20..180).contains(&unsynced_there) && (20..180).contains(&renamed) && torn > 20);
    }

    #[test]
    fn a_failed_sync_is_not_mended_by_the_next() {
        // Guarantees that bytes whose sync has failed may be lost even when a later sync succeeds.
        let mut file = File { bytes: vec![7; 1000], ..File::default() };
        file.sync_fails();
        file.bytes.extend_from_slice(&[7; 1000]);
        file.sync();
        let cuts: Vec<Vec<u8>> = (0..50).map(|seed| file.after_power_cut(&mut Rng::new(seed))).collect();
        assert!(cuts.iter().any(|bytes| bytes[..1000] != [7; 1000]));
        assert!(cuts.iter().all(|bytes| bytes[1000..] == [7; 1000]));
    }

    #[test]
    fn a_lost_directory_loses_what_is_in_it() {
        // Guarantees that syncing a directory does not make its own name durable.
        let mut tree = Tree::default();
        tree.create_directories(Path::new("/d")).unwrap();
        tree.create(Path::new("/d/file")).unwrap();
        tree.sync_directory(Path::new("/d")).unwrap();
        let lost = |seed| tree.after_power_cut(&mut Rng::new(seed)).find(Path::new("/d/file")).is_err();
        assert!((0..50).any(lost));
        assert!(!(0..50).all(lost));
    }
}
