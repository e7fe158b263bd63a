//! The columns of `logs.parquet`.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use super::{AttributeColumn, map_type, text_type, time_type};

/// Names of the types of a body, by their numbers in the file's dictionary.
pub(crate) const BODY_TYPES: [&str; 7] = ["empty", "string", "bool", "int", "double", "bytes", "json"];

/// The columns of `logs.parquet`, in the order in which [`crate::segment::group`] builds them.
pub(crate) fn logs_schema(attributes: &[AttributeColumn]) -> Arc<Schema> {
    let mut fields = vec![
        Field::new("time", time_type(), false),
        Field::new("observed_time", time_type(), false),
        Field::new("received_time", time_type(), false),
        Field::new("number", DataType::Int64, false),
        Field::new("trace_id", DataType::FixedSizeBinary(16), true),
        Field::new("span_id", DataType::FixedSizeBinary(8), true),
        Field::new("severity_number", DataType::Int32, false),
        Field::new("severity", text_type(), true),
        Field::new("service", text_type(), false),
        Field::new("event_name", text_type(), true),
        Field::new("body", text_type(), true),
        Field::new("body_type", text_type(), false),
        Field::new("scope_id", DataType::UInt32, false),
        Field::new("flags", DataType::UInt32, false),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
        Field::new("notes", DataType::UInt32, false),
    ];
    fields.extend(attributes.iter().map(|column| Field::new(column.name(), column.column_type.arrow(), true)));
    fields.push(Field::new("attributes", map_type(), true));
    Arc::new(Schema::new(fields))
}
