//! A PostgreSQL server, and three nodes in front of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use gaggle_testkit::Proxy;
use gaggle_testservers::{Postgres, PostgresOptions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tempfile::TempDir;

use crate::reader::Reader;
use crate::secrets::FOLLOWS;
use crate::support::{Client, Cluster, Setup, command, until};

/// What `scores` loads a key by.
const QUERY: &str = "SELECT value FROM scores WHERE key = $1";

/// How a group follows the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    No,
    Replication,
    Notify,
}

/// The parameters of a world.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) follow: Follow,
    /// Lines of the group `scores`, such as `ttl = "1s"`.
    pub(crate) group: String,
    /// Further settings of the server.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// Rows that `scores` begins with: `k0` and so on, with the value `0`.
    pub(crate) rows: usize,
}

impl Plan {
    pub(crate) fn following(rows: usize) -> Self {
        Self {
            follow: Follow::Replication,
            // Longer than any test takes: what ends a hot copy is a removal.
            group: "hot-ttl = \"10m\"".into(),
            settings: Vec::new(),
            rows,
        }
    }
}

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    pub(crate) pool: PgPool,
    /// The network path from the nodes to the server that followers use, and nothing else.
    pub(crate) proxy: Proxy,
    pub(crate) db: Postgres,
    /// The configuration of a node, for the other commands.
    pub(crate) config: PathBuf,
    _dir: TempDir,
}

impl World {
    pub(crate) async fn start(plan: &Plan) -> Self {
        let mut settings = vec![
            // Only what is flushed is decoded, and a change must arrive at once.
            ("synchronous_commit", "on"),
            ("shared_preload_libraries", "pg_stat_statements"),
        ];
        settings.extend(&plan.settings);
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let db = Postgres::start(PostgresOptions {
            wal_level_logical: true,
            settings: settings.iter().map(own).collect(),
            ..PostgresOptions::default()
        });
        db.psql(&format!(
            "CREATE EXTENSION pg_stat_statements;
             CREATE TABLE scores (key text PRIMARY KEY, value text NOT NULL);
             CREATE TABLE profiles (id bigint PRIMARY KEY, profile text NOT NULL);
             INSERT INTO scores SELECT 'k' || n, '0' FROM generate_series(0, {} - 1) n;",
            plan.rows
        ));
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, db.port()));
        let proxy = Proxy::start(upstream).await.unwrap();

        let dir = tempfile::tempdir().unwrap();
        let password = dir.path().join("password");
        std::fs::write(&password, format!("{FOLLOWS}\n")).unwrap();
        let setup = setup(plan, &db, proxy.addr(), &password);
        let config = dir.path().join("node.toml");
        let me: SocketAddr = (Ipv4Addr::LOCALHOST, 1).into();
        std::fs::write(&config, setup.file(me, &[me])).unwrap();
        if plan.follow != Follow::No {
            let (sql, _) = run(&config, "follow-sql", &[]);
            // It can be run again.
            db.psql(&sql);
            db.psql(&sql);
            let role = "DO $$BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'gaggle_follow') THEN \
                        ALTER ROLE gaggle_follow PASSWORD";
            let create = "ELSE CREATE ROLE gaggle_follow LOGIN PASSWORD";
            db.psql(&format!(
                "{role} '{FOLLOWS}'; {create} '{FOLLOWS}'; END IF; END$$;"
            ));
        }

        let pool = PgPoolOptions::new().max_connections(4);
        let world = Self {
            cluster: Cluster::start(3, &setup).await,
            client: Client::new(),
            pool: pool.connect(&db.url()).await.unwrap(),
            proxy,
            db,
            config,
            _dir: dir,
        };
        if plan.follow != Follow::No {
            world.followed().await;
        }
        world
    }

    /// A reader of each node.
    pub(crate) fn readers(&self) -> Vec<Reader> {
        let nodes = self.cluster.nodes.iter();
        nodes.map(|node| Reader::new(node.api)).collect()
    }

    /// What a node reports about the group's follower.
    async fn follow(&self, n: usize, group: &str) -> serde_json::Value {
        let node = &self.cluster.nodes[n];
        let status = self.client.get(node.admin, "/status").await.json();
        status["groups"][group]["follow"].clone()
    }

    /// The node that follows `scores`, among the nodes with these indices.
    pub(crate) async fn follower_of(&self, nodes: &[usize]) -> Option<usize> {
        for &n in nodes {
            if self.follow(n, "scores").await["state"] == "following" {
                return Some(n);
            }
        }
        None
    }

    /// Waits until one of those nodes follows, and returns its index.
    pub(crate) async fn followed_by(&self, nodes: &[usize]) -> usize {
        let mut follower = None;
        until("a node that follows", async || {
            follower = self.follower_of(nodes).await;
            follower.is_some()
        })
        .await;
        follower.unwrap()
    }

    /// Waits until any node follows `scores`.
    pub(crate) async fn followed(&self) -> usize {
        self.followed_by(&[0, 1, 2]).await
    }

    /// A number of `follow`, summed over the nodes.
    pub(crate) async fn followed_so_far(&self, group: &str, what: &str) -> u64 {
        let mut sum = 0;
        for n in 0..self.cluster.nodes.len() {
            sum += self.follow(n, group).await[what].as_u64().unwrap();
        }
        sum
    }

    /// Changes a row.
    pub(crate) async fn write(&self, key: &str, value: &str) {
        let update = sqlx::query("UPDATE scores SET value = $2 WHERE key = $1");
        let done = update.bind(key).bind(value).execute(&self.pool).await;
        assert_eq!(done.unwrap().rows_affected(), 1, "{key}");
    }

    /// Waits until every change so far is confirmed: every node has then dropped the old values.
    pub(crate) async fn confirmed(&self) {
        let end = "SELECT pg_current_wal_insert_lsn()::text";
        let end: String = sqlx::query_scalar(end).fetch_one(&self.pool).await.unwrap();
        // Another change has to follow it; otherwise an idle server need not flush its log so far.
        let marker = "SELECT pg_logical_emit_message(false, 'end', '')::text";
        sqlx::query(marker).execute(&self.pool).await.unwrap();
        until("the confirmation of all changes", async || {
            let confirmed = "SELECT coalesce(bool_and(confirmed_flush_lsn >= $1::pg_lsn), false) \
                             FROM pg_replication_slots";
            let confirmed = sqlx::query_scalar(confirmed).bind(&end);
            confirmed.fetch_one(&self.pool).await.unwrap()
        })
        .await;
    }

    /// Makes every node hold each of these keys: a node that does not own a key keeps one in ten
    /// that it fetches.
    pub(crate) async fn warm(&self, keys: &[String]) {
        let warm = async |mut reader: Reader| {
            for key in keys {
                let mut held = false;
                for _ in 0..1_000 {
                    held = reader.get(key).await.unwrap().hit;
                    if held {
                        break;
                    }
                }
                assert!(held, "a node keeps no copy of {key}");
            }
        };
        futures_util::future::join_all(self.readers().into_iter().map(warm)).await;
    }

    /// Compares each node's answers with the rows, once for each key. Returns how many answers
    /// came from a node's own memory.
    pub(crate) async fn compare(&self, keys: &[String], when: &str) -> usize {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT key, value FROM scores")
            .fetch_all(&self.pool)
            .await
            .unwrap();
        let rows: BTreeMap<_, _> = rows.into_iter().collect();
        let (mut hits, mut wrong) = (0, String::new());
        for (n, mut reader) in self.readers().into_iter().enumerate() {
            for key in keys {
                let read = reader.get(key).await.unwrap();
                hits += usize::from(read.hit);
                let expected = rows.get(key).map(String::as_str);
                if read.row() != expected {
                    writeln!(wrong, "node {n} {key}: {expected:?}, and not {read:?}").unwrap();
                }
            }
        }
        assert!(wrong.is_empty(), "{when}:\n{wrong}");
        hits
    }

    /// Makes every node drop the group.
    pub(crate) async fn drop_all(&self) {
        let admin = self.cluster.nodes[0].admin;
        let removed = self
            .client
            .send(reqwest::Method::DELETE, admin, "/v1/scores", String::new());
        assert_eq!(removed.await.unwrap().status, 200);
    }

    /// How many statements the server has run for loads of `scores` since the last
    /// [`forget`](Self::forget).
    pub(crate) async fn loads(&self) -> i64 {
        // It counts single and batched look-ups: the writers of the tests do not select.
        let calls = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements \
                     WHERE query LIKE '%SELECT value FROM scores%' AND query NOT LIKE '%pg_stat%'";
        sqlx::query_scalar(calls)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub(crate) async fn forget(&self) {
        let reset = sqlx::query("SELECT pg_stat_statements_reset()");
        reset.execute(&self.pool).await.unwrap();
    }
}

/// Runs a command of the binary on that configuration: what it prints, to the standard output and
/// error.
pub(crate) fn run(config: &Path, verb: &str, more: &[&str]) -> (String, String) {
    let mut command = command();
    command.arg(verb).args(more).arg("--config").arg(config);
    let output = command.output().unwrap();
    let (out, err) = (output.stdout, output.stderr);
    let (out, err) = (
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    );
    assert!(output.status.success(), "{verb}: {err}");
    (out, err)
}

fn setup(plan: &Plan, db: &Postgres, follows: SocketAddr, password: &Path) -> Setup {
    let url = db.url();
    let server = format!(
        "url = \"postgres://gaggle_follow@{follows}/gaggle\"\npassword-file = {password:?}"
    );
    let kind = match plan.follow {
        Follow::No => None,
        Follow::Replication => Some("postgres"),
        Follow::Notify => Some("postgres-notify"),
    };
    let mut tables = String::new();
    if let Some(kind) = kind {
        let scores = "tables = [{ table = \"scores\", key = \"{key}\" }]";
        write!(
            tables,
            "[groups.scores.follow]\nkind = \"{kind}\"\n{server}\n{scores}\n"
        )
        .unwrap();
    }
    if plan.follow == Follow::Replication {
        let profiles = "tables = [{ table = \"profiles\", key = \"{id}\", payload = \"profile\" }]";
        write!(
            tables,
            "[groups.profiles.origin]\nkind = \"postgres\"\nurl = \"{url}\"\n\
             query = \"SELECT profile FROM profiles WHERE id = $1::bigint\"\n\
             [groups.profiles.follow]\nkind = \"postgres\"\n{server}\n{profiles}\n"
        )
        .unwrap();
    }
    Setup {
        // Every line: the tests count some of them.
        node: "log-interval = \"0s\"".into(),
        group: plan.group.clone(),
        origin: format!("kind = \"postgres\"\nurl = \"{url}\"\nquery = \"{QUERY}\""),
        tables,
        ..Setup::default()
    }
}

/// `k0` and so on, as the rows are called.
pub(crate) fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("k{n}")).collect()
}
