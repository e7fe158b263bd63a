//! [`Reader`]: values of Apache Thrift's two encodings, one after the other, borrowed from the bytes they lie in.
//!
//! Knows no schema: a caller matches a field's number together with its [`Value`], and gives back what it did not expect with
//! [`Reader::skip`], so that a field of another type than its schema says is unknown and nothing worse. Lists are entered by their
//! length, which is checked against the bytes that are left before anybody believes it.

use crate::{DecodeError, Format};

/// How deep structs, lists and maps that nobody asked for may nest.
const SKIP_DEPTH_MAX: usize = 64;
/// The first two bytes of a message in the strict binary encoding.
const BINARY_VERSION: u16 = 0x8001;
/// The first byte of a message in the compact encoding, and the version in the low bits of its second.
const COMPACT_PROTOCOL: u8 = 0x82;
const COMPACT_VERSION: u8 = 1;

/// Which of the two encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Binary,
    Compact,
}

/// Reads values.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    body: &'a [u8],
    rest: &'a [u8],
    encoding: Encoding,
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// A boolean whose value is in its type, as the compact encoding has it in fields.
    Known(bool),
    Bool,
    I8,
    I16,
    I32,
    I64,
    Double,
    Bytes,
    Struct,
    Map,
    List,
}

/// A value. Containers are only opened: their contents come next, and must be read or skipped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    Struct,
    /// A list or set with the type of its elements and their number.
    List(Type, usize),
    /// A map with the types of keys and values and the number of pairs.
    Map(Type, Type, usize),
}

/// Where a struct is being read: the compact encoding counts fields from the one before.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    last: i16,
}

/// Bytes that are not Thrift.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Broken {
    offset: usize,
    problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    Truncated,
    Varint,
    Type,
    Version,
    Unexpected(&'static str),
    TooDeep,
    TooMuch,
}

impl Broken {
    pub(crate) fn refusal(self, format: Format) -> DecodeError {
        let problem = match self.problem {
            Problem::TooDeep => return DecodeError::TooDeep { format, offset: self.offset },
            Problem::Truncated => "a value reaches beyond the end",
            Problem::Varint => "a number is longer than its type",
            Problem::Type => "an unknown type",
            Problem::Version => "an unknown version of the encoding",
            Problem::Unexpected(problem) => problem,
            Problem::TooMuch => "too much for one batch",
        };
        DecodeError::Malformed { format, offset: self.offset, problem: problem.to_owned() }
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8], encoding: Encoding) -> Self {
        Reader { body, rest: body, encoding }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> usize {
        self.body.len() - self.rest.len()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    #[cold]
    fn broken(&self, problem: Problem) -> Broken {
        Broken { offset: self.offset(), problem }
    }

    /// Reading cannot go on, because something else should be here.
    #[cold]
    pub(crate) fn unexpected(&self, problem: &'static str) -> Broken {
        self.broken(Problem::Unexpected(problem))
    }

    /// Reading stops, because the batch is full.
    #[cold]
    pub(crate) fn too_much(&self) -> Broken {
        self.broken(Problem::TooMuch)
    }

    /// The head of a message; answers its name. Its arguments, a struct, come next.
    pub(crate) fn message(&mut self) -> Result<&'a [u8], Broken> {
        match self.encoding {
            Encoding::Compact => {
                let [protocol, version] = self.array()?;
                if protocol != COMPACT_PROTOCOL || version & 0x1f != COMPACT_VERSION {
                    return Err(self.broken(Problem::Version));
                }
                self.varint()?;
                self.bytes()
            }
            Encoding::Binary if self.rest.first().is_some_and(|&byte| byte >= 0x80) => {
                let [high, low, _, _] = self.array()?;
                if u16::from_be_bytes([high, low]) != BINARY_VERSION {
                    return Err(self.broken(Problem::Version));
                }
                let name = self.bytes()?;
                self.array::<4>()?;
                Ok(name)
            }
            // Without a version: name, type, sequence number.
            Encoding::Binary => {
                let name = self.bytes()?;
                self.array::<5>()?;
                Ok(name)
            }
        }
    }

    /// The next field of a struct and its number; `None` at the struct's end.
    pub(crate) fn field(&mut self, fields: &mut Fields) -> Result<Option<(i16, Value<'a>)>, Broken> {
        let [head] = self.array()?;
        if head == 0 {
            return Ok(None);
        }
        let value_type = match self.encoding {
            Encoding::Binary => {
                fields.last = i16::from_be_bytes(self.array()?);
                self.binary_type(head)?
            }
            Encoding::Compact => {
                fields.last = match head >> 4 {
                    0 => self.zigzag()? as i16,
                    delta => fields.last.wrapping_add(i16::from(delta)),
                };
                match head & 0x0f {
                    1 => Type::Known(true),
                    2 => Type::Known(false),
                    other => self.compact_type(other)?,
                }
            }
        };
        Ok(Some((fields.last, self.value(value_type)?)))
    }

    /// A value of a type: an element of a list, a key or a value of a map.
    pub(crate) fn value(&mut self, value_type: Type) -> Result<Value<'a>, Broken> {
        Ok(match value_type {
            Type::Known(value) => Value::Bool(value),
            // In lists the compact encoding has 1 for true and 2, or 0, for false.
            Type::Bool => Value::Bool(self.array::<1>()? == [1]),
            Type::I8 => Value::Int(i64::from(i8::from_be_bytes(self.array()?))),
            Type::I16 => Value::Int(match self.encoding {
                Encoding::Binary => i64::from(i16::from_be_bytes(self.array()?)),
                Encoding::Compact => self.zigzag()?,
            }),
            Type::I32 => Value::Int(match self.encoding {
                Encoding::Binary => i64::from(i32::from_be_bytes(self.array()?)),
                Encoding::Compact => self.zigzag()?,
            }),
            Type::I64 => Value::Int(match self.encoding {
                Encoding::Binary => i64::from_be_bytes(self.array()?),
                Encoding::Compact => self.zigzag()?,
            }),
            Type::Double => Value::Double(match self.encoding {
                Encoding::Binary => f64::from_be_bytes(self.array()?),
                Encoding::Compact => f64::from_le_bytes(self.array()?),
            }),
            Type::Bytes => Value::Bytes(self.bytes()?),
            Type::Struct => Value::Struct,
            Type::List => self.list()?,
            Type::Map => self.map()?,
        })
    }

    /// Passes over what is left of a value whose beginning was read.
    pub(crate) fn skip(&mut self, value: Value<'a>) -> Result<(), Broken> {
        self.skip_at(value, SKIP_DEPTH_MAX)
    }

    fn skip_at(&mut self, value: Value<'a>, depth: usize) -> Result<(), Broken> {
        let (types, count) = match value {
            Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Bytes(_) => return Ok(()),
            _ if depth == 0 => return Err(self.broken(Problem::TooDeep)),
            Value::Struct => {
                let mut fields = Fields::default();
                while let Some((_, value)) = self.field(&mut fields)? {
                    self.skip_at(value, depth - 1)?;
                }
                return Ok(());
            }
            Value::List(element, count) => ([Some(element), None], count),
            Value::Map(key, value, count) => ([Some(key), Some(value)], count),
        };
        for _ in 0..count {
            for value_type in types.into_iter().flatten() {
                let value = self.value(value_type)?;
                self.skip_at(value, depth - 1)?;
            }
        }
        Ok(())
    }

    /// The beginning of a list that is a body of its own.
    pub(crate) fn list(&mut self) -> Result<Value<'a>, Broken> {
        let [head] = self.array()?;
        let (element, count) = match self.encoding {
            Encoding::Binary => (self.binary_type(head)?, u64::from(u32::from_be_bytes(self.array()?))),
            Encoding::Compact => {
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                (self.element_type(head & 0x0f)?, count)
            }
        };
        Ok(Value::List(element, self.count(count)?))
    }

    fn map(&mut self) -> Result<Value<'a>, Broken> {
        let (key, value, count) = match self.encoding {
            Encoding::Binary => {
                let [key, value] = self.array()?;
                let count = u32::from_be_bytes(self.array()?);
                if count == 0 {
                    return Ok(Value::Map(Type::I8, Type::I8, 0));
                }
                (self.binary_type(key)?, self.binary_type(value)?, u64::from(count))
            }
            Encoding::Compact => {
                let count = self.varint()?;
                if count == 0 {
                    return Ok(Value::Map(Type::I8, Type::I8, 0));
                }
                let [types] = self.array()?;
                (self.element_type(types >> 4)?, self.element_type(types & 0x0f)?, count)
            }
        };
        Ok(Value::Map(key, value, self.count(count)?))
    }

    /// Every element takes a byte at least, so that no more can come than bytes are left.
    fn count(&self, count: u64) -> Result<usize, Broken> {
        let count = usize::try_from(count).ok().filter(|&count| count <= self.rest.len());
        count.ok_or_else(|| self.broken(Problem::Truncated))
    }

    fn binary_type(&self, number: u8) -> Result<Type, Broken> {
        Ok(match number {
            2 => Type::Bool,
            3 => Type::I8,
            4 => Type::Double,
            6 => Type::I16,
            8 => Type::I32,
            10 => Type::I64,
            11 => Type::Bytes,
            12 => Type::Struct,
            13 => Type::Map,
            14 | 15 => Type::List,
            _ => return Err(self.broken(Problem::Type)),
        })
    }

    fn element_type(&self, number: u8) -> Result<Type, Broken> {
        if matches!(number, 1 | 2) { Ok(Type::Bool) } else { self.compact_type(number) }
    }

    fn compact_type(&self, number: u8) -> Result<Type, Broken> {
        Ok(match number {
            3 => Type::I8,
            4 => Type::I16,
            5 => Type::I32,
            6 => Type::I64,
            7 => Type::Double,
            8 => Type::Bytes,
            9 | 10 => Type::List,
            11 => Type::Map,
            12 => Type::Struct,
            _ => return Err(self.broken(Problem::Type)),
        })
    }

    fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = match self.encoding {
            Encoding::Binary => u64::from(u32::from_be_bytes(self.array()?)),
            Encoding::Compact => self.varint()?,
        };
        let cut = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (bytes, rest) = cut.ok_or_else(|| self.broken(Problem::Truncated))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn zigzag(&mut self) -> Result<i64, Broken> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn varint(&mut self) -> Result<u64, Broken> {
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
        Err(self.broken(if self.rest.len() < 10 { Problem::Truncated } else { Problem::Varint }))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.broken(Problem::Truncated))?;
        self.rest = rest;
        Ok(*bytes)
    }
}
