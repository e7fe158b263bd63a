//! How many files the process may have open: every connection is one, and every segment is several.
//!
//! Systems start programs with a low limit, for the sake of old programs, and let them raise it themselves up to a second one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer a server that runs for weeks may not be able to open its segments.
pub const OPEN_FILES_WANTED: u64 = 16_384;

/// Raises the limit as far as the system lets us, and says how far that is.
pub fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = if raised.is_ok() { maximum } else { current };
    let allowed = allowed.unwrap_or(u64::MAX);
    if allowed < OPEN_FILES_WANTED {
        tracing::warn!(
            open_files = allowed,
            "this system allows few open files, so that connections and segments may be refused; raise the hard limit to {OPEN_FILES_WANTED} \
             or more (ulimit -Hn, LimitNOFILE= in a systemd unit, --ulimit nofile= for a container)"
        );
    } else {
        tracing::info!(open_files = allowed, "raised the limit of open files");
    }
    allowed
}
