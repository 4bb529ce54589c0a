//! `gaggle-node demo`: a cluster of three nodes in one process, on an embedded database. What the README starts with.

use anyhow::Context as _;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{self, Config};
use crate::node::Node;
use crate::signals;

const SCORES: [(&str, &str); 3] = [("Tom", "630"), ("Jack", "589"), ("Sam", "567")];

pub(crate) fn run() -> anyhow::Result<()> {
    let dir = tempfile::tempdir().context("no directory for the demo's database")?;
    let database = dir.path().join("scores.db");
    let configs: Vec<Config> = (0..3)
        .map(|n| config(n, &database))
        .collect::<Result<_, _>>()?;
    crate::start_log(&configs[0])?;
    crate::runtime()?.block_on(async {
        let stop = signals::listen()?;
        fill(&database)
            .await
            .context("the demo's database cannot be made")?;
        let mut nodes = Vec::new();
        for config in &configs {
            nodes.push(Node::start(config).await?);
        }
        let names: Vec<String> = nodes.iter().map(|node| node.name().to_owned()).collect();
        let (stopping, _) = watch::channel(false);
        let mut running = JoinSet::new();
        for node in nodes {
            let mut stopping = stopping.subscribe();
            running.spawn(node.run(async move {
                // An error means that the demo is over as well.
                let _ = stopping.wait_for(|stopping| *stopping).await;
            }));
        }
        crate::print(&welcome(&names));
        stop.received().await;
        stopping.send_replace(true);
        while let Some(ended) = running.join_next().await {
            ended.context("a node of the demo failed")?;
        }
        Ok(())
    })
}

/// Node `n` of the demo. Only the first has its front door where a reader looks for it.
fn config(n: u16, database: &std::path::Path) -> Result<Config, config::ConfigError> {
    let peers = (8001..8004)
        .map(|port| format!("http://127.0.0.1:{port}"))
        .collect();
    let mut config = Config::default();
    config.node.peer_addr = format!("127.0.0.1:{}", 8001 + n);
    config.node.api_addr = format!("127.0.0.1:{}", if n == 0 { 9999 } else { 0 });
    config.node.admin_addr = format!("127.0.0.1:{}", 9990 + n);
    // At `debug` a group tells of each key: which peer it picked, what it asked the origin.
    config.node.log_level = "info,gaggle_group=debug".into();
    config.cluster.peers = peers;
    let group = config::Group {
        origin: Some(config::Origin::Sqlite {
            path: database.into(),
            query: "SELECT value FROM scores WHERE key = ?1".into(),
        }),
        ..config::Group::default()
    };
    config.groups.insert("scores".into(), group);
    config.validate()?;
    Ok(config)
}

async fn fill(database: &std::path::Path) -> sqlx::Result<()> {
    use sqlx::Connection as _;
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(true);
    let mut connection = options.connect().await?;
    sqlx::query("CREATE TABLE scores (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        .execute(&mut connection)
        .await?;
    for (key, value) in SCORES {
        sqlx::query("INSERT INTO scores (key, value) VALUES (?1, ?2)")
            .bind(key)
            .bind(value)
            .execute(&mut connection)
            .await?;
    }
    connection.close().await
}

fn welcome(names: &[String]) -> String {
    format!(
        "\
Three nodes share the group `scores`: {}.
The front door of the first is on 127.0.0.1:9999, admin ports are 9990 to 9992. Try:

  curl 'http://localhost:9999/api?key=Tom'           # 630; loaded by the node that owns it
  curl -i 'http://localhost:9999/v1/scores/Jack'     # with Cache-Status: where the answer came from
  curl -i 'http://localhost:9999/api?key=Kesa'       # 404: there is no such key
  curl 'http://localhost:9990/owner?key=Tom'         # who owns a key
  curl 'http://localhost:9990/metrics'

Ctrl-C stops the demo.",
        names.join(", ")
    )
}
