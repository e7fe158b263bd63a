//! Answers compressed for readers that understand gzip: JSON shrinks to about a tenth, which is what matters to a page that is far away.
//!
//! A layer around a listener's routes. Short answers and everything that is compressed already (the page's files) go as they are. Works piece
//! by piece on what the routes send, so that a large answer is never whole in memory.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::{Body as _, Frame};

/// Shorter answers fit into a packet or two anyway.
pub const GZIP_FROM_BYTES: u64 = 1 << 10;
/// Compressed at a time: about half a millisecond of a thread that serves sockets.
const STEP_BYTES: usize = 64 << 10;

/// Compresses the answer if its reader wants that and it is worth it.
pub async fn gzip_answers(request: Request, next: Next) -> Response {
    let wanted = request.method() != Method::HEAD && takes_gzip(request.headers());
    let mut response = next.run(request).await;
    if !is_text(response.headers()) || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    if !wanted || response.body().size_hint().upper().is_some_and(|bytes| bytes < GZIP_FROM_BYTES) {
        return response;
    }
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.map(|body| Body::new(Gzipped::new(body)))
}

fn is_text(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    content_type.starts_with(b"application/json") || content_type.starts_with(b"application/openmetrics-text")
}

/// Whether gzip is named, itself or as "anything", and not with a weight of nothing.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut weights = values.flat_map(|value| value.split(',')).filter_map(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let is_gzip = ["gzip", "x-gzip", "*"].iter().any(|known| name.trim().eq_ignore_ascii_case(known));
        let weight =
            parameters.trim().strip_prefix("q=").map_or(1.0, |weight| weight.trim().parse::<f32>().unwrap_or(0.0));
        is_gzip.then_some(weight)
    });
    weights.next().is_some_and(|weight| weight > 0.0)
}

struct Gzipped {
    plain: Body,
    /// Received and not yet compressed.
    rest: Bytes,
    /// Gone once everything is compressed.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Gzipped {
    fn new(plain: Body) -> Self {
        Gzipped { plain, rest: Bytes::new(), encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) }
    }

    /// Compresses the next step of what was received; what came out of it.
    fn step(&mut self) -> Bytes {
        let encoder = self.encoder.as_mut().expect("an encoder is there until its end");
        let step = self.rest.len().min(STEP_BYTES);
        encoder.write_all(&self.rest[..step]).expect("a vector takes everything");
        self.rest.advance(step);
        std::mem::take(encoder.get_mut()).into()
    }
}

impl http_body::Body for Gzipped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if self.encoder.is_none() {
                return Poll::Ready(None);
            }
            if !self.rest.is_empty() {
                let compressed = self.step();
                if compressed.is_empty() {
                    continue;
                }
                return Poll::Ready(Some(Ok(Frame::data(compressed))));
            }
            match ready!(Pin::new(&mut self.plain).poll_frame(context)) {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    // Without its end the stream is broken for the reader, as it should be.
                    self.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let encoder = self.encoder.take().expect("looked at above");
                    let end = encoder.finish().expect("a vector takes everything");
                    return Poll::Ready(Some(Ok(Frame::data(end.into()))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn only_who_asks_for_it_gets_it() {
        // Guarantees the reading of Accept-Encoding: names in any case, a weight of nothing is a no, absence is a no.
        let takes =
            |value: &str| takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]));
        for yes in ["gzip", "br, GZIP", "deflate, gzip;q=0.5", "*", "gzip; q=1.0, identity"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "identity", "gzip;q=0.0", "gzipped"] {
            assert!(!takes(no), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn what_is_compressed_comes_back() {
        // Guarantees that bodies of no, one and many steps are the same after compression.
        for length in [0, 10, STEP_BYTES, 5 * STEP_BYTES + 7] {
            let plain: Vec<u8> = (0..length as u32).map(|i| (i.wrapping_mul(i) >> 11) as u8).collect();
            let gzipped = Gzipped::new(Body::from(plain.clone())).collect().await.unwrap().to_bytes();
            let mut back = Vec::new();
            GzDecoder::new(&gzipped[..]).read_to_end(&mut back).unwrap();
            assert!(back == plain, "{length}");
        }
    }
}
