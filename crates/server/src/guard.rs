//! What protects people's browsers: which `Host` may be asked for, and the headers that go with every answer.
//!
//! A page anywhere can make a browser resolve its own name to 127.0.0.1 and read a server there as if it were its own
//! ("DNS rebinding"). Such a request carries that name as its `Host`, so a listener on loopback answers only to names
//! that mean loopback. Receivers are not guarded: senders reach them through all sorts of forwarded names, and nothing can be read there.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::error::ApiError;

/// Everything from here, nothing inline, nobody may frame it.
const CSP: &str = "default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; base-uri 'none'; \
                   form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Refuses requests that name another host; for listeners on loopback.
pub async fn loopback_names_only(request: Request, next: Next) -> Response {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    if host.is_none_or(means_loopback) {
        return next.run(request).await;
    }
    let message = "this server listens on loopback and answers only to localhost and loopback addresses";
    let hint = "open it as http://localhost:PORT or http://127.0.0.1:PORT";
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", message, hint).into_response()
}

fn means_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Adds the headers that keep a browser from doing more with an answer than it should.
pub async fn browser_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass() {
        // Guarantees that no name an attacker can own passes, in any spelling, and that all usual local names do.
        for host in
            ["localhost", "LOCALHOST:4319", "127.0.0.1:4319", "[::1]:4319", "longspan.localhost:80", "127.1.2.3"]
        {
            assert!(means_loopback(host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:4319", "127.0.0.1.nip.io", "10.0.0.1", "", "a b", "notlocalhost"]
        {
            assert!(!means_loopback(host), "{host}");
        }
    }
}
