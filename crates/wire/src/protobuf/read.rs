//! [`Cursor`]: the fields of a message, one after the other, borrowed from the bytes they lie in.
//!
//! Lenient where the protobuf specification is (unknown fields, fields in any order, groups), strict where bytes make no sense.
//! A field whose wire type is not the one its schema says is unknown to the reader's `match`, and so is skipped too.

use crate::{DecodeError, Format};

/// How deep unknown groups may nest. prost allows 100 levels in all, so this is never stricter.
const GROUP_DEPTH_MAX: usize = 100;

/// Reads a message's fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

/// The value of a field by its wire type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Bytes that are not protobuf.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Broken {
    /// Address of the byte where reading stopped.
    address: usize,
    problem: Problem,
}

/// What is wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    Truncated,
    Varint,
    Key,
    WireType,
    Group,
    TooDeep,
    TooMuch,
}

impl Problem {
    fn text(self) -> &'static str {
        match self {
            Problem::Truncated => "a field reaches beyond the end of its message",
            Problem::Varint => "a varint is longer than 64 bits",
            Problem::Key => "a field number is out of range",
            Problem::WireType => "an unknown wire type",
            Problem::Group => "a group ends that did not begin",
            Problem::TooDeep => "groups or values nest too deep",
            Problem::TooMuch => "too much for one batch",
        }
    }
}

impl Broken {
    /// What is wrong at the first byte of `rest`.
    #[cold]
    pub(crate) fn at(rest: &[u8], problem: Problem) -> Self {
        Broken { address: rest.as_ptr() as usize, problem }
    }

    /// The refusal of `body`, in which reading stopped.
    pub(crate) fn refusal(&self, format: Format, body: &[u8]) -> DecodeError {
        let offset = self.address.wrapping_sub(body.as_ptr() as usize).min(body.len());
        match self.problem {
            Problem::TooDeep => DecodeError::TooDeep { format, offset },
            problem => DecodeError::Malformed { format, offset, problem: problem.text().to_owned() },
        }
    }
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Cursor { rest: message }
    }

    /// The next field and its number; `None` at the end of the message. Groups are skipped.
    #[expect(
        clippy::inline_always,
        reason = "as a call its result goes through memory, which doubles the time a span takes"
    )]
    #[inline(always)]
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Field<'a>)>, Broken> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let (number, wire_type) = self.key()?;
            let field = match wire_type {
                2 => Field::Bytes(self.bytes()?),
                0 => Field::Varint(self.varint()?),
                1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
                5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
                3 => {
                    self.skip_group(number)?;
                    continue;
                }
                4 => return Err(Broken::at(self.rest, Problem::Group)),
                _ => return Err(Broken::at(self.rest, Problem::WireType)),
            };
            return Ok(Some((number, field)));
        }
    }

    #[inline]
    fn key(&mut self) -> Result<(u32, u32), Broken> {
        let at = self.rest;
        let key = u32::try_from(self.varint()?).map_err(|_| Broken::at(at, Problem::Key))?;
        if key < 8 {
            return Err(Broken::at(at, Problem::Key));
        }
        Ok((key >> 3, key & 7))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Broken> {
        match *self.rest {
            [byte, ref rest @ ..] if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            [low, high, ref rest @ ..] if high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for (place, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                if place == 9 && byte > 1 {
                    break;
                }
                self.rest = &self.rest[place + 1..];
                return Ok(value);
            }
        }
        let problem = if self.rest.len() < 10 { Problem::Truncated } else { Problem::Varint };
        Err(Broken::at(self.rest, problem))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let at = self.rest;
        let length = self.varint()?;
        let cut = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((bytes, rest)) = cut else {
            return Err(Broken::at(at, Problem::Truncated));
        };
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(Broken::at(self.rest, Problem::Truncated));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    /// Skips to the end of a group that just began, its inner groups included, without recursion.
    #[cold]
    fn skip_group(&mut self, number: u32) -> Result<(), Broken> {
        let mut open = [0u32; GROUP_DEPTH_MAX];
        open[0] = number;
        let mut depth = 1;
        while depth > 0 {
            let at = self.rest;
            let (number, wire_type) = self.key()?;
            match wire_type {
                0 => drop(self.varint()?),
                1 => drop(self.array::<8>()?),
                2 => drop(self.bytes()?),
                3 if depth == GROUP_DEPTH_MAX => return Err(Broken::at(at, Problem::TooDeep)),
                3 => {
                    open[depth] = number;
                    depth += 1;
                }
                4 if open[depth - 1] == number => depth -= 1,
                4 => return Err(Broken::at(at, Problem::Group)),
                5 => drop(self.array::<4>()?),
                _ => return Err(Broken::at(at, Problem::WireType)),
            }
        }
        Ok(())
    }
}
