//! A service of one's own in a cluster: an axum server with its pages, metrics and a log, and a
//! port for the other members.
//!
//! `cargo run -p gaggle --example service --features telemetry -- 127.0.0.1:8081 127.0.0.1:7001 http://127.0.0.1:7002`,
//! and in a second shell with `127.0.0.1:8082 127.0.0.1:7002 http://127.0.0.1:7001`. Then
//! `curl http://127.0.0.1:8081/users/7` and `curl http://127.0.0.1:8081/metrics`. With `--once` it
//! starts two such services, asks them, and ends.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use gaggle::group::FreshnessPolicy;
use gaggle::telemetry::{BuildInfo, CONTENT_TYPE, LogOptions, Metrics, logging};
use gaggle::{Cluster, TypedGroup};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Debug, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

/// What the handlers share.
#[derive(Clone)]
struct Service {
    users: TypedGroup<u64, User>,
    metrics: Arc<Metrics>,
}

async fn user(State(service): State<Service>, Path(id): Path<u64>) -> impl IntoResponse {
    match service.users.get(&id).await {
        Ok(user) => Json(user).into_response(),
        Err(error) if error.is_not_found() => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            // All of it into the log, and to clients what they may know.
            tracing::warn!(%error, "a user cannot be given");
            (StatusCode::BAD_GATEWAY, error.public()).into_response()
        }
    }
}

async fn metrics(State(service): State<Service>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        service.metrics.encode(),
    )
}

fn users() -> anyhow::Result<TypedGroup<u64, User>> {
    let users = TypedGroup::builder("users")
        .capacity(64 << 20)
        .keep_decoded(16 << 20)
        .group(|group| {
            group.freshness(FreshnessPolicy {
                ttl: Some(Duration::from_secs(300)),
                stale_while_revalidate: Duration::from_secs(30),
                stale_if_error: Duration::from_secs(3600),
                negative_ttl: Some(Duration::from_secs(5)),
                ..FreshnessPolicy::default()
            })
        })
        .origin_fn(|id: u64| async move {
            tracing::info!("the database is asked");
            let known = (1..=100).contains(&id);
            Ok::<_, std::io::Error>(known.then(|| User {
                id,
                name: format!("user {id}"),
            }))
        })
        .build()?;
    Ok(users)
}

/// Starts a member of the cluster, and the service's own server on `listener`, until `stop`
/// completes.
async fn start(
    listener: TcpListener,
    peer_addr: &str,
    members: Vec<String>,
    log: logging::Log,
) -> anyhow::Result<(Cluster, impl Future<Output = std::io::Result<()>>)> {
    let users = users()?;
    let cluster = Cluster::join(members).serve(peer_addr, [&users]).await?;
    let build = BuildInfo {
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let metrics_page = Metrics::new(cluster.groups().clone(), build).with_log(log);
    let routes = Router::new()
        .route("/users/{id}", get(user))
        .route("/metrics", get(metrics))
        .with_state(Service {
            users,
            metrics: Arc::new(metrics_page),
        });
    let serving = async move { axum::serve(listener, routes).await };
    Ok((cluster, serving))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let log = logging::init(&LogOptions::default())?;
    let mut args = std::env::args().skip(1);
    let addr = args
        .next()
        .context("expected --once, or ADDR PEER-ADDR MEMBER...")?;
    if addr == "--once" {
        return once(&log).await;
    }
    let peer_addr = args.next().context("expected the address for peers")?;
    let listener = TcpListener::bind(&addr).await?;
    let (cluster, serving) = start(listener, &peer_addr, args.collect(), log.clone()).await?;
    tracing::info!(name = %cluster.name(), "serving");
    tokio::select! {
        served = serving => served?,
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    // The others are notified, and get the entries that this member holds.
    if let Some(drained) = cluster.leave().await {
        tracing::info!(open = drained.open, cut = drained.cut, "left the cluster");
    }
    log.flush(Duration::from_millis(250));
    Ok(())
}

async fn once(log: &logging::Log) -> anyhow::Result<()> {
    let (mut clusters, mut addrs) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addrs.push(listener.local_addr()?);
        let (cluster, serving) = start(listener, "127.0.0.1:0", Vec::new(), log.clone()).await?;
        clusters.push(cluster);
        tokio::spawn(serving);
    }
    let members: Vec<String> = clusters
        .iter()
        .map(|cluster| cluster.address().to_string())
        .collect();
    for cluster in &clusters {
        cluster.peers().update(members.iter().cloned())?;
    }
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async |addr, path: &str| {
        let answer = client.get(format!("http://{addr}{path}")).send().await?;
        anyhow::Ok((answer.status(), answer.text().await?))
    };
    for addr in &addrs {
        for path in ["/users/7", "/users/700", "/users/Tom"] {
            let (status, text) = ask(addr, path).await?;
            println!("{addr}{path}: {status} {text}");
        }
        let (_, page) = ask(addr, "/metrics").await?;
        let lines = page
            .lines()
            .filter(|line| line.starts_with("gaggle_loads_total"));
        for line in lines {
            println!("{addr}/metrics: {line}");
        }
    }
    for cluster in clusters {
        cluster.leave().await;
    }
    log.flush(Duration::from_millis(250));
    Ok(())
}
