//! The only door to the file system: everything the store does to disk goes through [`Disk`].
//!
//! Tests put a faulty, seeded disk behind the same trait. Calls are as small as the system calls beneath them, so that a fault
//! can be put at each; ordering promises (sync before rename, directory synced after) are the callers' business.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name within the directory.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_directory: bool,
    /// Bytes, for a file.
    pub bytes: u64,
}

/// A file being written from its start to its end.
pub trait WriteFile: Send + fmt::Debug {
    /// Appends all of `bytes`.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when what was written survives a power cut.
    fn sync_data(&mut self) -> io::Result<()>;
}

/// A file being read anywhere.
pub trait ReadFile: Send + Sync + fmt::Debug {
    /// Fills `buffer` from `offset` on, or fails.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Bytes in the file when it was opened.
    fn len(&self) -> u64;
    /// Whether the file held nothing when it was opened.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Held while a data directory is in use.
pub trait Lock: Send + Sync + fmt::Debug {}

/// A file system.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a new file; it must not exist.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>>;
    /// Cuts a file to `bytes`, durably.
    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()>;
    /// Moves a file or directory within the file system; replaces a file of the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name. A file system that cannot is copied on instead.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (_, _) = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all it holds.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory and its parents, if they are missing.
    fn create_directories(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// What a directory holds, sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Takes the lock file, `None` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// Reads a whole file of at most `bytes_max` bytes.
pub fn read_file(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    if file.len() > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("larger than {bytes_max} bytes")));
    }
    let mut bytes = vec![0; file.len() as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Puts a file in place so that a crash leaves either the old or the new one: aside, sync, rename, sync directory.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("tmp");
    remove_if_there(disk, &aside)?;
    let written = write_synced(disk, &aside, bytes).and_then(|()| disk.rename(&aside, path));
    if written.is_err() {
        // What is half written would only take space, and there may be none left.
        let _ = remove_if_there(disk, &aside);
        return written;
    }
    disk.sync_directory(path.parent().expect("a file of the store lies in a directory"))
}

fn write_synced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = disk.create(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

/// Removes a file; that it is not there is no error.
pub fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the name of a directory durable, and those of all directories it lies in. Where the system does not let us, somebody
/// else made them, long ago.
pub fn sync_parents(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    for parent in path.ancestors().skip(1) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match disk.sync_directory(parent) {
            Err(error)
                if !matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported) =>
            {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The operating system's file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealDisk;

#[derive(Debug)]
struct RealWrite(File);

#[derive(Debug)]
struct RealRead {
    file: File,
    bytes: u64,
}

#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl Lock for RealLock {}

impl WriteFile for RealWrite {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl ReadFile for RealRead {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn len(&self) -> u64 {
        self.bytes
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(RealWrite(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Arc::new(RealRead { file, bytes }))
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(Entry { name, is_directory: metadata.is_dir(), bytes: metadata.len() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(RealLock { _file: file }))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// A file's path and disk together, for readers that open it again.
#[derive(Debug, Clone)]
pub struct Located {
    /// Where it lies.
    pub path: PathBuf,
    /// The open file.
    pub file: Arc<dyn ReadFile>,
}

impl Located {
    /// Opens a file.
    pub fn open(disk: &dyn Disk, path: PathBuf) -> io::Result<Self> {
        let file = disk.open(&path)?;
        Ok(Located { path, file })
    }
}
