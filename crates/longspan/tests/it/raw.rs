//! Requests that no decent client would send: exact bytes on a socket.

use crate::server::{Server, agent};
use prost::Message;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// `google.rpc.Status`, as far as it matters here.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

/// What came back for a POST.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The message of the `google.rpc.Status` in the body, read in the encoding that the content type names.
    pub(crate) fn status_message(&self) -> Result<String, String> {
        match self.content_type.as_str() {
            "application/x-protobuf" => {
                RpcStatus::decode(&self.body[..]).map(|status| status.message).map_err(|error| error.to_string())
            }
            "application/json" => {
                let body: Value = serde_json::from_slice(&self.body).map_err(|error| error.to_string())?;
                body["message"].as_str().map(str::to_owned).ok_or_else(|| format!("no message in {body}"))
            }
            other => Err(format!("neither JSON nor protobuf: {other:?}")),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Posts to the OTLP/HTTP port with just these headers.
pub(crate) fn post(server: &Server, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    post_to(&server.url("otlp_http", "/v1/traces"), headers, body)
}

pub(crate) fn post_to(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = agent().post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.send(body).unwrap_or_else(|error| panic!("{headers:?}, {} bytes: {error}", body.len()));
    let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().to_owned();
    let body = answer.body_mut().read_to_vec().unwrap();
    Answer { status: answer.status().as_u16(), content_type, body }
}

/// Writes bytes to a port and reads what comes back within two seconds; empty if nothing does.
pub(crate) fn exchange(server: &Server, port: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address(port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    // The server may close before all is written; what it said first still counts.
    let _ = stream.write_all(bytes);
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
