//! What is in memory stays within the capacity and the bytes in flight, whatever clients and peers do.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Client, Cluster, Node, Origin, Setup, busy};

const MIB: u64 = 1 << 20;
const CAPACITY: u64 = 16 * MIB;
const IN_FLIGHT: u64 = 64 * MIB;
/// What the process takes besides: its program, its threads, what connections buffer, and what the allocator keeps.
const BESIDES: u64 = 40 * MIB;
const LARGE: usize = 8 << 20;

/// What there is under a key: `large-N` has 8 MiB, all others their own names.
fn value(key: &[u8]) -> Vec<u8> {
    if key.starts_with(b"large-") {
        key.iter().copied().cycle().take(LARGE).collect()
    } else {
        key.to_vec()
    }
}

/// The most memory that was ever resident.
fn peak(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<u64>().unwrap() << 10
}

/// Runs `trouble` while keys with small values are asked for, each once and then again. Tells what was resident at most so
/// far.
async fn with_small_gets<T>(
    what: &str,
    node: &Node,
    client: &Client,
    trouble: impl Future<Output = T>,
) -> T {
    let over = Cell::new(false);
    let gets = async {
        let (mut count, mut slowest) = (0, Duration::ZERO);
        while !over.get() {
            let key = format!("{what}, small {}", count / 2);
            let began = Instant::now();
            let answer = client.key(node, key.as_bytes()).await;
            slowest = slowest.max(began.elapsed());
            assert_eq!((answer.status, answer.text()), (200, key));
            count += 1;
            sleep(Duration::from_millis(5)).await;
        }
        (count, slowest)
    };
    let trouble = async {
        let came = trouble.await;
        over.set(true);
        came
    };
    let (came, (count, slowest)) = tokio::join!(trouble, gets);
    let status = client.get(node.admin, "/status").await.json();
    println!(
        "{what}: {} MiB resident, {} MiB at most so far; in flight {}; {count} small gets, the slowest {slowest:.1?}",
        node.process.resident() / MIB,
        peak(node) / MIB,
        status["in_flight"],
    );
    assert!(count > 10, "small gets go on");
    came
}

/// How many rows of a batch for 128 large values have which status.
async fn batch(node: &Node, client: &Client) -> [usize; 3] {
    let keys: Vec<_> = (0..128).map(|n| format!("large-{n}")).collect();
    let rows = client.batch_rows(node, &json!({"keys": keys})).await;
    assert_eq!(rows.len(), 128);
    let count = |status: u16| {
        let rows = rows.iter().filter(|row| row["status"] == status);
        rows.count()
    };
    let counts = [count(200), count(413), count(503)];
    assert_eq!(counts.iter().sum::<usize>(), 128, "{:?}", rows.last());
    let found = rows.iter().filter(|row| row["status"] == 200);
    let whole = |row: &Value| row["value"].as_str().unwrap().len() == LARGE.div_ceil(3) * 4;
    assert!(found.clone().all(whole));
    counts
}

/// A connection on which that was sent.
async fn begun(addr: SocketAddr, request: Vec<u8>) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(&request).await.unwrap();
    stream
}

/// Reads a little of an answer, slowly: its status.
async fn status_of(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    for _ in 0..20 {
        let mut some = [0; 1_024];
        // An answer of 503 is shorter.
        if stream.read(&mut some).await.unwrap() == 0 {
            break;
        }
        if !head.ends_with(b"200") {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn large_batches_slow_readers_and_half_sent_bodies_stay_within_the_bytes_in_flight() {
    let _busy = busy().await;
    let origin = Origin::serve(|key| Some(value(key))).await;
    let mut setup = Setup::of(&origin).group("capacity = \"16MiB\"\nmax-value = \"8MiB\"");
    setup.node = "max-in-flight = \"64MiB\"".into();
    let cluster = Cluster::start(1, &setup).await;
    let (node, client) = (&cluster.nodes[0], Client::new());
    println!("empty: {} MiB resident", node.process.resident() / MIB);

    let [found, full, shed] = with_small_gets("a batch", node, &client, batch(node, &client)).await;
    println!("rows: {found} with values, {full} beyond the most bytes of an answer, {shed} shed");
    assert!(found >= 8 && shed == 0);

    let slow = async {
        let mut readers = Vec::new();
        for n in 0..40 {
            let request = format!("GET /v1/scores/large-{n} HTTP/1.1\r\nHost: x\r\n\r\n");
            readers.push(begun(node.api, request.into_bytes()).await);
        }
        let told = join_all(readers.iter_mut().map(status_of)).await;
        let rows = batch(node, &client).await;
        (readers, told, rows)
    };
    let (readers, told, rows) = with_small_gets("slow readers", node, &client, slow).await;
    let served = told.iter().filter(|status| **status == 200).count();
    println!("40 readers: {served} served; rows of a batch: {rows:?}");
    assert!(told.iter().all(|status| [200, 503].contains(status)));
    assert!(served >= 1);
    drop(readers);

    let half = async {
        let head = format!(
            "POST /_groupcache/ HTTP/1.1\r\nHost: x\r\nGaggle-Batch: 1\r\nContent-Type: application/x-protobuf\r\nContent-Length: {MIB}\r\n\r\n"
        );
        let body = vec![0; 1 << 19];
        let send = async |_| {
            let mut stream = begun(node.peer, head.clone().into_bytes()).await;
            // The node may refuse it, or stop reading, before all of that was sent.
            let sent = timeout(Duration::from_secs(2), stream.write_all(&body)).await;
            (stream, matches!(sent, Ok(Ok(()))))
        };
        join_all((0..500).map(send)).await
    };
    let bodies = with_small_gets("half-sent bodies", node, &client, half).await;
    let sent = bodies.iter().filter(|(_, sent)| *sent).count();
    println!("500 half-sent bodies: {sent} taken in so far");
    drop(bodies);

    let most = peak(node);
    let bound = CAPACITY * 115 / 100 + IN_FLIGHT + BESIDES;
    println!(
        "at most {} MiB resident, promised {} MiB: capacity {} MiB x 1.15, in flight {} MiB, besides {} MiB",
        most / MIB,
        bound / MIB,
        CAPACITY / MIB,
        IN_FLIGHT / MIB,
        BESIDES / MIB,
    );
    assert!(most < bound, "{most}");
}
