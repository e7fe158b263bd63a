//! `KeyValue` and `AnyValue` from protobuf.
//!
//! A oneof keeps what came last, except that an array or map that is given again is continued. So an [`AnyValue`] is first
//! collected as slices, from all places that say something about it, and only then stored.

use model::Value;

use crate::protobuf::{Broken, Cursor, Field, Problem};
use crate::sink::{AttributeCount, NESTING_REFUSED, Sink};

/// A value not yet stored.
#[derive(Debug, Default)]
struct AnyValue<'a> {
    content: Content<'a>,
    /// Further bytes of the same array or map; hardly ever there.
    more: Vec<&'a [u8]>,
}

#[derive(Debug, Default)]
enum Content<'a> {
    #[default]
    Empty,
    Str(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    Array(&'a [u8]),
    Map(&'a [u8]),
}

impl<'a> AnyValue<'a> {
    #[inline]
    fn merge(&mut self, message: &'a [u8]) -> Result<(), Broken> {
        let mut cursor = Cursor::new(message);
        while let Some(field) = cursor.field()? {
            let content = match field {
                (1, Field::Bytes(text)) => Content::Str(text),
                (2, Field::Varint(value)) => Content::Bool(value != 0),
                (3, Field::Varint(value)) => Content::Int(value as i64),
                (4, Field::Fixed64(bits)) => Content::Double(f64::from_bits(bits)),
                (7, Field::Bytes(bytes)) => Content::Bytes(bytes),
                (number @ (5 | 6), Field::Bytes(message)) => {
                    self.merge_nested(number, message);
                    continue;
                }
                // An index into a string table that only profiles have.
                (8, Field::Varint(_)) => Content::Empty,
                _ => continue,
            };
            self.content = content;
        }
        Ok(())
    }

    #[cold]
    fn merge_nested(&mut self, number: u32, message: &'a [u8]) {
        match (number, &self.content) {
            (5, Content::Array(_)) | (6, Content::Map(_)) => self.more.push(message),
            (number, _) => {
                self.more.clear();
                self.content = if number == 5 { Content::Array(message) } else { Content::Map(message) };
            }
        }
    }

    #[inline]
    fn store(self, sink: &mut Sink<'_>) -> Result<Value, Broken> {
        Ok(match self.content {
            Content::Str(text) => sink.string(text),
            Content::Int(value) => Value::Int(value),
            Content::Bool(value) => Value::Bool(value),
            Content::Double(value) => Value::Double(value),
            Content::Empty => Value::Empty,
            Content::Bytes(bytes) => sink.bytes(bytes),
            Content::Array(_) | Content::Map(_) => {
                sink.begin_nested();
                self.write(sink, 1)?;
                sink.end_nested()
            }
        })
    }

    /// Writes the value into the nested value being read; an array or map is at `depth`.
    fn write(self, sink: &mut Sink<'_>, depth: usize) -> Result<(), Broken> {
        match self.content {
            Content::Empty => sink.nested.empty(),
            Content::Str(text) => sink.nested_string(text),
            Content::Bool(value) => sink.nested.bool(value),
            Content::Int(value) => sink.nested.int(value),
            Content::Double(value) => sink.nested.double(value),
            Content::Bytes(bytes) => sink.nested_bytes(bytes),
            Content::Array(first) if sink.nested_may_open(depth) => {
                sink.nested.begin_array();
                write_array(sink, &parts(first, self.more), depth)?;
                sink.nested.end_array();
            }
            Content::Map(first) if sink.nested_may_open(depth) => {
                sink.nested.begin_map();
                write_map(sink, &parts(first, self.more), depth)?;
                sink.nested.end_map();
            }
            Content::Array(first) => check_depth(&parts(first, self.more), depth, false)?,
            Content::Map(first) => check_depth(&parts(first, self.more), depth, true)?,
        }
        Ok(())
    }
}

fn parts<'a>(first: &'a [u8], mut more: Vec<&'a [u8]>) -> Vec<&'a [u8]> {
    more.insert(0, first);
    more
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
            let (key, value) = key_value(message)?;
            sink.nested_key(key);
            value.write(sink, depth + 1)?;
        }
    }
    Ok(())
}

/// Walks an array or map that is not kept, to refuse what nobody can have meant.
fn check_depth(parts: &[&[u8]], depth: usize, is_map: bool) -> Result<(), Broken> {
    for part in parts {
        if depth > NESTING_REFUSED {
            return Err(Broken::at(part, Problem::TooDeep));
        }
        let mut cursor = Cursor::new(part);
        while let Some(field) = cursor.field()? {
            let (1, Field::Bytes(message)) = field else { continue };
            let value = if is_map {
                key_value(message)?.1
            } else {
                let mut value = AnyValue::default();
                value.merge(message)?;
                value
            };
            match value.content {
                Content::Array(first) => check_depth(&self::parts(first, value.more), depth + 1, false)?,
                Content::Map(first) => check_depth(&self::parts(first, value.more), depth + 1, true)?,
                _ => {}
            }
        }
    }
    Ok(())
}

#[inline]
fn key_value(message: &[u8]) -> Result<(&[u8], AnyValue<'_>), Broken> {
    let mut key: &[u8] = &[];
    let mut value = AnyValue::default();
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(bytes)) => key = bytes,
            (2, Field::Bytes(message)) => value.merge(message)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Reads a `KeyValue` into the owner's attributes.
#[inline]
pub(crate) fn attribute(sink: &mut Sink<'_>, count: &mut AttributeCount, message: &[u8]) -> Result<(), Broken> {
    let (key, value) = key_value(message)?;
    if let Some(key) = sink.key(count, key) {
        let value = value.store(sink)?;
        sink.push(count.level, key, value);
    }
    Ok(())
}
