//! Zipkin: v2 as JSON and as protobuf (`zipkin2.proto3.ListOfSpans`), and v1 as JSON and Thrift, which `v1` makes v2 of.
//!
//! Where Zipkin's words have a place in the model they go there, both ways:
//!
//! | Zipkin | model |
//! |---|---|
//! | `localEndpoint` | the resource: `service.name`, `network.local.address`, `network.local.port` |
//! | `remoteEndpoint` | attributes `peer.service`, `network.peer.address`, `network.peer.port` |
//! | an endpoint's other address, or one that is not an address | attribute `zipkin.{local,remote}.{ipv4,ipv6}` |
//! | `annotations` | events; `"name": {…}`, as OpenTelemetry writes an event with attributes, becomes one again |
//! | `tags` | attributes |
//! | `kind`, or the tag `span.kind` where Zipkin has none | the kind |
//! | the tag `error` (any value but `false`) | status error, with the value as its message unless it is `true` or empty |
//! | tags `otel.status_code`, `otel.status_description` | the status |
//! | tags `otel.scope.*`, the older `otel.library.*` | the scope |
//! | tags `w3c.tracestate`, `otel.dropped_*_count`, `otlp.link.N` | trace state, dropped counts, links |
//! | `shared`, `debug`, a kind nobody knows | attributes `zipkin.shared`, `zipkin.debug`, `zipkin.kind` |
//!
//! Encoding gives all of it back, and writes the attributes of resource and scope as tags. What Zipkin cannot carry: types of
//! tags, repeated keys, nanoseconds, flags, schema URLs, and which tag was the resource's, the scope's or the span's own.

mod decode_json;
mod decode_protobuf;
mod decode_v1_json;
mod decode_v1_thrift;
mod encode_json;
mod intake;
mod record;
mod tags;
mod v1;

pub(crate) use decode_json::decode_json;
pub(crate) use decode_protobuf::decode_protobuf;
pub(crate) use decode_v1_json::decode_v1_json;
pub(crate) use decode_v1_thrift::{decode_v1_thrift, read_v1_list};
pub use encode_json::encode_json;

/// Names that decoding and encoding share.
mod names {
    pub(super) const SERVICE_NAME: &str = "service.name";
    pub(super) const ERROR: &str = "error";
    pub(super) const STATUS_CODE: &str = "otel.status_code";
    pub(super) const STATUS_DESCRIPTION: &str = "otel.status_description";
    pub(super) const SCOPE_NAME: &str = "otel.scope.name";
    pub(super) const SCOPE_VERSION: &str = "otel.scope.version";
    pub(super) const LIBRARY_NAME: &str = "otel.library.name";
    pub(super) const LIBRARY_VERSION: &str = "otel.library.version";
    pub(super) const TRACE_STATE: &str = "w3c.tracestate";
    pub(super) const SPAN_KIND: &str = "span.kind";
    pub(super) const DROPPED_ATTRIBUTES: &str = "otel.dropped_attributes_count";
    pub(super) const DROPPED_EVENTS: &str = "otel.dropped_events_count";
    pub(super) const DROPPED_LINKS: &str = "otel.dropped_links_count";
    pub(super) const LINK_PREFIX: &str = "otlp.link.";
    pub(super) const KIND: &str = "zipkin.kind";
    pub(super) const SHARED: &str = "zipkin.shared";
    pub(super) const DEBUG: &str = "zipkin.debug";

    /// Under which keys an endpoint lies.
    pub(super) struct EndpointNames {
        pub(super) service: &'static str,
        pub(super) address: &'static str,
        pub(super) port: &'static str,
        /// For what has no place above, or whose place is taken by a tag.
        pub(super) own_service: &'static str,
        pub(super) own_ipv4: &'static str,
        pub(super) own_ipv6: &'static str,
        pub(super) own_port: &'static str,
    }

    pub(super) const LOCAL: EndpointNames = EndpointNames {
        service: SERVICE_NAME,
        address: "network.local.address",
        port: "network.local.port",
        own_service: "zipkin.local.service_name",
        own_ipv4: "zipkin.local.ipv4",
        own_ipv6: "zipkin.local.ipv6",
        own_port: "zipkin.local.port",
    };

    pub(super) const REMOTE: EndpointNames = EndpointNames {
        service: "peer.service",
        address: "network.peer.address",
        port: "network.peer.port",
        own_service: "zipkin.remote.service_name",
        own_ipv4: "zipkin.remote.ipv4",
        own_ipv6: "zipkin.remote.ipv6",
        own_port: "zipkin.remote.port",
    };
}
