//! groupcache's army-roles example: three servers with `GET /role?name=NAME`, names such as 张三,
//! and 404 for an unknown one.
//!
//! `cargo run -p gaggle --example army_roles`, then `curl 'http://127.0.0.1:8080/role?name=张三'`.
//! With `--once` it asks itself and ends.

#![allow(clippy::print_stdout)]

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use gaggle::{Cluster, Group};

const ROLES: [(&str, &str); 3] = [("张三", "司令"), ("李四", "军长"), ("王五", "师长")];

#[derive(serde::Deserialize)]
struct Ask {
    name: String,
}

async fn role(State(roles): State<Group>, Query(ask): Query<Ask>) -> (StatusCode, Bytes) {
    match roles.get(&ask.name).await {
        Ok(role) => (StatusCode::OK, role),
        Err(error) if error.is_not_found() => (
            StatusCode::NOT_FOUND,
            format!("{} not found\n", ask.name).into(),
        ),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n").into()),
    }
}

/// One server: its part of the cluster, and the program's own endpoint. Returns where that
/// listens.
async fn server(api: &str) -> anyhow::Result<(Cluster, String)> {
    let roles = Group::builder("army-roles")
        .origin_fn(|name: Bytes| async move {
            println!("[database] who is {}?", String::from_utf8_lossy(&name));
            let found = ROLES.iter().find(|(known, _)| name == *known);
            Ok::<_, std::io::Error>(found.map(|(_, role)| *role))
        })
        .build()?;
    let none: [&str; 0] = [];
    let cluster = Cluster::join(none)
        .serve("127.0.0.1:0", [roles.clone()])
        .await?;
    let listener = tokio::net::TcpListener::bind(api)
        .await
        .with_context(|| api.to_owned())?;
    let addr = listener.local_addr()?.to_string();
    let routes = Router::new().route("/role", get(role)).with_state(roles);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok((cluster, addr))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let once = std::env::args().any(|arg| arg == "--once");
    let mut servers = Vec::new();
    for port in [8080, 8081, 8082] {
        let api = format!("127.0.0.1:{}", if once { 0 } else { port });
        servers.push(server(&api).await?);
    }
    let members: Vec<String> = servers
        .iter()
        .map(|(cluster, _)| cluster.address().to_string())
        .collect();
    for (cluster, _) in &servers {
        cluster.peers().update(members.iter().cloned())?;
    }
    if !once {
        println!("try: curl 'http://127.0.0.1:8080/role?name=张三'");
        return Ok(tokio::signal::ctrl_c().await?);
    }
    let client = reqwest::Client::builder().no_proxy().build()?;
    for (_, addr) in &servers {
        for name in ["张三", "李四", "nobody"] {
            let answer = client
                .get(format!("http://{addr}/role?name={name}"))
                .send()
                .await?;
            println!(
                "{addr} {name}: {} {}",
                answer.status(),
                answer.text().await?.trim_end()
            );
        }
    }
    Ok(())
}
