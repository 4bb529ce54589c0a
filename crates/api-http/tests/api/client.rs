//! A client that calls a router instead of a server.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use base64::Engine;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use tower::ServiceExt;

#[derive(Clone)]
pub(crate) struct Client(pub(crate) Router);

pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.send("GET", target, "").await
    }

    pub(crate) async fn post(&self, target: &str, body: &serde_json::Value) -> Reply {
        self.send("POST", target, &body.to_string()).await
    }

    pub(crate) async fn send(&self, method: &str, target: &str, body: &str) -> Reply {
        self.send_with(method, target, &[], body.to_owned()).await
    }

    pub(crate) async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.send_with("GET", target, headers, "").await
    }

    pub(crate) async fn send_with(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let (head, body) = self.0.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }
}

/// A body that begins and never ends.
pub(crate) fn stuck(begin: &'static str) -> Body {
    let begun = stream::iter([Ok::<_, Infallible>(begin)]);
    Body::from_stream(begun.chain(stream::pending()))
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The names of its headers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.keys().map(axum::http::HeaderName::as_str)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
