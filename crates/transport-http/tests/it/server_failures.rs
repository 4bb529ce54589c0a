//! Each failure of a group: the bytes of its answer, and how the asking node interprets it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Fetch, Group, Limits, Peer, PeerError, Verdict};
use gaggle_transport_http::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::clock::StoppedClock;
use crate::support::{LONG, absent, ask, fetch, fetch_most, peer, serve};

/// Status line, header lines that begin with `gaggle-` or `retry-`, and body.
fn essence(answer: &str) -> (&str, Vec<&str>, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap();
    let mut told: Vec<_> = lines
        .filter(|line| line.starts_with("gaggle-") || line.starts_with("retry-"))
        .collect();
    told.sort_unstable();
    (status, told, body)
}

/// Limits of 4 bytes for keys and values, and an origin that does as the key says.
fn moody() -> Group {
    Group::builder("moody")
        .limits(Limits {
            max_key: 4,
            max_value: 4,
            ..Limits::default()
        })
        .origin_fn(|key: Bytes| async move {
            match &key[..] {
                b"fail" => Err("disk\non fire"),
                b"big" => Ok(Some("12345")),
                b"four" => Ok(Some("1234")),
                b"boom" => panic!("a bug"),
                b"slow" => std::future::pending().await,
                _ => Ok(None),
            }
        })
        .build()
        .unwrap()
}

async fn verdict(peer: &gaggle_transport_http::HttpPeer, key: &str) -> Verdict {
    match fetch(peer, "moody", key.as_bytes()).await {
        Err(PeerError::Verdict { verdict, .. }) => verdict,
        other => panic!("{key}: {other:?}"),
    }
}

#[tokio::test]
async fn every_failure_has_its_status_and_is_understood() {
    let server = serve([moody()], ServerOptions::default()).await;
    let get = |key: &str| {
        let line = format!("GET /_groupcache/moody/{key}");
        async move { ask(server, &line, "").await }
    };
    let peer = peer(server);

    let missing = get("no%0A%20").await;
    assert_eq!(
        essence(&missing),
        (
            "404 Not Found",
            vec!["gaggle-verdict: not-found"],
            "no   not found\n"
        ),
    );
    assert_eq!(fetch(&peer, "moody", b"no\n ").await.unwrap(), absent());
    assert_eq!(essence(&get("Kesa").await).2, "Kesa not found\n");

    let failed = get("fail").await;
    assert_eq!(
        essence(&failed),
        (
            "500 Internal Server Error",
            vec!["gaggle-verdict: origin-failed"],
            "the reason is in the log of the node that asked it\n"
        ),
    );
    assert_eq!(
        verdict(&peer, "fail").await,
        Verdict::OriginFailed {
            message: "the reason is in the log of the node that asked it".into()
        }
    );

    let panicked = get("boom").await;
    let (status, told, text) = essence(&panicked);
    assert_eq!(
        (status, told),
        (
            "500 Internal Server Error",
            vec!["gaggle-verdict: origin-failed"]
        )
    );
    assert_eq!(text, "the load panicked\n");
    assert!(matches!(
        verdict(&peer, "boom").await,
        Verdict::OriginFailed { .. }
    ));

    let big = get("big").await;
    assert_eq!(
        essence(&big),
        (
            "413 Payload Too Large",
            vec![
                "gaggle-len: 5",
                "gaggle-limit: 4",
                "gaggle-verdict: value-too-large"
            ],
            "group moody: a value of 5 bytes is over the limit of 4 bytes\n",
        ),
    );
    assert_eq!(
        verdict(&peer, "big").await,
        Verdict::ValueTooLarge {
            len: Some(5),
            limit: 4
        }
    );

    let long = get("12345").await;
    assert_eq!(
        essence(&long),
        (
            "414 URI Too Long",
            vec!["gaggle-limit: 4", "gaggle-verdict: key-too-long"],
            "group moody: a key of 5 bytes is over the limit of 4\n",
        ),
    );
    assert_eq!(
        verdict(&peer, "12345").await,
        Verdict::KeyTooLong { limit: 4 }
    );

    // Over the asker's limit, not the group's: the value stays here.
    let most = ask(
        server,
        "GET /_groupcache/moody/four",
        "gaggle-max-value: 3\r\n",
    )
    .await;
    assert_eq!(
        essence(&most),
        (
            "413 Payload Too Large",
            vec![
                "gaggle-len: 4",
                "gaggle-limit: 3",
                "gaggle-verdict: value-too-large"
            ],
            "group moody: a value of 4 bytes is over the limit of 3 bytes\n",
        ),
    );
    match fetch_most(&peer, "moody", b"four", 3).await {
        Err(PeerError::Verdict { verdict, .. }) => {
            assert_eq!(
                verdict,
                Verdict::ValueTooLarge {
                    len: Some(4),
                    limit: 3
                }
            );
        }
        other => panic!("{other:?}"),
    }
    let fits = ask(
        server,
        "GET /_groupcache/moody/four",
        "gaggle-max-value: 4\r\n",
    )
    .await;
    assert_eq!(essence(&fits), ("200 OK", vec![], "\x0a\x041234"));
}

#[tokio::test(start_paused = true)]
async fn the_asker_s_deadline_ends_the_wait_and_arrives_as_a_verdict() {
    let clock = StoppedClock::new();
    let server = serve([moody()], ServerOptions::default()).await;
    let line = "GET /_groupcache/moody/slow";
    let late = clock.run(ask(server, line, "gaggle-deadline-ms: 20\r\n"));
    let late = late.await;
    assert_eq!(
        essence(&late),
        (
            "504 Gateway Timeout",
            vec!["gaggle-after-ms: 20", "gaggle-verdict: deadline"],
            "group moody: no answer within 20ms\n",
        ),
    );
    // The owner reports it, before the asker's own deadline: a slow origin is not a dead peer.
    let key = Bytes::from_static(b"slow");
    let deadline = Duration::from_secs(1);
    let fetch = Fetch::new("moody", &key, 9, deadline);
    // The owner ends a tenth of a second before the asker does.
    match clock.run(peer(server).fetch(fetch)).await {
        Err(PeerError::Verdict { verdict, .. }) => {
            let after = Duration::from_millis(900);
            assert_eq!(verdict, Verdict::Deadline { after });
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_cut_after_the_time_for_all_of_it() {
    let clock = StoppedClock::new();
    let server = serve([moody()], ServerOptions::default()).await;
    for kind in ["gaggle-batch", "gaggle-control"] {
        let mut connection = TcpStream::connect(server).await.unwrap();
        let head = format!(
            "POST /_groupcache/ HTTP/1.1\r\nhost: x\r\n{kind}: 1\r\ncontent-length: 1000\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let began = Instant::now();
        let (mut read, mut write) = connection.into_split();
        let drip = tokio::spawn(async move {
            while write.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let mut answer = String::new();
        clock.run(read.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        let took = began.elapsed();
        assert!(
            took >= Duration::from_secs(5) && took < Duration::from_secs(6),
            "{took:?}"
        );
        drip.abort();
    }
}

#[tokio::test]
async fn a_get_over_the_bound_is_shed_with_a_time_to_return() {
    let entered = Arc::new(Notify::new());
    let group = Group::builder("moody")
        .limits(Limits {
            max_loads: 1,
            retry_after: Duration::from_millis(1_500),
            ..Limits::default()
        })
        .origin_fn({
            let entered = entered.clone();
            move |_: Bytes| {
                entered.notify_one();
                std::future::pending::<Result<Option<&str>, &str>>()
            }
        })
        .build()
        .unwrap();
    let server = serve([group], ServerOptions::default()).await;
    let holder = tokio::spawn(async move { ask(server, "GET /_groupcache/moody/a", "").await });
    timeout(LONG, entered.notified()).await.unwrap();

    let shed = ask(server, "GET /_groupcache/moody/b", "").await;
    assert_eq!(
        essence(&shed),
        (
            "503 Service Unavailable",
            vec![
                "gaggle-after-ms: 1500",
                "gaggle-limit: 1",
                "gaggle-verdict: shed",
                "retry-after: 2"
            ],
            "group moody: 1 loads are under way, which is the limit\n",
        ),
    );
    assert_eq!(
        verdict(&peer(server), "b").await,
        Verdict::Shed {
            limit: 1,
            retry_after: Duration::from_millis(1_500)
        },
    );
    holder.abort();
}

#[tokio::test]
async fn a_node_without_the_group_refuses_so_that_the_value_comes_from_elsewhere() {
    let server = serve([moody()], ServerOptions::default()).await;
    let failure = fetch(&peer(server), "nobody", b"Tom").await.unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
    assert!(
        failure
            .to_string()
            .ends_with("status 404: it has no such group"),
        "{failure}"
    );
}
