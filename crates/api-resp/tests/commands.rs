//! What clients are answered, where no Redis is needed to tell.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use common::{LONG, Port, request, scores};
use gaggle_api_resp::{Access, Grant, Options, Rights};
use gaggle_group::{ByteBudget, Group, Limits, Load, Loaded, Origin, OriginError, async_trait};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// An origin whose loads begin, and wait until they may end.
struct Gate {
    begun: Semaphore,
    open: Semaphore,
    loads: AtomicUsize,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Semaphore::new(0),
            open: Semaphore::new(0),
            loads: AtomicUsize::new(0),
        })
    }

    async fn have_begun(&self, loads: u32) {
        let begun = timeout(LONG, self.begun.acquire_many(loads)).await;
        begun.expect("so many loads at a time").unwrap().forget();
    }
}

#[async_trait]
impl Origin for Gate {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        self.loads.fetch_add(1, Relaxed);
        self.begun.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        match &load.key[..] {
            b"none" => Ok(Loaded::absent()),
            b"broken" => Err(OriginError::failed("http://db.internal/?token=hunter2")),
            key => Ok(Loaded::value(Bytes::copy_from_slice(key))),
        }
    }
}

fn gated(gate: &Arc<Gate>) -> Group {
    Group::builder("gated")
        .origin_arc(gate.clone())
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_misses_of_a_pipeline_are_loaded_side_by_side_and_answered_in_order() {
    let gate = Gate::new();
    let port = Port::of([gated(&gate), scores()], Options::default()).await;
    let mut client = port.open().await;
    client
        .send(b"GET gated:a\r\nGET gated:b\r\nGET scores:Tom\r\nGET gated:none\r\nGET gated:c\r\nPING\r\nGET gated:d\r\n")
        .await;
    // All four in front of the PING, and none behind it.
    gate.have_begun(4).await;
    assert_eq!(gate.loads.load(Relaxed), 4);
    gate.open.add_permits(4);
    client
        .expect("$1\r\na\r\n$1\r\nb\r\n$3\r\n630\r\n$-1\r\n$1\r\nc\r\n+PONG\r\n")
        .await;
    gate.have_begun(1).await;
    gate.open.add_permits(1);
    client.expect("$1\r\nd\r\n").await;
}

#[tokio::test]
async fn loads_of_one_connection_have_a_bound() {
    let gate = Gate::new();
    let options = Options {
        batch_loads: 3,
        ..Options::default()
    };
    let port = Port::of([gated(&gate)], options).await;
    let mut client = port.open().await;
    client.send(b"MGET a b c d e f g\r\n").await;
    for loads in [3, 3, 1] {
        gate.have_begun(loads).await;
        assert_eq!(gate.begun.available_permits(), 0);
        gate.open.add_permits(3);
    }
    client.expect("*7\r\n$1\r\na\r\n").await;
}

#[tokio::test]
async fn a_key_that_fails_is_an_error_in_its_place() {
    let gate = Gate::new();
    gate.open.add_permits(100);
    let port = Port::of([gated(&gate)], Options::default()).await;
    let mut client = port.open().await;
    let failed = "-ERR group gated: the origin failed: the reason is in the log of the node that \
                  asked it\r\n";
    client
        .ask(
            "MGET a broken none b",
            format!("*4\r\n$1\r\na\r\n{failed}$-1\r\n$1\r\nb\r\n"),
        )
        .await;
    client.ask("GET broken", failed).await;
    client.ask("EXISTS a broken", failed).await;
    client.ask("STRLEN broken", failed).await;
    let long = "k".repeat(2000);
    client
        .ask(
            &format!("GET {long}"),
            "-ERR group gated: a key of 2000 bytes is over the limit of 1024\r\n",
        )
        .await;
    assert!(port.monitor.counts().errors >= 4);
}

#[tokio::test]
async fn what_is_shed_may_be_tried_again() {
    let gate = Gate::new();
    let limits = Limits {
        max_loads: 1,
        ..Limits::default()
    };
    let group = Group::builder("gated")
        .origin_arc(gate.clone())
        .limits(limits)
        .build()
        .unwrap();
    let port = Port::of([group], Options::default()).await;
    let (mut first, mut second) = (port.open().await, port.open().await);
    first.send(b"GET a\r\n").await;
    gate.have_begun(1).await;
    second
        .ask(
            "GET b",
            "-TRYAGAIN group gated: 1 loads are under way, which is the limit\r\n",
        )
        .await;
    gate.open.add_permits(1);
    first.expect("$1\r\na\r\n").await;
}

#[tokio::test]
async fn keys_name_their_group_or_are_of_the_bare_one() {
    let gate = Gate::new();
    gate.open.add_permits(100);
    let port = Port::of([gated(&gate), scores()], Options::default()).await;
    let mut client = port.open().await;
    client.ask("GET scores:Tom", "$3\r\n630\r\n").await;
    client.ask("GET gated:Tom", "$3\r\nTom\r\n").await;
    client
        .ask("GET other:Tom", "-ERR no such group: other\r\n")
        .await;
    client
        .ask(
            "GET Tom",
            "-ERR the key names no group: expected group:key\r\n",
        )
        .await;
    client
        .ask(
            "MGET scores:Tom x:y gated:none",
            "*3\r\n$3\r\n630\r\n-ERR no such group: x\r\n$-1\r\n",
        )
        .await;
    client
        .ask(
            "FLUSHDB",
            "-ERR FLUSHDB removes the group of bare keys, and there is none here: FLUSHALL removes all groups\r\n",
        )
        .await;
    let options = Options {
        group: Some("scores".into()),
        ..Options::default()
    };
    let port = Port::of([gated(&gate), scores()], options).await;
    let mut client = port.open().await;
    client.ask("GET Tom", "$3\r\n630\r\n").await;
    client.ask("GET other:Tom", "$12\r\nwith a colon\r\n").await;
    client.ask("GET gated:Tom", "$3\r\nTom\r\n").await;
    client.ask("FLUSHDB", "+OK\r\n").await;
}

#[tokio::test]
async fn values_are_put_and_removed() {
    let gate = Gate::new();
    gate.open.add_permits(100);
    let group = gated(&gate);
    let port = Port::of([group.clone()], Options::default()).await;
    let mut client = port.open().await;
    client.ask("SET a new EX 100", "+OK\r\n").await;
    client.ask("GET a", "$3\r\nnew\r\n").await;
    client.ask("TTL a", ":100\r\n").await;
    client.ask("SET b new PXAT 1", "+OK\r\n").await;
    assert!(!group.holds("b"));
    assert_eq!(gate.loads.load(Relaxed), 0);
    client.ask("DBSIZE", ":1\r\n").await;
    // The origin's value is back.
    client.ask("DEL a b", ":2\r\n").await;
    client.ask("GET a", "$1\r\na\r\n").await;
    client.ask("SETEX a 50 x", "+OK\r\n").await;
    client.ask("FLUSHALL", "+OK\r\n").await;
    assert!(!group.holds("a"));
    client
        .send(&request(&[b"SET", b"large", &[b'x'; 3 << 20]]))
        .await;
    client.expect("+OK\r\n").await;
    client.ask("STRLEN large", ":3145728\r\n").await;
    let counts = port.monitor.counts();
    assert_eq!((counts.writes, counts.errors, counts.open), (6, 0, 1));
}

#[tokio::test]
async fn who_may_only_read_cannot_write() {
    let access = Access::password(|given| match given {
        b"reader" => Some(Rights::Read),
        b"writer" => Some(Rights::Write),
        _ => None,
    });
    let options = Options {
        access,
        ..Options::default()
    };
    let port = Port::of([scores()], options).await;
    let mut client = port.open().await;
    client
        .ask("GET Tom", "-NOAUTH Authentication required.\r\n")
        .await;
    client
        .ask(
            "AUTH nobody",
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        )
        .await;
    client.ask("AUTH reader", "+OK\r\n").await;
    client.ask("GET Tom", "$3\r\n630\r\n").await;
    for (name, request) in [
        ("set", "SET Tom 1"),
        ("setex", "SETEX Tom 1 1"),
        ("del", "DEL Tom"),
        ("unlink", "UNLINK Tom"),
        ("flushdb", "FLUSHDB"),
        ("flushall", "FLUSHALL"),
    ] {
        let refused =
            format!("-NOPERM this user has no permissions to run the '{name}' command\r\n");
        client.ask(request, refused).await;
    }
    client.ask("AUTH default writer", "+OK\r\n").await;
    client.ask("DEL Tom", ":1\r\n").await;
    client.ask("RESET", "+RESET\r\n").await;
    client
        .ask("DEL Tom", "-NOAUTH Authentication required.\r\n")
        .await;
    assert_eq!(port.monitor.counts().denied, 1);
}

#[tokio::test]
async fn who_gives_no_password_may_read_where_that_is_allowed() {
    let withdrawn = Arc::new(AtomicBool::new(false));
    let of_writer = withdrawn.clone();
    let access = Access::password(move |given| {
        let withdrawn = of_writer.clone();
        let grant = Grant::new(Rights::Write).until(move || withdrawn.load(Relaxed));
        (given == b"writer").then_some(grant)
    });
    let options = Options {
        access: access.anonymous(Rights::Read),
        ..Options::default()
    };
    let port = Port::of([scores()], options).await;
    let mut client = port.open().await;
    let refused = "-NOPERM this user has no permissions to run the 'del' command\r\n";
    client.ask("GET Tom", "$3\r\n630\r\n").await;
    client.ask("DEL Tom", refused).await;
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    client.ask("AUTH another", wrong).await;
    client.ask("AUTH writer", "+OK\r\n").await;
    client.ask("DEL Tom", ":1\r\n").await;
    client.ask("RESET", "+RESET\r\n").await;
    client.ask("DEL Tom", refused).await;
    client.ask("AUTH writer", "+OK\r\n").await;
    withdrawn.store(true, Relaxed);
    client.ask("DEL Tom", refused).await;
    client.ask("GET Tom", "$3\r\n630\r\n").await;
}

#[tokio::test]
async fn a_password_that_is_withdrawn_ends_its_rights_at_the_next_command() {
    let withdrawn = Arc::new(AtomicBool::new(false));
    let of_old = withdrawn.clone();
    let access = Access::password(move |given| match given {
        b"old" if of_old.load(Relaxed) => None,
        b"old" => {
            let withdrawn = of_old.clone();
            Some(Grant::new(Rights::Write).until(move || withdrawn.load(Relaxed)))
        }
        b"new" => Some(Grant::new(Rights::Write)),
        _ => None,
    });
    let options = Options {
        access,
        ..Options::default()
    };
    let gate = Gate::new();
    let port = Port::of([gated(&gate), scores()], options).await;
    let (mut idle, mut waits, mut other) =
        (port.open().await, port.open().await, port.open().await);
    for (client, password) in [(&mut idle, "old"), (&mut waits, "old"), (&mut other, "new")] {
        client.ask(&format!("AUTH {password}"), "+OK\r\n").await;
        client.ask("GET scores:Tom", "$3\r\n630\r\n").await;
    }
    // What is behind a command that waits is behind the withdrawal as well.
    waits
        .send(b"GET gated:a\r\nGET scores:Tom\r\nPING\r\nDEL scores:Tom\r\n")
        .await;
    gate.have_begun(1).await;
    withdrawn.store(true, Relaxed);
    let refused = "-NOAUTH Authentication required.\r\n";
    gate.open.add_permits(1);
    waits
        .expect(format!("$1\r\na\r\n$3\r\n630\r\n{refused}{refused}"))
        .await;
    idle.send(b"PING\r\nGET scores:Tom\r\n").await;
    idle.expect([refused, refused].concat()).await;
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    idle.ask("AUTH old", wrong).await;
    idle.ask("AUTH new", "+OK\r\n").await;
    for client in [&mut idle, &mut other] {
        client.ask("GET scores:Tom", "$3\r\n630\r\n").await;
    }
    assert_eq!(port.monitor.counts().denied, 1);
}

#[tokio::test]
async fn a_client_that_wants_no_answers_gets_none() {
    let gate = Gate::new();
    gate.open.add_permits(100);
    let group = gated(&gate);
    let port = Port::of([group.clone(), scores()], Options::default()).await;
    let (mut quiet, mut other) = (port.open().await, port.open().await);
    // The connection is idle in between, so that another one may have its buffers.
    quiet.send(b"CLIENT REPLY OFF\r\n").await;
    for key in ["a", "b", "c"] {
        quiet
            .send(format!("SET gated:{key} 1\r\nGET scores:large\r\nGET nonsense\r\n").as_bytes())
            .await;
        other.ask("GET scores:Tom", "$3\r\n630\r\n").await;
    }
    quiet.ask("CLIENT REPLY ON", "+OK\r\n").await;
    for key in ["a", "b", "c"] {
        assert!(group.holds(key), "{key}");
    }
    // A load of one of the two does not have the other one skipped.
    quiet
        .send(b"CLIENT REPLY SKIP\r\nGET gated:d\r\nGET gated:e\r\n")
        .await;
    quiet.expect("$1\r\ne\r\n").await;
    quiet.send(b"CLIENT REPLY SKIP\r\n").await;
    other.ask("GET scores:Tom", "$3\r\n630\r\n").await;
    quiet.send(b"GET scores:Tom\r\n").await;
    quiet
        .ask("GET scores:Jack", "$12\r\nfive hundred\r\n")
        .await;
    assert_eq!(port.monitor.counts().errors, 3);
}

#[tokio::test]
async fn version_3_has_nulls_maps_and_text() {
    let port = Port::of([scores()], Options::default()).await;
    let mut client = port.open().await;
    let version = env!("CARGO_PKG_VERSION");
    client
        .ask(
            "HELLO 3 SETNAME me",
            format!(
                "%7\r\n$6\r\nserver\r\n$6\r\ngaggle\r\n$7\r\nversion\r\n${}\r\n{version}\r\n\
                 $5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n\
                 $4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n",
                version.len()
            ),
        )
        .await;
    client.ask("GET nobody", "_\r\n").await;
    client.ask("CLIENT GETNAME", "$2\r\nme\r\n").await;
    client
        .ask("COMMAND DOCS get", "%1\r\n$3\r\nget\r\n%3\r\n")
        .await;
    let mut client = port.open().await;
    client.ask("HELLO 3", "%7\r\n").await;
    drop(client);
    let info = port.ask(b"INFO server\r\nQUIT\r\n").await;
    let info = String::from_utf8(info).unwrap();
    assert!(
        info.contains(&format!("gaggle_version:{version}\r\n")),
        "{info}"
    );
}

#[tokio::test]
async fn large_values_count_as_in_flight_until_they_are_sent() {
    let budget = ByteBudget::new(8 << 20, Duration::from_secs(1));
    let group = Group::builder("large")
        .in_flight(budget.clone())
        .origin_fn(|_: Bytes| async { Ok::<_, std::io::Error>(Some(vec![b'v'; 4 << 20])) })
        .build()
        .unwrap();
    let port = Port::of([group], Options::default()).await;
    let mut client = port.open().await;
    client.ask("STRLEN a", ":4194304\r\n").await;
    // Many times what sockets hold, so that the value is being sent while the client reads.
    client.send("GET a\r\n".repeat(20).as_bytes()).await;
    client.expect("$4194304\r\nvvv").await;
    assert!(budget.used() >= 4 << 20, "{}", budget.used());
    let rest = client.end().await;
    assert_eq!(rest.len(), 20 * (4194304 + 12) - 13);
    assert_eq!(budget.used(), 0);
}
