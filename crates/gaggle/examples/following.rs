//! A service whose cache follows its database: users in PostgreSQL, kept in memory on every
//! member, and removed on every member milliseconds after a change is committed, whichever program
//! has made it. No value has a ttl.
//!
//! `DATABASE_URL=postgres://… cargo run -p gaggle --example following --features origin-postgres,follow-postgres -- sql`
//! prints what to run in the database once. The server needs `wal_level = logical`. Without `sql`
//! the service runs: `curl localhost:8080/users/1`. More members, each with `PORT` and
//! `MEMBERS=http://…,http://…`, share the cache.

#![allow(clippy::print_stdout)]

use std::env;

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use gaggle::follow::{Follower, Options};
use gaggle::follow_postgres::{ReplicationFeed, ReplicationOptions, TableMap, replication_sql};
use gaggle::origin_sql::{PostgresOrigin, ServerOptions};
use gaggle::{Cluster, TypedGroup};
use serde::{Deserialize, Serialize};

const GROUP: &str = "users";

/// As the database writes it: `to_jsonb(users)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    id: i64,
    name: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let follow = ReplicationOptions {
        url: url.clone(),
        tables: vec![TableMap::new("users", "{id}")],
        ..ReplicationOptions::default()
    };
    if env::args().nth(1).as_deref() == Some("sql") {
        print!("{}", replication_sql(&follow, GROUP)?);
        return Ok(());
    }

    // Cold keys that come together are one statement.
    let origin = PostgresOrigin::open(ServerOptions {
        url,
        query: "SELECT to_jsonb(users) FROM users WHERE id = $1::bigint AND id::text = $1".into(),
        ..ServerOptions::default()
    });
    let users: TypedGroup<i64, User> = TypedGroup::builder(GROUP)
        .capacity(64 << 20)
        .keep_decoded(16 << 20)
        .origin_of_bytes(origin.await?)
        .build()?;

    let members = env::var("MEMBERS").unwrap_or_default();
    let members = members.split(',').filter(|member| !member.is_empty());
    let cluster = Cluster::join(members)
        .serve("127.0.0.1:0", [&users])
        .await?;
    println!("members reach this one at {}", cluster.address());

    // One member follows for all. If it dies, another one goes on where it was.
    let feed = ReplicationFeed::new(follow, GROUP)?;
    let follower = Follower::start(users.group().clone(), feed, Options::default());

    let port = env::var("PORT").unwrap_or_else(|_| "8080".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}/users/1", listener.local_addr()?);
    let app = Router::new()
        .route("/users/{id}", get(user))
        .with_state(users);
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            // If the signal cannot be waited for, it ends the program as by default.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;

    follower.stop().await;
    cluster.leave().await;
    Ok(())
}

async fn user(State(users): State<TypedGroup<i64, User>>, Path(id): Path<i64>) -> Response {
    match users.find(&id).await {
        Ok(Some(user)) => Json(&*user).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(failure) => {
            println!("{failure}");
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}
