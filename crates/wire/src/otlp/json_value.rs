//! `KeyValue` and `AnyValue` from JSON.
//!
//! An `AnyValue` with more than one value is not JSON of a oneof; the first one that is not `null` counts.

use model::nested::NestedWriter;
use model::{TextId, Value};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess};

use crate::json_read::{Discard, Elements, Fields, List, Object, Scalar, Text, base64_bytes, skip};
use crate::sink::{AttributeCount, Sink};

/// A list of `KeyValue`s that become an owner's attributes.
pub(super) struct AttributeList<'m, 'l> {
    pub(super) sink: &'m mut Sink<'l>,
    pub(super) count: &'m mut AttributeCount,
}

impl Elements for AttributeList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let mut pair = KeyValue { sink: self.sink, count: self.count, key: Key::Absent, value: Value::Empty };
        Object(&mut pair).deserialize(deserializer)?;
        if let Key::Absent = pair.key {
            pair.take_key(&[]);
        }
        let KeyValue { key, value, .. } = pair;
        if let Key::Accepted(key) = key {
            self.sink.push(self.count.level, key, value);
        }
        Ok(())
    }
}

struct KeyValue<'m, 'l> {
    sink: &'m mut Sink<'l>,
    count: &'m mut AttributeCount,
    key: Key,
    value: Value,
}

enum Key {
    Absent,
    Accepted(TextId),
    /// A limit forbids the attribute.
    Refused,
}

impl KeyValue<'_, '_> {
    fn take_key(&mut self, key: &[u8]) {
        self.sink.charge(key.len() + 4);
        self.key = self.sink.key(self.count, key).map_or(Key::Refused, Key::Accepted);
    }
}

impl Fields for KeyValue<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "key" => {
                let key = map.next_value_seed(Text)?.unwrap_or_default();
                self.take_key(&key);
            }
            "value" => {
                let mut value = AnyValue { sink: self.sink, value: None };
                map.next_value_seed(Object(&mut value))?;
                self.value = value.value.unwrap_or_default();
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// A value that belongs to no key; none if it is `null` or empty.
pub(super) fn lone_value<'de, A: MapAccess<'de>>(sink: &mut Sink<'_>, map: &mut A) -> Result<Value, A::Error> {
    let mut value = AnyValue { sink, value: None };
    map.next_value_seed(Object(&mut value))?;
    Ok(value.value.unwrap_or_default())
}

/// The value of an attribute.
struct AnyValue<'m, 'l> {
    sink: &'m mut Sink<'l>,
    value: Option<Value>,
}

impl Fields for AnyValue<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if self.value.is_some() {
            return skip(map);
        }
        let sink = &mut *self.sink;
        self.value = match name {
            "stringValue" => map.next_value_seed(Text)?.map(|text| {
                sink.charge(text.len());
                Value::Str(sink.string(&text))
            }),
            "boolValue" => map.next_value_seed(Scalar)?.boolean()?.map(Value::Bool),
            "intValue" => map.next_value_seed(Scalar)?.integer()?.map(Value::Int),
            "doubleValue" => map.next_value_seed(Scalar)?.double()?.map(Value::Double),
            "bytesValue" => match map.next_value_seed(Text)? {
                Some(text) => {
                    sink.charge(text.len());
                    Some(sink.bytes(&base64_bytes::<A::Error>(&text)?))
                }
                None => None,
            },
            "arrayValue" | "kvlistValue" => {
                sink.begin_nested();
                let is_map = name == "kvlistValue";
                let there = map.next_value_seed(Collection { sink, depth: 1, is_map })?;
                there.then(|| sink.end_nested())
            }
            _ => return skip(map),
        };
        Ok(())
    }
}

/// A value inside an array or map: written once, into the nested value being read.
struct Inner<'m, 'l> {
    sink: &'m mut Sink<'l>,
    /// Where an array or map would be.
    depth: usize,
    written: bool,
}

impl Inner<'_, '_> {
    fn read<'de, D: Deserializer<'de>>(sink: &mut Sink<'_>, depth: usize, deserializer: D) -> Result<(), D::Error> {
        let mut inner = Inner { sink, depth, written: false };
        Object(&mut inner).deserialize(deserializer)?;
        if !inner.written {
            inner.sink.nested.empty();
        }
        Ok(())
    }
}

impl Fields for Inner<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if self.written {
            return skip(map);
        }
        let sink = &mut *self.sink;
        let written = match name {
            "stringValue" => map.next_value_seed(Text)?.map(|text| {
                sink.charge(text.len());
                sink.nested_string(&text);
            }),
            "boolValue" => map.next_value_seed(Scalar)?.boolean()?.map(|value| sink.nested.bool(value)),
            "intValue" => map.next_value_seed(Scalar)?.integer()?.map(|value| sink.nested.int(value)),
            "doubleValue" => map.next_value_seed(Scalar)?.double()?.map(|value| sink.nested.double(value)),
            "bytesValue" => match map.next_value_seed(Text)? {
                Some(text) => {
                    sink.charge(text.len());
                    sink.nested_bytes(&base64_bytes::<A::Error>(&text)?);
                    Some(())
                }
                None => None,
            },
            "arrayValue" | "kvlistValue" => {
                let is_map = name == "kvlistValue";
                map.next_value_seed(Collection { sink, depth: self.depth, is_map })?.then_some(())
            }
            _ => return skip(map),
        };
        self.written = written.is_some();
        Ok(())
    }
}

/// An `ArrayValue` or a `KeyValueList`: both are objects with `values`. Answers whether it was there.
struct Collection<'m, 'l> {
    sink: &'m mut Sink<'l>,
    depth: usize,
    is_map: bool,
}

impl<'de> DeserializeSeed<'de> for Collection<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(CollectionVisitor(&mut self))
    }
}

struct CollectionVisitor<'c, 'm, 'l>(&'c mut Collection<'m, 'l>);

impl<'de> serde::de::Visitor<'de> for CollectionVisitor<'_, '_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with values")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        let collection = self.0;
        if !collection.sink.nested_may_open(collection.depth) {
            return serde::de::Visitor::visit_map(Discard, map).map(|()| true);
        }
        if collection.is_map {
            collection.sink.nested.begin_map();
        } else {
            collection.sink.nested.begin_array();
        }
        Object(&mut *collection).visit_fields(map)?;
        if collection.is_map {
            collection.sink.nested.end_map();
        } else {
            collection.sink.nested.end_array();
        }
        Ok(true)
    }
}

impl Fields for Collection<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "values" => map.next_value_seed(List(self)),
            _ => skip(map),
        }
    }
}

impl Elements for Collection<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        self.sink.charge(2);
        if !self.sink.nested_has_room() {
            return IgnoredAny::deserialize(deserializer).map(drop);
        }
        if !self.is_map {
            return Inner::read(self.sink, self.depth + 1, deserializer);
        }
        let mut entry = Entry { sink: self.sink, depth: self.depth + 1, key: None, early: None, written: false };
        Object(&mut entry).deserialize(deserializer)?;
        entry.close();
        Ok(())
    }
}

/// An entry of a map, whose key may come after its value.
struct Entry<'m, 'l> {
    sink: &'m mut Sink<'l>,
    /// Where an array or map as its value would be.
    depth: usize,
    key: Option<Vec<u8>>,
    /// The canonical text of a value that came before its key.
    early: Option<NestedWriter>,
    written: bool,
}

impl Entry<'_, '_> {
    fn close(self) {
        if self.written {
            return;
        }
        self.sink.nested_key(self.key.as_deref().unwrap_or_default());
        match self.early {
            Some(early) => self.sink.nested.canonical(early.text()),
            None => self.sink.nested.empty(),
        }
    }
}

impl Fields for Entry<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "key" => {
                let key = map.next_value_seed(Text)?.unwrap_or_default();
                self.sink.charge(key.len());
                self.key = Some(key.into_owned());
            }
            "value" if self.written => skip(map)?,
            "value" => match &self.key {
                Some(key) => {
                    self.sink.nested_key(key);
                    self.written = true;
                    map.next_value_seed(InnerSeed { sink: self.sink, depth: self.depth })?;
                }
                None => self.early = Some(self.read_early(map)?),
            },
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Entry<'_, '_> {
    fn read_early<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<NestedWriter, A::Error> {
        let outer = std::mem::take(&mut self.sink.nested);
        let read = map.next_value_seed(InnerSeed { sink: self.sink, depth: self.depth });
        let early = std::mem::replace(&mut self.sink.nested, outer);
        read.map(|()| early)
    }
}

struct InnerSeed<'m, 'l> {
    sink: &'m mut Sink<'l>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for InnerSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        Inner::read(self.sink, self.depth, deserializer)
    }
}
