//! Jaeger: batches as Thrift (over HTTP, and as calls of the agent in datagrams) and as protobuf (`jaeger.api_v2.PostSpansRequest`).
//!
//! Where Jaeger's words have a place in the model they go there; every other tag keeps its key and its type:
//!
//! | Jaeger | model |
//! |---|---|
//! | `process` | the resource; `serviceName` is `service.name` |
//! | the parent's id, else the first `CHILD_OF`, else the first `FOLLOWS_FROM` within the trace | the parent |
//! | `FOLLOWS_FROM`, and any further `CHILD_OF` | a link with `opentracing.ref_type` |
//! | `logs` | events, named by the field `event`, else `message` |
//! | tags `span.kind`, `otel.status_code`, `otel.status_description`, `w3c.tracestate` | kind, status, trace state |
//! | the tag `error`, if true | status error |
//! | tags `otel.scope.*`, the older `otel.library.*` | the scope |
//! | the lowest of `flags` | the flag *sampled* |
//! | the flag *debug*, `warnings` | attributes `jaeger.debug`, `jaeger.warnings` |
//!
//! A datagram may also hold the agent's older call, `emitZipkinBatch`: Zipkin v1 spans.

mod decode_protobuf;
mod decode_thrift;
mod intake;
mod record;

pub(crate) use decode_protobuf::decode_protobuf;
pub(crate) use decode_thrift::{decode_agent, decode_batch};
