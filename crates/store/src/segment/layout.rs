//! The columns of `spans.parquet` and `scopes.parquet`: names, types, encodings.
//!
//! Names are for people who open the files with DuckDB, pandas or ClickHouse; `docs/format.md` is the reference. A frequent
//! attribute key `K` is the column `attr.K` of its own type, all others are in the map column `attributes`, whose values are
//! JSON texts (see [`model::nested`]) so that no type is lost.

mod logs;

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use model::Value;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use serde::{Deserialize, Serialize};

use crate::options::PAGE_ROWS_MAX;
pub(crate) use logs::{BODY_TYPES, logs_schema};

/// What precedes the key in the name of an attribute's own column.
pub(crate) const ATTRIBUTE_PREFIX: &str = "attr.";

/// The type of an attribute's own column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColumnType {
    String,
    Int,
    Double,
    Bool,
    /// Arrays and maps as canonical JSON.
    Json,
}

impl ColumnType {
    /// The type of the column that could hold a value, if one could.
    pub(crate) fn of(value: Value) -> Option<ColumnType> {
        match value {
            Value::Str(_) => Some(ColumnType::String),
            Value::Int(_) => Some(ColumnType::Int),
            Value::Double(_) => Some(ColumnType::Double),
            Value::Bool(_) => Some(ColumnType::Bool),
            Value::Json(_) => Some(ColumnType::Json),
            Value::Bytes(_) | Value::Empty => None,
        }
    }

    fn arrow(self) -> DataType {
        match self {
            ColumnType::String | ColumnType::Json => text_type(),
            ColumnType::Int => DataType::Int64,
            ColumnType::Double => DataType::Float64,
            ColumnType::Bool => DataType::Boolean,
        }
    }
}

/// An attribute key with a column of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AttributeColumn {
    pub(crate) key: String,
    #[serde(rename = "type")]
    pub(crate) column_type: ColumnType,
}

impl AttributeColumn {
    pub(crate) fn name(&self) -> String {
        format!("{ATTRIBUTE_PREFIX}{}", self.key)
    }
}

/// Texts are handed to Parquet as numbers into a shared list of texts; in the file they are plain strings.
pub(crate) fn text_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Instants: nanoseconds since 1970 in UTC.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The fields of a map entry, as the map builders of Arrow name them.
pub(crate) fn map_type() -> DataType {
    let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
}

pub(crate) fn event_fields() -> Fields {
    Fields::from(vec![
        Field::new("time", time_type(), false),
        Field::new("name", DataType::Utf8, false),
        Field::new("attributes", map_type(), true),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
    ])
}

pub(crate) fn link_fields() -> Fields {
    Fields::from(vec![
        Field::new("trace_id", DataType::FixedSizeBinary(16), false),
        Field::new("span_id", DataType::FixedSizeBinary(8), false),
        Field::new("trace_state", DataType::Utf8, true),
        Field::new("flags", DataType::UInt32, false),
        Field::new("attributes", map_type(), true),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
    ])
}

/// The columns of `spans.parquet`.
pub(crate) fn spans_schema(attributes: &[AttributeColumn]) -> Arc<Schema> {
    let mut fields = vec![
        Field::new("trace_id", DataType::FixedSizeBinary(16), false),
        Field::new("span_id", DataType::FixedSizeBinary(8), false),
        Field::new("parent_distance", DataType::Int32, true),
        Field::new("parent_span_id", DataType::FixedSizeBinary(8), true),
        Field::new("start_time", time_type(), false),
        Field::new("duration_ns", DataType::Int64, false),
        Field::new("service", text_type(), false),
        Field::new("name", text_type(), false),
        Field::new("kind", text_type(), false),
        Field::new("status", text_type(), false),
        Field::new("status_message", text_type(), true),
        Field::new("scope_id", DataType::UInt32, false),
        Field::new("trace_state", text_type(), true),
        Field::new("flags", DataType::UInt32, false),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
        Field::new("dropped_events_count", DataType::UInt32, false),
        Field::new("dropped_links_count", DataType::UInt32, false),
        Field::new("notes", DataType::UInt32, false),
    ];
    fields.extend(attributes.iter().map(|column| Field::new(column.name(), column.column_type.arrow(), true)));
    let item = |fields| Arc::new(Field::new("element", DataType::Struct(fields), false));
    fields.push(Field::new("attributes", map_type(), true));
    fields.push(Field::new("events", DataType::List(item(event_fields())), true));
    fields.push(Field::new("links", DataType::List(item(link_fields())), true));
    Arc::new(Schema::new(fields))
}

/// The columns of `scopes.parquet`.
pub(crate) fn scopes_schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("scope_id", DataType::UInt32, false),
        Field::new("scope_name", DataType::Utf8, false),
        Field::new("scope_version", DataType::Utf8, false),
        Field::new("scope_attributes", map_type(), true),
        Field::new("scope_dropped_attributes_count", DataType::UInt32, false),
        Field::new("scope_schema_url", DataType::Utf8, false),
        Field::new("resource_id", DataType::UInt32, false),
        Field::new("service", DataType::Utf8, false),
        Field::new("resource_attributes", map_type(), true),
        Field::new("resource_dropped_attributes_count", DataType::UInt32, false),
        Field::new("resource_schema_url", DataType::Utf8, false),
    ]))
}

fn common_properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("zstd has a level 1")))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(32))
        .set_created_by(concat!("longspan ", env!("CARGO_PKG_VERSION")).to_owned())
}

/// What the footer of `spans.parquet` says; its columns are encoded by [`super::encode`].
pub(crate) fn spans_properties() -> WriterProperties {
    common_properties().build()
}

/// How `scopes.parquet` is encoded.
pub(crate) fn small_properties() -> WriterProperties {
    common_properties().set_data_page_row_count_limit(PAGE_ROWS_MAX).build()
}
