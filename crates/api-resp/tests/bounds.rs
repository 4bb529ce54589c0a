//! What one client can cost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{LONG, Port, request, scores};
use gaggle_api_resp::{Access, Options, Rights};
use gaggle_group::{ByteBudget, Group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let options = Options {
        max_connections: 2,
        ..Options::default()
    };
    let port = Port::of([scores()], options).await;
    let (mut first, mut second) = (port.open().await, port.open().await);
    first.ask("PING", "+PONG\r\n").await;
    second.ask("PING", "+PONG\r\n").await;
    let refused = port.open().await.rest().await;
    assert_eq!(refused, b"-ERR max number of clients reached\r\n");
    // Its place is another's.
    first.ask("QUIT", "+OK\r\n").await;
    assert_eq!(first.rest().await, b"");
    for _ in 0..10_000 {
        if port.monitor.counts().open < 2 {
            break;
        }
        tokio::task::yield_now().await;
    }
    port.open().await.ask("PING", "+PONG\r\n").await;
    assert_eq!(port.monitor.counts().refused, 1);
}

#[tokio::test]
async fn connections_that_send_nothing_are_closed() {
    let idle = Options {
        idle_timeout: SHORT,
        ..Options::default()
    };
    let port = Port::of([scores()], idle).await;
    let mut client = port.open().await;
    client.ask("PING", "+PONG\r\n").await;
    assert_eq!(client.rest().await, b"");
    // Half of a request, and no password, each have the time of a request.
    let request = Options {
        request_timeout: SHORT,
        ..Options::default()
    };
    let port = Port::of([scores()], request.clone()).await;
    let mut half = port.open().await;
    half.send(b"PING\r\n*2\r\n$3\r\nGET\r\n").await;
    assert_eq!(half.rest().await, b"+PONG\r\n");
    let access = Access::password(|_| Some(Rights::Read));
    let port = Port::of([scores()], Options { access, ..request }).await;
    let mut stranger = port.open().await;
    assert_eq!(stranger.rest().await, b"");
    assert_eq!(port.monitor.counts().timed_out, 1);
}

#[tokio::test]
async fn a_stranger_has_so_long_to_authenticate_whatever_it_sends() {
    let options = Options {
        request_timeout: SHORT,
        access: Access::password(|_| Some(Rights::Read)),
        ..Options::default()
    };
    let port = Port::of([scores()], options).await;
    let mut stranger = port.open().await.0;
    let refused = b"-NOAUTH Authentication required.\r\n+RESET\r\n";
    let asks = async {
        // Half of a request is always there, and it never becomes old.
        let (mut ask, mut answer) = (&b"GET a\r\nRESET\r\nGE"[..], vec![0; refused.len()]);
        while stranger.write_all(ask).await.is_ok()
            && stranger.read_exact(&mut answer).await.is_ok()
        {
            assert_eq!(answer, refused);
            ask = b"T a\r\nRESET\r\nGE";
        }
    };
    timeout(LONG, asks).await.expect("it is cut");
    assert_eq!(port.monitor.counts().timed_out, 1);
}

#[tokio::test]
async fn a_stranger_draws_nothing_from_the_budget() {
    let options = Options {
        access: Access::password(|_| Some(Rights::Read)),
        ..Options::default()
    };
    let group = scores();
    let budget = group.in_flight().clone();
    let port = Port::of([group], options).await;
    let mut stranger = port.open().await;
    // Each argument is one that a stranger may send, and they have no end.
    let half = [
        b"*10\r\n".to_vec(),
        request(&[&[b'x'; 16_000][..]; 9])[4..].to_vec(),
    ]
    .concat();
    let _ = stranger.0.write_all(&half).await;
    assert_eq!(
        String::from_utf8(stranger.rest().await).unwrap(),
        "-ERR Protocol error: a request of more than 24576 bytes\r\n"
    );
    assert_eq!(budget.peak(), 0);
}

#[tokio::test]
async fn a_request_of_the_largest_size_fits_the_budget() {
    let budget = ByteBudget::new(4 << 20, Duration::from_secs(1));
    let group = Group::builder("small")
        .origin_fn(|_: Bytes| async { Ok::<_, std::io::Error>(None::<Bytes>) })
        .in_flight(budget.clone())
        .build()
        .unwrap();
    let options = Options {
        max_request: 4 << 20,
        ..Options::default()
    };
    let port = Port::of([group], options).await;
    // The group refuses such a key, and the connection goes on.
    let whole = [
        request(&[b"STRLEN", &vec![b'k'; 4 << 20]]),
        b"PING\r\n".to_vec(),
    ]
    .concat();
    let answer = String::from_utf8(port.ask(&whole).await).unwrap();
    assert!(answer.starts_with("-ERR group small: "), "{answer}");
    assert!(answer.ends_with("\r\n+PONG\r\n"), "{answer}");
    assert!(budget.peak() >= 4 << 20);
    assert_eq!(budget.used(), 0);
    // With a budget that is smaller than a request may be, no later time helps.
    budget.set_limit(1 << 20);
    let mut large = port.open().await;
    let _ = large
        .0
        .write_all(&request(&[b"STRLEN", &vec![b'k'; 4 << 20]]))
        .await;
    let answer = String::from_utf8(large.rest().await).unwrap();
    assert!(answer.starts_with("-ERR the request takes "), "{answer}");
}

#[tokio::test]
async fn a_part_of_a_value_counts_as_all_of_it() {
    let group = scores();
    let budget = group.in_flight().clone();
    let port = Port::of([group], Options::default()).await;
    let mut client = port.open().await;
    let large = common::find(b"large").unwrap();
    for _ in 0..2 {
        client.send(b"GETRANGE large 0 9999\r\n").await;
        let part = [b"$10000\r\n", &large[..10_000], b"\r\n"].concat();
        let mut got = vec![0; part.len()];
        timeout(LONG, client.0.read_exact(&mut got))
            .await
            .unwrap()
            .unwrap();
        assert!(got == part);
    }
    assert!(budget.peak() >= 100_000, "{}", budget.peak());
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut() {
    let options = Options {
        stall_timeout: SHORT,
        min_rate: u32::MAX,
        max_output: 100_000,
        ..Options::default()
    };
    let port = Port::of([scores()], options).await;
    let client = port.open().await;
    let (_unread, mut to) = client.0.into_split();
    // More than sockets hold, until nothing more is taken.
    let asks = "GET large\r\n".repeat(1000);
    let stalled = async { while to.write_all(asks.as_bytes()).await.is_ok() {} };
    timeout(LONG, stalled).await.expect("it is cut");
    assert_eq!(port.monitor.counts().timed_out, 1);
}

#[tokio::test]
async fn a_pipeline_may_be_sent_before_an_answer_is_read() {
    let port = Port::of([scores()], Options::default()).await;
    let mut client = port.open().await;
    // Answers of a megabyte, whatever sockets hold.
    client.send("GET long\r\n".repeat(10_000).as_bytes()).await;
    let answer = format!("$100\r\n{}\r\n", "l".repeat(100));
    client.expect(answer.repeat(10_000)).await;
}

#[tokio::test]
async fn requests_have_a_size_and_a_number_of_arguments() {
    let options = Options {
        max_arguments: 5,
        max_request: 1000,
        ..Options::default()
    };
    let port = Port::of([scores()], options).await;
    let five = port
        .ask(&request(&[b"EXISTS", b"a", b"b", b"c", b"d"]))
        .await;
    assert_eq!(five, b":0\r\n");
    for (input, error) in [
        (&b"*6\r\n"[..], "invalid multibulk length"),
        (b"EXISTS a b c d e\r\n", "invalid multibulk length"),
        (b"*1\r\n$1001\r\n", "invalid bulk length"),
    ] {
        let answer = port.ask(input).await;
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(answer, format!("-ERR Protocol error: {error}\r\n"));
    }
}

#[tokio::test]
async fn what_has_come_is_answered_when_the_port_closes() {
    let mut port = Port::of([scores()], Options::default()).await;
    let mut idle = port.open().await;
    idle.ask("PING", "+PONG\r\n").await;
    let mut half = port.open().await;
    half.send(b"*2\r\n$3\r\nGET\r\n$3\r\n").await;
    half.send(b"To").await;
    // It has come once this is answered.
    idle.ask("PING", "+PONG\r\n").await;
    let waits = async {
        while port.monitor.counts().open < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, waits).await.unwrap();
    port.stop();
    assert_eq!(idle.rest().await, b"");
    half.send(b"m\r\n").await;
    assert_eq!(half.rest().await, b"$3\r\n630\r\n");
    let drained = port.drained().await;
    assert_eq!(drained.cut, 0);
}
