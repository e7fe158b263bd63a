//! `KeyValue` and `AnyValue` from protobuf.
//!
//! A oneof keeps what came last, except that an array or map that is given again is continued. So an [`AnyValue`] is first
//! collected as slices, from all places that say something about it, and only then stored.

use model::{Level, TextId, Value};

use crate::protobuf::{Broken, Cursor, Field, Problem};
use crate::sink::{AttributeCount, NESTING_REFUSED, Sink};

/// A value not yet stored. A struct of plain words rather than an enum: it lives in registers.
#[derive(Debug, Default)]
pub(super) struct AnyValue<'a> {
    kind: Kind,
    /// A boolean, an integer, or the bits of a double.
    scalar: u64,
    /// A string, bytes, or the message of an array or map.
    bytes: &'a [u8],
    /// Further messages of the same array or map; hardly ever there.
    more: Vec<&'a [u8]>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[default]
    Empty,
    Str,
    Bool,
    Int,
    Double,
    Bytes,
    Array,
    Map,
}

impl<'a> AnyValue<'a> {
    #[inline]
    pub(super) fn merge(&mut self, message: &'a [u8]) -> Result<(), Broken> {
        let mut cursor = Cursor::new(message);
        while let Some(field) = cursor.field()? {
            match field {
                (1, Field::Bytes(text)) => self.set(Kind::Str, 0, text),
                (2, Field::Varint(value)) => self.set(Kind::Bool, value, &[]),
                (3, Field::Varint(value)) => self.set(Kind::Int, value, &[]),
                (4, Field::Fixed64(bits)) => self.set(Kind::Double, bits, &[]),
                (7, Field::Bytes(bytes)) => self.set(Kind::Bytes, 0, bytes),
                (5, Field::Bytes(message)) => self.merge_nested(Kind::Array, message),
                (6, Field::Bytes(message)) => self.merge_nested(Kind::Map, message),
                // An index into a string table that only profiles have.
                (8, Field::Varint(_)) => self.set(Kind::Empty, 0, &[]),
                _ => {}
            }
        }
        Ok(())
    }

    #[inline]
    fn set(&mut self, kind: Kind, scalar: u64, bytes: &'a [u8]) {
        self.kind = kind;
        self.scalar = scalar;
        self.bytes = bytes;
    }

    #[cold]
    fn merge_nested(&mut self, kind: Kind, message: &'a [u8]) {
        if self.kind == kind {
            self.more.push(message);
        } else {
            self.more.clear();
            self.set(kind, 0, message);
        }
    }

    /// Adds the value under a key. Each kind pushes for itself, so that no value is put together only to be copied.
    #[inline]
    fn push(self, sink: &mut Sink<'_>, level: Level, key: TextId) -> Result<(), Broken> {
        match self.kind {
            Kind::Str => {
                let text = sink.string(self.bytes);
                sink.push(level, key, Value::Str(text));
            }
            Kind::Int => sink.push(level, key, Value::Int(self.scalar as i64)),
            Kind::Bool => sink.push(level, key, Value::Bool(self.scalar != 0)),
            Kind::Double => sink.push(level, key, Value::Double(f64::from_bits(self.scalar))),
            Kind::Empty | Kind::Bytes | Kind::Array | Kind::Map => {
                let value = self.store_unusual(sink)?;
                sink.push(level, key, value);
            }
        }
        Ok(())
    }

    /// Stores a value that belongs to no key.
    pub(super) fn store(self, sink: &mut Sink<'_>) -> Result<Value, Broken> {
        match self.kind {
            Kind::Str => Ok(Value::Str(sink.text(self.bytes))),
            Kind::Int => Ok(Value::Int(self.scalar as i64)),
            Kind::Bool => Ok(Value::Bool(self.scalar != 0)),
            Kind::Double => Ok(Value::Double(f64::from_bits(self.scalar))),
            Kind::Empty | Kind::Bytes | Kind::Array | Kind::Map => self.store_unusual(sink),
        }
    }

    #[cold]
    fn store_unusual(self, sink: &mut Sink<'_>) -> Result<Value, Broken> {
        match self.kind {
            Kind::Bytes => Ok(sink.bytes(self.bytes)),
            Kind::Array | Kind::Map => {
                sink.begin_nested();
                self.write(sink, 1)?;
                Ok(sink.end_nested())
            }
            _ => Ok(Value::Empty),
        }
    }

    /// Writes the value into the nested value being read; an array or map is at `depth`.
    fn write(self, sink: &mut Sink<'_>, depth: usize) -> Result<(), Broken> {
        match self.kind {
            Kind::Empty => sink.nested.empty(),
            Kind::Str => sink.nested_string(self.bytes),
            Kind::Bool => sink.nested.bool(self.scalar != 0),
            Kind::Int => sink.nested.int(self.scalar as i64),
            Kind::Double => sink.nested.double(f64::from_bits(self.scalar)),
            Kind::Bytes => sink.nested_bytes(self.bytes),
            Kind::Array | Kind::Map if !sink.nested_may_open(depth) => self.check_depth(depth)?,
            Kind::Array => {
                sink.nested.begin_array();
                write_array(sink, &self.parts(), depth)?;
                sink.nested.end_array();
            }
            Kind::Map => {
                sink.nested.begin_map();
                write_map(sink, &self.parts(), depth)?;
                sink.nested.end_map();
            }
        }
        Ok(())
    }

    /// All messages of an array or map.
    fn parts(self) -> Vec<&'a [u8]> {
        let mut parts = self.more;
        parts.insert(0, self.bytes);
        parts
    }

    /// Walks an array or map that is not kept, to refuse what nobody can have meant.
    fn check_depth(self, depth: usize) -> Result<(), Broken> {
        let is_map = match self.kind {
            Kind::Array => false,
            Kind::Map => true,
            _ => return Ok(()),
        };
        if depth > NESTING_REFUSED {
            return Err(Broken::at(self.bytes, Problem::TooDeep));
        }
        for part in self.parts() {
            let mut cursor = Cursor::new(part);
            while let Some(field) = cursor.field()? {
                let (1, Field::Bytes(message)) = field else { continue };
                let mut inner = KeyValue::default();
                if is_map {
                    inner.merge(message)?;
                } else {
                    inner.value.merge(message)?;
                }
                inner.value.check_depth(depth + 1)?;
            }
        }
        Ok(())
    }
}

fn write_array(sink: &mut Sink<'_>, parts: &[&[u8]], depth: usize) -> Result<(), Broken> {
    for part in parts {
        let mut cursor = Cursor::new(part);
        while let Some(field) = cursor.field()? {
            let (1, Field::Bytes(message)) = field else { continue };
            if !sink.nested_has_room() {
                return Ok(());
            }
            let mut value = AnyValue::default();
            value.merge(message)?;
            value.write(sink, depth + 1)?;
        }
    }
    Ok(())
}

fn write_map(sink: &mut Sink<'_>, parts: &[&[u8]], depth: usize) -> Result<(), Broken> {
    for part in parts {
        let mut cursor = Cursor::new(part);
        while let Some(field) = cursor.field()? {
            let (1, Field::Bytes(message)) = field else { continue };
            if !sink.nested_has_room() {
                return Ok(());
            }
            let mut pair = KeyValue::default();
            pair.merge(message)?;
            sink.nested_key(pair.key);
            pair.value.write(sink, depth + 1)?;
        }
    }
    Ok(())
}

/// A pair not yet stored.
#[derive(Debug, Default)]
struct KeyValue<'a> {
    key: &'a [u8],
    value: AnyValue<'a>,
}

impl<'a> KeyValue<'a> {
    #[inline]
    fn merge(&mut self, message: &'a [u8]) -> Result<(), Broken> {
        let mut cursor = Cursor::new(message);
        while let Some(field) = cursor.field()? {
            match field {
                (1, Field::Bytes(bytes)) => self.key = bytes,
                (2, Field::Bytes(message)) => self.value.merge(message)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads a `KeyValue` into the owner's attributes.
#[inline]
pub(crate) fn attribute(sink: &mut Sink<'_>, count: &mut AttributeCount, message: &[u8]) -> Result<(), Broken> {
    let mut pair = KeyValue::default();
    pair.merge(message)?;
    if let Some(key) = sink.key(count, pair.key) {
        pair.value.push(sink, count.level, key)?;
    }
    Ok(())
}
