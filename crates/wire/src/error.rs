//! Why a body is refused as a whole. The messages are for the sender: they go into the answer's status.

use thiserror::Error;

use crate::Format;

/// A body that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not of the format.
    #[error("not {}: {problem} at byte {offset}", format.name())]
    Malformed {
        /// What it should have been.
        format: Format,
        /// Where reading stopped, in bytes from the start of the (decompressed) body.
        offset: usize,
        /// What is wrong there.
        problem: String,
    },
    /// Values nest so deep that nobody can have meant it.
    #[error("{} with values nested more than {} deep at byte {offset}", format.name(), crate::sink::NESTING_REFUSED)]
    TooDeep {
        /// The body's format.
        format: Format,
        /// Where reading stopped, in bytes from the start of the (decompressed) body.
        offset: usize,
    },
    /// What is in the body takes more memory than it may.
    #[error("what is in the body takes more than {bytes_max} bytes of memory; send fewer spans at once")]
    BatchTooLarge {
        /// What it may take.
        bytes_max: usize,
    },
    /// The body is larger than a batch can address.
    #[error("a body of {bytes} bytes is larger than {} bytes", crate::BODY_BYTES_MAX)]
    TooLarge {
        /// The body's size.
        bytes: usize,
    },
}
