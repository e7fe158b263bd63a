//! Every receiver with every encoding it takes and every compression: a request with everything its protocol can say becomes the same
//! trace whichever way it comes.

use std::io::Write;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http_body_util::BodyExt;
use serde_json::Value;
use server::routes;
use tower::ServiceExt;

use crate::server::TestServer;

#[path = "../../../wire/tests/wire/seeds.rs"]
#[expect(dead_code, reason = "not all bodies are needed here")]
mod seeds;
#[path = "../../../wire/tests/wire/thrift_seeds.rs"]
#[expect(dead_code, reason = "not all bodies are needed here")]
mod thrift_seeds;

const COMPRESSIONS: [&str; 4] = ["identity", "gzip", "deflate", "zstd"];
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";
const THRIFT: &str = "application/x-thrift";
const GRPC: &str = "application/grpc";

/// A way in.
struct Way {
    name: &'static str,
    router: Router,
    path: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    /// The traces of the body.
    traces: &'static [&'static str],
}

#[rustfmt::skip]
fn ways(server: &TestServer) -> Vec<Way> {
    let app = server.running().app();
    let (otlp, zipkin) = (routes::otlp(app), routes::zipkin(app));
    let way = |name, router: &Router, path, content_type, bodies: Vec<Vec<u8>>, traces| {
        Way { name, router: router.clone(), path, content_type, body: bodies.into_iter().next().unwrap(), traces }
    };
    vec![
        way("otlp_http_protobuf", &otlp, "/v1/traces", PROTOBUF, seeds::otlp_protobuf(), &["01010101010101010101010101010101"]),
        way("otlp_http_json", &otlp, "/v1/traces", JSON, seeds::otlp_json(), &["5b8efff798038103d269b633813fc60c"]),
        way("otlp_grpc", &otlp, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", GRPC, seeds::otlp_protobuf(), &["01010101010101010101010101010101"]),
        way("zipkin_json", &zipkin, "/api/v2/spans", JSON, seeds::zipkin_json(), &["00000000000000005af7183fb1d4cf5f"]),
        way("zipkin_protobuf", &zipkin, "/api/v2/spans", PROTOBUF, seeds::zipkin_protobuf(), &["00000000000000000101010101010101"]),
        way("zipkin_v1_json", &zipkin, "/api/v1/spans", JSON, seeds::zipkin_v1_json(), &["48485a3953bb61246b221d5bc9e6496c"]),
        way("zipkin_v1_thrift", &zipkin, "/api/v1/spans", THRIFT, thrift_seeds::zipkin_v1_thrift(), &["00000000000000040000000000000005"]),
        way("jaeger_http", &routes::jaeger_http(app), "/api/traces", THRIFT, thrift_seeds::jaeger_thrift(), &["00000000000000080000000000000007"]),
        way("jaeger_grpc", &routes::jaeger_grpc(app), "/jaeger.api_v2.CollectorService/PostSpans", GRPC, seeds::jaeger_protobuf(), &["07070707070707070707070707070707", "00000000000000000707070707070707"]),
        way("opencensus", &routes::opencensus(app), "/opencensus.proto.agent.trace.v1.TraceService/Export", GRPC, seeds::opencensus_protobuf(), &["01010101010101010101010101010101"]),
        way("xray_http", &routes::xray(app), "/TraceSegments", JSON, seeds::xray_documents(), &["581cf771a006649127e371903a2de979"]),
    ]
}

fn compress(compression: &str, body: &[u8]) -> Vec<u8> {
    match compression {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::bulk::compress(body, 1).unwrap(),
        _ => body.to_vec(),
    }
}

fn request(way: &Way, compression: &str) -> Request<Body> {
    let compressed = compress(compression, &way.body);
    let request = Request::post(way.path).header("content-type", way.content_type);
    if way.content_type == GRPC {
        let flag = u8::from(compression != "identity");
        let framed = [vec![flag], (compressed.len() as u32).to_be_bytes().to_vec(), compressed].concat();
        return request.header("grpc-encoding", compression).body(Body::from(framed)).unwrap();
    }
    request.header("content-encoding", compression).body(Body::from(compressed)).unwrap()
}

/// Sends one request; it must be taken.
fn send(server: &TestServer, way: &Way, compression: &str) {
    let (status, headers) = server.runtime.block_on(async {
        let response = way.router.clone().oneshot(request(way, compression)).await.unwrap();
        let (parts, body) = response.into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
        (
            parts.status,
            parts.headers.into_iter().chain(trailers).filter_map(|(name, value)| Some((name?, value))).collect(),
        )
    });
    let headers: HeaderMap = headers;
    let taken = [StatusCode::OK, StatusCode::ACCEPTED].contains(&status);
    assert!(taken, "{} {compression}: {status}", way.name);
    if way.content_type == GRPC {
        assert_eq!(headers["grpc-status"], "0", "{} {compression}: {headers:?}", way.name);
    }
}

/// What the API says of the traces of a way.
fn traces(server: &TestServer, way: &Way) -> Vec<Value> {
    way.traces.iter().map(|id| server.get("api", &format!("/api/traces/{id}")).json()).collect()
}

#[test]
fn every_way_in_gives_the_same_trace_whatever_compresses_it() {
    // Guarantees for each receiver and encoding that a request with everything its protocol can say is taken in every compression, and
    // that the traces that come of it are always those that were looked at by hand.
    let names: Vec<&str> = ways(&TestServer::start()).iter().map(|way| way.name).collect();
    for (number, name) in names.iter().enumerate() {
        let mut plain = Vec::new();
        for compression in COMPRESSIONS {
            // A server of its own: the ways share ids.
            let server = TestServer::start();
            let way = &ways(&server)[number];
            send(&server, way, compression);
            let found = traces(&server, way);
            if compression == "identity" {
                insta::assert_json_snapshot!(format!("matrix_{name}"), found);
                plain = found;
            } else {
                assert_eq!(found, plain, "{name} {compression}");
            }
        }
    }
}
