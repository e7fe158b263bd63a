//! What is left of a body whose answer came early, such as "too large" or "try again later".
//!
//! A sender that writes its whole body before it reads the answer would be cut off in the middle, and never see what it was told: so over
//! HTTP/1 the rest is taken from the socket and forgotten. (HTTP/2 can end a stream by itself.)

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// How long the rest of a body is taken from a sender; then its connection is closed.
pub const REST_MAX: Duration = Duration::from_secs(10);

/// A body whose rest is read and forgotten if it is dropped before its end.
#[derive(Debug)]
pub struct Rest {
    /// There until the end.
    body: Option<Incoming>,
}

impl Rest {
    /// Looks after a body.
    pub fn of(body: Incoming) -> Rest {
        Rest { body: (!body.is_end_stream()).then_some(body) }
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let forget = async move { while let Some(Ok(_)) = body.frame().await {} };
        runtime.spawn(async move { drop(tokio::time::timeout(REST_MAX, forget).await) });
    }
}
