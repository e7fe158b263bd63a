//! Columns within lists and maps while they are being built: Dremel's levels, written out for the three shapes we have.
//!
//! | column | levels of a value that is there |
//! |---|---|
//! | `attributes` | key 2, value 3; a row begins at repetition 0, its further pairs are at 1 |
//! | a field of `events`, `links` | 2, optional ones 3; an item begins at 0 or 1 |
//! | `events.….attributes`, `links.….attributes` | key 4, value 5; the first pair of an item is at the item's 0 or 1, further ones at 2 |

use model::nested::NestedWriter;
use model::{TextId, TextTable, Value};

use crate::segment::encode::{Column, Presence, Values};

/// Levels of a column within lists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Levels {
    repetition: Vec<u8>,
    definition: Vec<u8>,
}

impl Levels {
    pub(crate) fn push(&mut self, repetition: u8, definition: u8) {
        self.repetition.push(repetition);
        self.definition.push(definition);
    }

    pub(crate) fn into_column(self, values: Values, page_rows: usize) -> Column {
        let presence = Presence::Nested { repetition: self.repetition, definition: self.definition };
        Column { presence, values, page_rows, bounds: None }
    }
}

/// Texts one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Blobs {
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(u32::try_from(self.bytes.len()).expect("the texts of a row group are smaller than 4 GiB"));
    }

    pub(crate) fn into_values(self) -> Values {
        Values::Texts { bytes: self.bytes, ends: self.ends }
    }
}

/// A map from keys to JSON texts.
#[derive(Debug)]
pub(crate) struct MapColumn {
    /// The definition level of an owner without a map.
    absent: u8,
    /// The repetition level of a pair that is not its owner's first.
    further: u8,
    pub(crate) key_levels: Levels,
    pub(crate) value_levels: Levels,
    pub(crate) keys: Vec<TextId>,
    pub(crate) values: Blobs,
    json: NestedWriter,
}

impl MapColumn {
    /// A map that is a column itself.
    pub(crate) fn of_rows() -> Self {
        MapColumn::new(0, 1)
    }

    /// A map that is a field of a list's items.
    pub(crate) fn of_items() -> Self {
        MapColumn::new(2, 2)
    }

    fn new(absent: u8, further: u8) -> Self {
        MapColumn {
            absent,
            further,
            key_levels: Levels::default(),
            value_levels: Levels::default(),
            keys: Vec::new(),
            values: Blobs::default(),
            json: NestedWriter::default(),
        }
    }

    /// Marks an owner that has no list at all.
    pub(crate) fn push_no_list(&mut self) {
        self.key_levels.push(0, 0);
        self.value_levels.push(0, 0);
    }

    /// Marks an owner, which begins at `repetition`, without a map.
    pub(crate) fn push_nothing(&mut self, repetition: u8) {
        self.key_levels.push(repetition, self.absent);
        self.value_levels.push(repetition, self.absent);
    }

    /// Adds a pair; `first` is the repetition level of its owner if it is the owner's first pair.
    pub(crate) fn push_pair(&mut self, first: Option<u8>, key: TextId, texts: &TextTable, value: Value) {
        let repetition = first.unwrap_or(self.further);
        self.key_levels.push(repetition, self.absent + 2);
        self.value_levels.push(repetition, self.absent + 3);
        self.keys.push(key);
        self.json.clear();
        write_json(&mut self.json, texts, value);
        self.values.push(self.json.text().as_bytes());
    }
}

/// Writes a value as the JSON text that map columns hold.
pub(crate) fn write_json(json: &mut NestedWriter, texts: &TextTable, value: Value) {
    match value.resolve(texts) {
        model::ValueRef::Empty => json.empty(),
        model::ValueRef::Str(value) => json.str(value),
        model::ValueRef::Bool(value) => json.bool(value),
        model::ValueRef::Int(value) => json.int(value),
        model::ValueRef::Double(value) => json.double(value),
        model::ValueRef::Bytes(value) => json.bytes(value),
        model::ValueRef::Json(value) => json.canonical(value),
    }
}
