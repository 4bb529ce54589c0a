//! `gaggle-node demo`: a cluster of three nodes in one process, on an embedded database. The
//! README starts with it.

use std::io;

use anyhow::Context as _;
use gaggle_telemetry::Log;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::config::{self, Config};
use crate::node::{Node, Surroundings};
use crate::signals;

const SCORES: [(&str, &str); 3] = [("Tom", "630"), ("Jack", "589"), ("Sam", "567")];

pub(crate) fn run() -> anyhow::Result<()> {
    let dir = tempfile::tempdir().context("no directory for the demo's database")?;
    let database = dir.path().join("scores.db");
    let configs: Vec<Config> = (0..3)
        .map(|n| config(n, &database))
        .collect::<Result<_, _>>()?;
    let log = crate::start_log(&configs[0])?;
    let result = run_all(&configs, &database, &log);
    log.flush(signals::LAST_LINES);
    result
}

fn run_all(configs: &[Config], database: &std::path::Path, log: &Log) -> anyhow::Result<()> {
    let (stop, mut hangups) = signals::listen(configs[0].node.drain().whole(), log.clone())?;
    crate::to_the_end(async {
        // Boxed: it holds the configurations of all nodes.
        let starting = Box::pin(start_all(configs, database, log));
        let Some(nodes) = stop.before(starting).await else {
            return Ok(());
        };
        let nodes = nodes?;
        let names: Vec<String> = nodes.iter().map(|node| node.name().to_string()).collect();
        let mut running = JoinSet::new();
        for node in nodes {
            let stopping = stop.clone();
            let stopped = async move { stopping.received().await };
            running.spawn(node.run(Surroundings::default(), stopped));
        }
        if let Err(error) = crate::tell(io::stdout(), welcome(&names)) {
            warn!(%error, "what to try could not be printed");
        }
        let mut result = Ok(());
        stop.bound(async {
            loop {
                let ended = tokio::select! {
                    ended = running.join_next() => ended,
                    () = hangups.next() => {
                        info!("SIGHUP is ignored: the demo has no configuration to read again");
                        continue;
                    }
                };
                match ended {
                    None => break,
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(failure))) => result = Err(failure.into()),
                    Some(Err(failure)) => {
                        result = Err(failure).context("a node of the demo failed");
                    }
                }
            }
        })
        .await;
        result
    })
}

async fn start_all(
    configs: &[Config],
    database: &std::path::Path,
    log: &Log,
) -> anyhow::Result<Vec<Node>> {
    fill(database)
        .await
        .context("the demo's database cannot be made")?;
    let mut nodes = Vec::new();
    for config in configs {
        nodes.push(Node::start(config, log, None).await?);
    }
    Ok(nodes)
}

/// Node `n` of the demo. Only the first has its front door at the default address.
fn config(n: u16, database: &std::path::Path) -> Result<Config, config::ConfigError> {
    let peers = (8001..8004)
        .map(|port| format!("http://127.0.0.1:{port}"))
        .collect();
    let mut config = Config::default();
    config.node.peer_addr = format!("127.0.0.1:{}", 8001 + n);
    config.node.api_addr = format!("127.0.0.1:{}", if n == 0 { 9999 } else { 0 });
    config.node.admin_addr = format!("127.0.0.1:{}", 9990 + n);
    // At `debug` a group logs each key: the peer that it picked, and its requests to the origin.
    config.node.log_level = "info,gaggle_group=debug".into();
    // All three end at once: no node remains to hand anything over to.
    config.node.drain_delay = Some(std::time::Duration::ZERO.into());
    config.cluster.peers = peers;
    let group = config::Group {
        origin: Some(config::Origin::Sqlite(config::Sqlite {
            path: database.into(),
            query: "SELECT value FROM scores WHERE key = ?1".into(),
            ..config::Sqlite::default()
        })),
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

Ctrl-C stops the demo.
",
        names.join(", ")
    )
}
