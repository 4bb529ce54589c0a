//! What this program serves as a process of its own, beside the systems under load.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt as _;
use gaggle_benches::two_workers;
use tokio::net::TcpListener;

use crate::value_of;

/// What a process of this program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Answers everything with a constant of a value's size: the most that axum can do here.
    Bare,
    /// Answers `/{key}` with the key's value: what is behind the caches.
    Origin,
    /// Asks an upstream for each request, one request for each, with reqwest: what a hop costs
    /// where gets do not share requests.
    Proxy,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Bare, Self::Origin, Self::Proxy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "serve-bare",
            Self::Origin => "serve-origin",
            Self::Proxy => "serve-proxy",
        }
    }

    /// Serves until the process is killed.
    pub(crate) fn serve(self, addr: SocketAddr, upstream: Option<String>) -> io::Result<()> {
        let router = match self {
            Self::Bare => bare(),
            Self::Origin => Router::new().fallback(origin),
            Self::Proxy => proxy(upstream.unwrap_or_default())?,
        };
        two_workers()?.block_on(async {
            let listener = TcpListener::bind(addr).await?;
            // Fails only for a connection that is gone.
            let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
            axum::serve(listener, router).await
        })
    }
}

fn bare() -> Router {
    let constant = Bytes::from(value_of("constant"));
    Router::new().fallback(move || {
        let value = constant.clone();
        async move { value }
    })
}

async fn origin(request: Request) -> Vec<u8> {
    value_of(request.uri().path().trim_start_matches('/'))
}

fn proxy(upstream: String) -> io::Result<Router> {
    let client = reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .map_err(io::Error::other)?;
    Ok(Router::new()
        .fallback(forward)
        .with_state((client, upstream)))
}

async fn forward(
    State((client, upstream)): State<(reqwest::Client, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let url = format!("{upstream}/api?{}", query.unwrap_or_default());
    let asked = async { client.get(url).send().await?.bytes().await };
    match asked.await {
        Ok(value) => value.into_response(),
        Err(failure) => (StatusCode::BAD_GATEWAY, failure.to_string()).into_response(),
    }
}
