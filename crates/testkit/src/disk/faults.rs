//! Which call fails, and how: counted from the first call on, so that a run can be repeated up to the very call.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A kind of call to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Creating a file.
    Create,
    /// Opening a file for reading.
    Open,
    /// Reading from an open file.
    Read,
    /// Appending to a file.
    Write,
    /// Syncing a file.
    Sync,
    /// Cutting a file.
    Truncate,
    /// Renaming a file or directory.
    Rename,
    /// Removing a file.
    RemoveFile,
    /// Removing a directory with all it holds.
    RemoveDirectory,
    /// Making a directory and its parents.
    CreateDirectories,
    /// Syncing a directory.
    SyncDirectory,
    /// Listing a directory.
    List,
    /// Taking the lock.
    Lock,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device reports an error (`EIO`).
    Io,
    /// No space is left (`ENOSPC`).
    NoSpace,
    /// The power fails: this call and all later ones.
    Crash,
}

impl Fault {
    pub(super) fn error(self) -> io::Error {
        match self {
            Fault::Io => io::Error::from_raw_os_error(5),
            Fault::NoSpace => io::Error::from_raw_os_error(28),
            Fault::Crash => io::Error::other("the power is off"),
        }
    }
}

#[derive(Debug)]
struct Planned {
    /// Any call, or only one of this kind.
    call: Option<Call>,
    /// The number of the call it strikes, counted as `call` says.
    number: u64,
    fault: Fault,
}

/// A place where calls fail until it is mended.
#[derive(Debug)]
pub(super) struct Broken {
    /// Every call that changes something, or only one of this kind.
    pub(super) call: Option<Call>,
    pub(super) below: PathBuf,
    pub(super) fault: Fault,
}

impl Broken {
    fn strikes(&self, call: Call, path: &Path) -> bool {
        let changes = !matches!(call, Call::Open | Call::Read | Call::List | Call::Lock);
        self.call.map_or(changes, |kind| kind == call) && path.starts_with(&self.below)
    }
}

/// What was called so far, and what is to fail.
#[derive(Debug, Default)]
pub(super) struct Plan {
    calls: u64,
    calls_of_kind: BTreeMap<Call, u64>,
    planned: Vec<Planned>,
    broken: Option<Broken>,
    pub(super) crashed: bool,
}

impl Plan {
    /// How many calls there were.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// How many calls of a kind there were.
    pub(super) fn calls_of(&self, call: Call) -> u64 {
        self.calls_of_kind.get(&call).copied().unwrap_or_default()
    }

    /// Has the call of this number fail; numbers begin at 1 with the disk.
    pub(super) fn fail(&mut self, call: Option<Call>, number: u64, fault: Fault) {
        self.planned.push(Planned { call, number, fault });
    }

    /// Has calls at a place fail, until it is told otherwise.
    pub(super) fn set_broken(&mut self, broken: Option<Broken>) {
        self.broken = broken;
    }

    /// Counts a call and says whether it fails.
    pub(super) fn strike(&mut self, call: Call, path: &Path) -> Option<Fault> {
        self.calls += 1;
        let of_kind = self.calls_of_kind.entry(call).or_default();
        *of_kind += 1;
        let (any, of_kind) = (self.calls, *of_kind);
        if self.crashed {
            return Some(Fault::Crash);
        }
        let strikes = |planned: &Planned| match planned.call {
            None => planned.number == any,
            Some(kind) => kind == call && planned.number == of_kind,
        };
        let planned = self.planned.iter().position(strikes).map(|place| self.planned.swap_remove(place).fault);
        let broken = self.broken.as_ref().filter(|broken| broken.strikes(call, path));
        let fault = planned.or(broken.map(|broken| broken.fault));
        self.crashed = fault == Some(Fault::Crash);
        fault
    }
}
