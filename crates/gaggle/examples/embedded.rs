//! A service that embeds a node in its own axum server: one port for its own pages and for its
//! peers.
//!
//! `cargo run -p gaggle --example embedded -- 127.0.0.1:7001 http://127.0.0.1:7002`, and the other
//! way round in a second shell. Without arguments it starts two such services, asks one, and ends.

#![allow(clippy::print_stdout)]

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use gaggle::{Cluster, Group};

async fn page(
    State(pages): State<Group>,
    Path(name): Path<String>,
) -> Result<Bytes, (StatusCode, String)> {
    pages
        .get(&name)
        .await
        .map_err(|error| match error.is_not_found() {
            true => (StatusCode::NOT_FOUND, format!("no page {name}\n")),
            false => (StatusCode::BAD_GATEWAY, format!("{error}\n")),
        })
}

async fn service(listener: tokio::net::TcpListener, members: Vec<String>) -> anyhow::Result<()> {
    let me = format!("http://{}", listener.local_addr()?);
    let renderer = me.clone();
    let pages = Group::builder("pages")
        .origin_fn(move |name: Bytes| {
            let renderer = renderer.clone();
            async move {
                let name = String::from_utf8(name.into())?;
                Ok::<_, std::string::FromUtf8Error>(Some(format!(
                    "<h1>{name}</h1> rendered by {renderer}\n"
                )))
            }
        })
        .build()?;
    let embedded = Cluster::join(members).embed(&me, [pages.clone()])?;
    // The peer protocol answers below `/_groupcache/` and is the fallback of the service's own
    // routes.
    let routes = Router::new()
        .route("/page/{name}", get(page))
        .with_state(pages)
        .fallback_service(embedded.routes);
    Ok(axum::serve(listener, routes).await?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    if let Some(addr) = args.next() {
        return service(tokio::net::TcpListener::bind(addr).await?, args.collect()).await;
    }
    let mut listeners = Vec::new();
    for _ in 0..2 {
        listeners.push(tokio::net::TcpListener::bind("127.0.0.1:0").await?);
    }
    let members = listeners
        .iter()
        .map(|listener| Ok(format!("http://{}", listener.local_addr()?)))
        .collect::<std::io::Result<Vec<_>>>()?;
    for listener in listeners {
        tokio::spawn(service(listener, members.clone()));
    }
    let client = reqwest::Client::builder().no_proxy().build()?;
    for name in ["home", "about", "prices", "jobs"] {
        for member in &members {
            print!(
                "asked {member}: {}",
                client
                    .get(format!("{member}/page/{name}"))
                    .send()
                    .await?
                    .text()
                    .await?
            );
        }
    }
    Ok(())
}
