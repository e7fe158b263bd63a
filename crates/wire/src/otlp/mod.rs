//! OTLP: `TracesData` and `LogsData`, which on the wire are the same as the requests that export them, as protobuf and as JSON.

mod decode_json;
mod decode_protobuf;
mod encode_json;
mod encode_protobuf;
mod group;
mod json_value;
mod logs_json;
mod logs_protobuf;
mod metrics;
mod protobuf_value;
mod span_end;

pub(crate) use decode_json::decode_json;
pub(crate) use decode_protobuf::decode_protobuf;
pub use encode_json::encode_json;
pub use encode_protobuf::encode_protobuf;
pub(crate) use logs_json::decode_logs_json;
pub(crate) use logs_protobuf::decode_logs_protobuf;
pub use metrics::{MetricPoints, count_metric_points};
