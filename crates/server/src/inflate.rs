//! Content encodings undone, never beyond a cap.
//!
//! Lengths that a sender or a compressed stream declares are not trusted: output grows in steps, each step is charged to the
//! caller's [`Charge`], and reading stops one byte past the cap. HTTP and gRPC both come through here.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use thiserror::Error;

use crate::budget::{Charge, Overloaded};

/// How much output is produced between two looks at the cap.
const STEP_BYTES: usize = 64 << 10;
/// From here on the room for all that is allowed is reserved at once: pages that are not written cost nothing, while a
/// buffer that doubles is held two or three times over.
const RESERVE_FROM_BYTES: usize = 1 << 20;
/// The largest zstd window accepted, as a power of two: the decoder allocates it at once (8 MiB is what the format's
/// specification asks every decoder to support).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A content encoding we undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// None at all.
    Identity,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 1950; raw RFC 1951 as well, since some senders mean that.
    Deflate,
    /// RFC 8878, any number of frames.
    Zstd,
}

/// All names we understand, as an `Accept-Encoding` value.
pub const ACCEPTED: &str = "identity, gzip, deflate, zstd";

impl Encoding {
    /// The encoding of this name.
    pub fn from_name(name: &str) -> Option<Encoding> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" | "none" => Some(Encoding::Identity),
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "deflate" | "zlib" => Some(Encoding::Deflate),
            "zstd" => Some(Encoding::Zstd),
            _ => None,
        }
    }
}

/// Why a body could not be inflated.
#[derive(Debug, Error)]
pub enum InflateError {
    /// More output than the cap.
    #[error("larger than the limit after decompression")]
    TooLarge,
    /// Not what its encoding says.
    #[error("the body cannot be decompressed: {0}")]
    Corrupt(#[from] io::Error),
    /// No memory for it now.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
}

/// Undoes `encoding`; at most `max_bytes` come out.
pub fn inflate(encoding: Encoding, body: Bytes, max_bytes: usize, charge: &mut Charge) -> Result<Bytes, InflateError> {
    match encoding {
        Encoding::Identity if body.len() > max_bytes => Err(InflateError::TooLarge),
        Encoding::Identity => Ok(body),
        Encoding::Gzip => drain(MultiGzDecoder::new(body.as_ref()), max_bytes, charge),
        Encoding::Deflate if is_zlib(&body) => drain(ZlibDecoder::new(body.as_ref()), max_bytes, charge),
        Encoding::Deflate => drain(DeflateDecoder::new(body.as_ref()), max_bytes, charge),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body.as_ref())?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            drain(decoder, max_bytes, charge)
        }
    }
}

/// A zlib stream begins with a checked pair of bytes whose low nibble is 8.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 15 == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31))
}

fn drain(mut reader: impl Read, max_bytes: usize, charge: &mut Charge) -> Result<Bytes, InflateError> {
    let mut out = Vec::new();
    loop {
        charge.grow(STEP_BYTES)?;
        let before = out.len();
        if before >= RESERVE_FROM_BYTES {
            out.reserve_exact(max_bytes + 1 - before);
        }
        let step = STEP_BYTES.min(max_bytes + 1 - before) as u64;
        reader.by_ref().take(step).read_to_end(&mut out)?;
        if out.len() > max_bytes {
            return Err(InflateError::TooLarge);
        }
        if ((out.len() - before) as u64) < step {
            return Ok(Bytes::from(out));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;
    use crate::budget::Budget;

    const MAX: usize = 1 << 20;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn run(encoding: Encoding, body: Vec<u8>) -> Result<Bytes, InflateError> {
        let budget = Budget::new(8 * MAX as u64);
        inflate(encoding, Bytes::from(body), MAX, &mut budget.open())
    }

    #[test]
    fn every_encoding_comes_back() {
        // Guarantees that each accepted encoding, and both things that are called deflate, give the bytes that went in.
        let data: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&data).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(&data).unwrap();
        let bodies = [
            (Encoding::Identity, data.clone()),
            (Encoding::Gzip, gzip(&data)),
            (Encoding::Deflate, zlib.finish().unwrap()),
            (Encoding::Deflate, raw.finish().unwrap()),
            (Encoding::Zstd, zstd::encode_all(data.as_slice(), 1).unwrap()),
        ];
        for (encoding, body) in bodies {
            assert_eq!(run(encoding, body).unwrap(), data, "{encoding:?}");
        }
    }

    #[test]
    fn bombs_stop_at_the_cap() {
        // Guarantees that a body which would inflate beyond the cap is refused, for every compression, just above it too.
        for size in [MAX + 1, 64 * MAX] {
            let data = vec![0u8; size];
            assert!(matches!(run(Encoding::Gzip, gzip(&data)), Err(InflateError::TooLarge)));
            let zstd = zstd::encode_all(data.as_slice(), 1).unwrap();
            assert!(matches!(run(Encoding::Zstd, zstd), Err(InflateError::TooLarge)));
        }
        assert_eq!(run(Encoding::Gzip, gzip(&vec![0; MAX])).unwrap().len(), MAX);
    }

    #[test]
    fn broken_streams_are_named() {
        // Guarantees that a truncated or foreign stream is an error of the sender, never a panic or a short success.
        let mut cut = gzip(b"some spans");
        cut.truncate(cut.len() - 4);
        for body in [cut, b"not gzip".to_vec(), Vec::new()] {
            assert!(matches!(run(Encoding::Gzip, body), Err(InflateError::Corrupt(_))));
        }
        assert!(matches!(run(Encoding::Zstd, vec![1, 2, 3]), Err(InflateError::Corrupt(_))));
    }

    #[test]
    fn inflation_is_charged() {
        // Guarantees that inflated bytes count against the memory for requests while they grow.
        let budget = Budget::new(256 << 10);
        let bomb = Bytes::from(gzip(&vec![0; MAX]));
        let refused = inflate(Encoding::Gzip, bomb, MAX, &mut budget.open());
        assert!(matches!(refused, Err(InflateError::Overloaded(_))));
        assert_eq!(budget.used_bytes(), 0);
    }
}
