//! Arrow arrays for the small file of a segment, `scopes.parquet`; spans go through [`super::encode`].

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder};
use model::nested::NestedWriter;
use model::{TextId, TextTable, Value};

use crate::segment::lists::write_json;

/// Builds a map from keys to JSON texts.
pub(crate) type AttributeMap = MapBuilder<StringBuilder, StringBuilder>;

pub(crate) fn map_builder() -> AttributeMap {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
}

/// Appends one attribute to the map that is being built.
pub(crate) fn append_pair(
    map: &mut AttributeMap,
    json: &mut NestedWriter,
    texts: &TextTable,
    key: TextId,
    value: Value,
) {
    map.keys().append_value(texts.str(key));
    json.clear();
    write_json(json, texts, value);
    map.values().append_value(json.text());
}
