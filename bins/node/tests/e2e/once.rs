//! One load for each key, over the whole cluster.

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::task::JoinSet;

use crate::support;
use crate::support::client::{Answer, escape};
use crate::support::origin::{Mode, value_of};
use crate::support::{Client, Cluster, Node, Origin, Setup, busy, until};

const LOADED: &str = "gaggle_loads_total";

/// The keys of a batch: as many as a node takes.
const BATCH: usize = 1000;

fn keys(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| format!("key-{n}").into_bytes())
        .collect()
}

/// Asks all nodes at the same time for all keys: the first `singles` one by one, the rest in
/// batches. Panics unless each value is exact.
async fn ask_every_node(
    cluster: &Cluster,
    keys: &[Vec<u8>],
    singles: usize,
    expected: impl Fn(&[u8]) -> Vec<u8>,
) {
    let client = &Client::new();
    let (singles, batched) = keys.split_at(singles);
    let one_by_one = async |node: &Node| {
        let answers = stream::iter(singles).map(async |key| (key, client.key(node, key).await));
        let mut answers = answers.buffer_unordered(16);
        while let Some((key, answer)) = answers.next().await {
            assert_eq!((answer.status, answer.body), (200, expected(key)));
        }
    };
    let in_batches = async |node: &Node| {
        for keys in batched.chunks(BATCH) {
            let answers = client.batch(node, keys).await;
            for (key, answer) in keys.iter().zip(answers) {
                assert_eq!(answer, (200, expected(key)), "{}", key.escape_ascii());
            }
        }
    };
    join_all(cluster.nodes.iter().map(async |node| {
        one_by_one(node).await;
        in_batches(node).await;
    }))
    .await;
}

/// Runs a scenario on a separate cluster, and again, twice at most, if a node lost contact with a
/// peer that was up.
///
/// "Once" holds while the nodes see each other. A busy machine may leave a node without a
/// processor for half a second, and then other nodes load in its place. They are meant to do so,
/// and this test does not examine it.
async fn undisturbed<T>(scenario: impl AsyncFn() -> (Cluster, T)) -> (Cluster, T) {
    for _ in 0..3 {
        let (cluster, seen) = scenario().await;
        if cluster.undisturbed() {
            return (cluster, seen);
        }
        println!("once more: a node was held up so long that a peer took it for dead");
    }
    panic!("three times out of three a node took a peer for dead that was not");
}

async fn figures(what: &str, cluster: &Cluster) {
    let sum = async |name, labels: &[&str]| cluster.metric(&Client::new(), name, labels).await;
    let origin = sum(LOADED, &["source=\"origin\""]).await;
    let peer = sum(LOADED, &["source=\"peer\""]).await;
    let served = sum("gaggle_server_requests_total", &[]).await;
    println!("{what}: {origin} loads from the origin, {peer} from peers, {served} served to peers");
}

async fn each_key_is_loaded_once(count: usize, cluster_lines: &str) {
    let _busy = busy().await;
    let keys = keys(count);
    let (cluster, origin) = undisturbed(async || {
        let origin = Origin::of_everything().await;
        let cluster = Cluster::start(3, &Setup::of(&origin).cluster(cluster_lines)).await;
        ask_every_node(&cluster, &keys, 500, value_of).await;
        (cluster, origin)
    })
    .await;
    figures(&format!("{count} keys, {cluster_lines:?}"), &cluster).await;
    origin.assert_asked_once(&keys);
}

#[tokio::test]
async fn three_nodes_load_each_of_20000_keys_once() {
    each_key_is_loaded_once(20_000, "").await;
}

#[tokio::test]
async fn a_cluster_over_grpc_loads_each_key_once() {
    each_key_is_loaded_once(5_000, "transport = \"grpc\"").await;
}

/// 100,000 rows, each value made of its key's number: `n * 7919`, and `n` modulo 50 letters `x`.
const FILL: &str = "
    CREATE TABLE scores (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
    INSERT INTO scores
    SELECT 'key-' || i, (i * 7919) || replace(substr(hex(zeroblob(25)), 1, i % 50), '0', 'x') FROM n;";

/// The value of a row of [`FILL`].
fn row(key: &[u8]) -> Vec<u8> {
    let n: usize = std::str::from_utf8(&key[4..]).unwrap().parse().unwrap();
    format!("{}{}", n * 7919, "x".repeat(n % 50)).into_bytes()
}

#[tokio::test]
async fn three_nodes_load_each_row_of_a_database_once() {
    const ROWS: usize = 100_000;
    let _busy = busy().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.db");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut database = options.connect().await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut database).await.unwrap();
    sqlx::Connection::close(database).await.unwrap();
    let query = "SELECT value FROM scores WHERE key = ?1";
    let setup = Setup {
        origin: format!("kind = \"sqlite\"\npath = {path:?}\nquery = {query:?}"),
        ..Setup::default()
    };

    let keys = keys(ROWS);
    let (cluster, ()) = undisturbed(async || {
        let cluster = Cluster::start(3, &setup).await;
        ask_every_node(&cluster, &keys, 0, row).await;
        (cluster, ())
    })
    .await;
    figures(&format!("{ROWS} rows of a database"), &cluster).await;
    let loaded = ["source=\"origin\"", "result=\"ok\""];
    let loaded = cluster.metric(&Client::new(), LOADED, &loaded).await;
    assert_eq!(loaded, ROWS as u64);
}

/// How many callers of a herd arrive at the same time: 3000 connections at one instant would test
/// the listeners' backlogs.
const WAVE: usize = 150;

/// Sockets that this process may open. A herd needs one for each caller, here and in the nodes.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

/// All callers have arrived, and none has an answer, before the origin gives one.
async fn herd_of(callers: usize, key: &[u8]) -> (Cluster, (Origin, Vec<Answer>)) {
    let origin = Origin::of_everything().await;
    let cluster = Cluster::start(3, &Setup::of(&origin).group("load-timeout = \"60s\"")).await;
    let client = Client::new();
    origin.set(Mode::Gated);
    let mut herd = JoinSet::new();
    for first in (0..callers).step_by(WAVE) {
        for caller in first..first + WAVE {
            let (client, api) = (client.clone(), cluster.nodes[caller % 3].api);
            let target = format!("/v1/scores/{}", escape(key));
            herd.spawn(async move { client.get(api, &target).await });
        }
        until("the herd to arrive", async || {
            let gets = cluster.metric(&client, "gaggle_gets_total", &[]).await;
            let of_peers = "gaggle_server_requests_total";
            let of_peers = cluster.metric(&client, of_peers, &[]).await;
            gets - of_peers == (first + WAVE) as u64
        })
        .await;
    }
    assert!(herd.try_join_next().is_none(), "nobody has an answer yet");
    origin.set(Mode::Open);
    (cluster, (origin, herd.join_all().await))
}

#[tokio::test]
async fn a_herd_on_three_nodes_reaches_the_origin_once() {
    let _busy = busy().await;
    let callers = 3000.min(descriptors().saturating_sub(400) / WAVE * WAVE);
    let key = b"the one that everybody wants";
    let (_, (origin, answers)) = undisturbed(async || herd_of(callers, key).await).await;
    let asked = origin.asked_for(key);
    support::row(
        11,
        "loads == 1; every answer equal",
        format!("{asked} load for {callers} callers over three nodes"),
    );
    assert_eq!(answers.len(), callers);
    for answer in answers {
        assert_eq!((answer.status, answer.body), (200, value_of(key)));
    }
    origin.assert_asked_once(&[key.to_vec()]);
}
