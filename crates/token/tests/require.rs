//! The layer, around an axum router: which requests are admitted, and how the others are answered.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;

use axum::Router;
use axum::body::{Body, Bytes};
use gaggle_token::{Require, Tokens};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

const TOKEN: &str = "token-of-this-cluster-1";
const OLD: &str = "token-of-this-cluster-0";

#[derive(Clone)]
struct Certified;

fn tokens() -> Tokens {
    Tokens::parse(&format!("{TOKEN}\n{OLD}")).unwrap()
}

fn guarded(require: &Require) -> Router {
    Router::new()
        .fallback(async || "let in")
        .layer(require.clone())
}

async fn ask(require: &Require, request: Request<Body>) -> Response<Body> {
    guarded(require).oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn request(path: &str) -> http::request::Builder {
    Request::builder().uri(path)
}

fn with(token: &str) -> Request<Body> {
    let value = format!("Bearer {token}");
    let request = request("/status").header("authorization", value);
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_token_lets_in_and_others_are_told_what_is_missing() {
    let require = Require::new("admin").token(tokens());
    for token in [TOKEN, OLD] {
        assert_eq!(text(ask(&require, with(token)).await).await, "let in");
    }
    let none = request("/status").body(Body::empty()).unwrap();
    for (request, line) in [
        (none, "a token is required: Authorization: Bearer TOKEN"),
        (
            with("another-token-of-that-length"),
            "the token is not one of this cluster's",
        ),
    ] {
        let response = ask(&require, request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(
            response.headers()["content-type"],
            "text/plain; charset=utf-8"
        );
        assert_eq!(text(response).await, line);
    }
    assert_eq!(require.refused(), 2);
}

#[tokio::test]
async fn tokens_that_change_hold_for_the_next_request() {
    let tokens = tokens();
    let require = Require::new("peers").token(tokens.clone());
    tokens.set(&Tokens::parse("token-of-this-cluster-2").unwrap());
    let refused = ask(&require, with(TOKEN)).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let let_in = ask(&require, with("token-of-this-cluster-2")).await;
    assert_eq!(let_in.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_the_exempt_paths_to_the_letter_take_neither() {
    let require = Require::new("admin").token(tokens());
    let require = require.certificate(|_| false).exempt(["/livez", "/readyz"]);
    for path in ["/livez", "/readyz", "/livez?verbose", "http://h/livez"] {
        let response = ask(&require, request(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    for path in [
        "/",
        "//livez",
        "/livez/",
        "/livez/../status",
        "/%6civez",
        "/LIVEZ",
        "/livez%00",
        "/status?/livez",
        "/x/livez",
        "/livez;/status",
        "*",
        "http://h//livez",
    ] {
        let response = ask(&require, request(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_certificate_is_required_beside_the_token_where_both_are() {
    let shown = |head: &http::request::Parts| head.extensions.get::<Certified>().is_some();
    let certificate = Require::new("peers").certificate(shown);
    let both = certificate.clone().token(tokens());
    let certified = |mut request: Request<Body>| {
        request.extensions_mut().insert(Certified);
        request
    };
    let bare = || request("/status").body(Body::empty()).unwrap();
    for (require, request, status) in [
        (&certificate, bare(), 403),
        (&certificate, certified(bare()), 200),
        (&both, bare(), 403),
        (&both, with(TOKEN), 403),
        (&both, certified(bare()), 401),
        (&both, certified(with(TOKEN)), 200),
    ] {
        let response = ask(require, request).await;
        assert_eq!(response.status().as_u16(), status);
        let line = text(response).await;
        assert_eq!(line == "a client certificate is required", status == 403);
    }
}

#[tokio::test]
async fn grpc_is_told_in_its_own_way() {
    let require = Require::new("peers").token(tokens());
    for kind in ["application/grpc", "application/grpc+proto"] {
        let request = request("/gaggle.peer.v1.Peers/Get").header("content-type", kind);
        let response = ask(&require, request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(headers["grpc-status"], "16");
        let message = "a token is required: Authorization: Bearer TOKEN";
        assert_eq!(headers["grpc-message"], message);
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_not_read() {
    let require = Require::new("admin").token(tokens());
    let read = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&read);
    let frames = futures_util::stream::poll_fn(move |_| {
        noted.store(true, Relaxed);
        Poll::Ready(None::<Result<Bytes, std::io::Error>>)
    });
    let body = Body::from_stream(frames);
    let response = ask(&require, request("/v1/g/k").body(body).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(!read.load(Relaxed));
}
