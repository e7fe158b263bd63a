//! Trace and span ids: fixed bytes, shown as lower-case hex.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text is not made of hex digits.
    #[error("an id is made of hex digits 0-9 and a-f")]
    NotHex,
    /// The text is longer than the id, or empty.
    #[error("an id has 1 to {max} hex digits, this one has {got}")]
    Length {
        /// Most digits allowed.
        max: usize,
        /// Digits found.
        got: usize,
    },
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// The id of no span: all bytes zero.
            pub const ZERO: Self = Self([0; $bytes]);

            /// Whether this is the invalid all-zero id.
            pub fn is_zero(self) -> bool {
                self == Self::ZERO
            }

            /// Takes exactly as many bytes as the id has.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0u8; $bytes * 2];
                for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
                    pair[0] = HEX[usize::from(byte >> 4)];
                    pair[1] = HEX[usize::from(byte & 15)];
                }
                f.write_str(std::str::from_utf8(&text).expect("hex digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// Reads hex of any case; shorter texts are padded with zeros on the left, as several senders drop them.
        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0u8; $bytes];
                parse_hex(text.as_bytes(), &mut bytes)?;
                Ok(Self(bytes))
            }
        }
    };
}

id_type!(
    /// The id of a trace: 16 bytes.
    TraceId,
    16
);
id_type!(
    /// The id of a span: 8 bytes.
    SpanId,
    8
);

const HEX: &[u8; 16] = b"0123456789abcdef";

fn parse_hex(text: &[u8], bytes: &mut [u8]) -> Result<(), IdError> {
    let max = bytes.len() * 2;
    if text.is_empty() || text.len() > max {
        return Err(IdError::Length { max, got: text.len() });
    }
    for (place, digit) in text.iter().rev().enumerate() {
        let value = (*digit as char).to_digit(16).ok_or(IdError::NotHex)? as u8;
        let byte = bytes.len() - 1 - place / 2;
        bytes[byte] |= value << (4 * (place % 2));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip() {
        // Guarantees that an id survives being shown and read again, in any case, with leading zeros dropped.
        let id: TraceId = "0AF7651916cd43dd8448eb211c80319c".parse().unwrap();
        assert_eq!(id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        let short: SpanId = "1f".parse().unwrap();
        assert_eq!(short.to_string(), "000000000000001f");
    }

    #[test]
    fn bad_hex_is_refused() {
        // Guarantees a typed error for everything that is not an id.
        assert_eq!("xyz".parse::<SpanId>(), Err(IdError::NotHex));
        assert_eq!("".parse::<SpanId>(), Err(IdError::Length { max: 16, got: 0 }));
        assert!("00000000000000000".parse::<SpanId>().is_err());
    }
}
