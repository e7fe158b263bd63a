//! What can go wrong, by what a caller does about it. Every message is a sentence for the person who runs the server.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a data directory could not be opened.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process uses the directory.
    #[error("the data directory {} is in use by another Longspan; stop that one or choose another directory", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Not a data directory.
    #[error("{} is not a data directory of Longspan: there is no file FORMAT in it", path.display())]
    NoData {
        /// The directory.
        path: PathBuf,
    },
    /// Something is already where a copy shall go.
    #[error("{} is taken: a copy goes into a new or an empty directory", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// A later version wrote the directory.
    #[error(
        "the data directory {} has format {found}, this Longspan reads up to {supported}; use a newer Longspan or another directory",
        path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format this program knows.
        supported: u64,
    },
    /// The directory cannot be made or written to.
    #[error("cannot write to the data directory {}: {source}", path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that must be right is not.
    #[error("{} is damaged: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl StoreError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::Io { path, source }
    }
}

/// Why a batch was not stored.
#[derive(Debug, Clone, Error)]
pub enum AppendError {
    /// Memory or WAL budget is spent; the same batch will fit a little later.
    #[error("the store is full for the moment: {0}")]
    Full(&'static str),
    /// The disk refused; the batch is not stored. The same batch may fit later.
    #[error("the disk refused the write: {0}")]
    Io(String),
    /// The store is shutting down.
    #[error("the store is shutting down")]
    Closed,
}

/// Why something stored could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A file's bytes are not what was written.
    #[error("{} is damaged: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system refused to read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl ReadError {
    pub(crate) fn corrupt(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> ReadError {
        ReadError::Corrupt { path: path.into(), reason: reason.to_string() }
    }

    /// An error of the system; one that says that the bytes are wrong is damage.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> ReadError {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ReadError::corrupt(path, source),
            _ => ReadError::Io { path, source },
        }
    }
}
