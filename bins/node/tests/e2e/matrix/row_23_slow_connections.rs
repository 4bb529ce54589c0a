//! Slow and half-open connections.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use super::in_turn;
use crate::support::origin::value_of;
use crate::support::{Client, Cluster, Load, Origin, PATIENCE, Setup, busy, calm, promised, row};

const CONNECTIONS: usize = 500;

/// What a connection does after it has been opened.
#[derive(Clone, Copy)]
enum Kind {
    Nothing,
    HalfAHead,
    /// A byte each second, and never a whole head.
    Dripping,
}

/// How long it takes for the other side to end the connection.
async fn until_closed(mut stream: TcpStream, kind: Kind) -> Duration {
    let began = Instant::now();
    let head: &[u8] = match kind {
        Kind::Nothing => b"",
        Kind::HalfAHead => b"GET /v1/scores/key-1 HTTP/1.1\r\nHost: x\r\n",
        Kind::Dripping => b"GET /v1/scores/key-1 HTTP/1.1\r\nHost: x\r\nX-Long: ",
    };
    // It may have been closed already.
    let _ = stream.write_all(head).await;
    let (mut from, mut to) = stream.split();
    let drip = async {
        if matches!(kind, Kind::Dripping) {
            let mut second = interval(Duration::from_secs(1));
            loop {
                second.tick().await;
                if to.write_all(b"x").await.is_err() {
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        _ = timeout(PATIENCE, from.read_to_end(&mut answer)) => {}
        () = drip => {}
    }
    began.elapsed()
}

#[tokio::test]
async fn connections_are_slow_or_half_open() {
    let _busy = busy().await;
    calm(scenario).await;
}

async fn scenario() -> Result<(), String> {
    let origin = Origin::of_everything().await;
    let cluster = Cluster::start(1, &Setup::of(&origin)).await;
    let client = Client::new();
    let load = Load {
        rate: 100.0,
        lasts: Duration::from_secs(3),
    };
    let right = |key: &[u8], body: &[u8]| body == value_of(key);
    let before = load.run(&client, in_turn(&cluster.nodes, 100), right).await;

    let kinds = [Kind::Nothing, Kind::HalfAHead, Kind::Dripping];
    let mut streams = Vec::new();
    for n in 0..CONNECTIONS {
        streams.push((
            TcpStream::connect(cluster.nodes[0].api).await.unwrap(),
            kinds[n % 3],
        ));
    }
    let closing = join_all(
        streams
            .into_iter()
            .map(async |(stream, kind)| until_closed(stream, kind).await),
    );
    let load = Load {
        lasts: Duration::from_secs(8),
        ..load
    };
    let (seen, closed) = tokio::join!(
        load.run(&client, in_turn(&cluster.nodes, 100), right),
        closing
    );
    let slowest = closed.into_iter().max().unwrap();
    let (p99, usual) = (seen.quantile(0.99), before.quantile(0.99));
    row(
        23,
        "closed within 10 s; other clients' p99 <= 2x",
        format!(
            "{CONNECTIONS} closed within {slowest:.1?}; p99 {p99:.1?}, {usual:.1?} before; {} errors",
            seen.samples.len() - seen.right()
        ),
    );
    promised(seen.right() == seen.samples.len(), &seen)?;
    promised(
        slowest <= Duration::from_secs(11),
        format!("closed within {slowest:?}"),
    )?;
    promised(p99 <= usual * 2 + super::SLACK, seen)
}
