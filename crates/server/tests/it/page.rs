//! The embedded page, and what protects the browsers that show it.

use axum::body::Body;
use axum::http::Request;
use server::routes;
use tower::ServiceExt;

use crate::server::TestServer;

#[test]
fn every_view_has_an_address() {
    // Guarantees that the page is served for its own addresses, and that a missing asset is not mistaken for one.
    let server = TestServer::start();
    for path in ["/", "/trace/0af7651916cd43dd8448eb211c80319c", "/search?q=a"] {
        let page = server.get("api", path);
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert_eq!(page.header("cache-control"), "no-cache");
        assert!(page.text().contains("Longspan"));
    }
    assert_eq!(server.get("api", "/assets/nothing.js").status, 404);
    assert_eq!(server.post("api", "/", &[], b"").status, 405);
}

#[test]
fn assets_are_kept_and_compressed() {
    // Guarantees that files with a hash in their name are cached for ever, come compressed to those who accept it, and
    // cost nothing when they are known.
    let server = TestServer::start();
    let page = server.get("api", "/").text();
    let Some(script) = page.find("src=\"/assets/") else {
        // Built without the page: there is one file, which is never compressed.
        assert!(page.contains("LONGSPAN_SKIP_WEB"));
        return;
    };
    let path = page[script..].split('"').nth(1).unwrap();
    let plain = server.get("api", path);
    assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(plain.header("content-encoding"), "");
    let brotli = server.get_with("api", path, &[("accept-encoding", "gzip, br")]);
    assert_eq!((brotli.header("content-encoding"), brotli.header("vary")), ("br", "accept-encoding"));
    assert!(brotli.body.len() < plain.body.len());
    // Asked without a socket: the client would undo it.
    let request = Request::get(path).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    let gzip = server.runtime.block_on(routes::api(server.running().app()).oneshot(request)).unwrap();
    assert_eq!(gzip.headers()["content-encoding"], "gzip");
    assert_eq!(gzip.headers()["content-type"], plain.header("content-type"));
    let known = server.get_with("api", path, &[("if-none-match", plain.header("etag"))]);
    assert_eq!((known.status, known.body.len()), (304, 0));
}

#[test]
fn every_answer_is_guarded() {
    // Guarantees the headers that keep foreign scripts, frames and guesses away, on the page, the API and errors alike.
    let server = TestServer::start();
    for path in ["/", "/api/status", "/api/nonsense", "/metrics", "/jaeger/api/services"] {
        let answer = server.get("api", path);
        let csp = answer.header("content-security-policy");
        assert!(csp.contains("default-src 'self'") && csp.contains("frame-ancestors 'none'"), "{path}: {csp}");
        assert!(!csp.contains("unsafe"), "{csp}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[test]
fn foreign_names_are_refused() {
    // Guarantees that a page which made its own name resolve to this machine reads nothing from any query API.
    let server = TestServer::start();
    for (listener, path) in
        [("api", "/api/status"), ("api", "/"), ("jaeger", "/api/services"), ("zipkin", "/api/v2/services")]
    {
        let rebound = server.get_with(listener, path, &[("host", "evil.example:4319")]);
        assert_eq!(rebound.status, 421, "{listener}{path}");
        let local = server.get_with(listener, path, &[("host", "localhost:4319")]);
        assert_eq!(local.status, 200, "{listener}{path}");
    }
    let spans =
        server.post("zipkin", "/api/v2/spans", &[("host", "collector"), ("content-type", "application/json")], b"[]");
    assert_eq!(spans.status, 202);
}
