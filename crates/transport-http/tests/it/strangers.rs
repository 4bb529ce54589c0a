//! Requests of other clusters' nodes and of web pages, and which node answers at an address.

use gaggle_group::{Greeting, Hello, Notice, Peer, PeerError, RemovalId, Scope};
use gaggle_transport_http::{ClientOptions, HttpTransport, ServerOptions};

use crate::fake_peer::{FakePeer, Then};
use crate::support::{ask, echo, fetch, peer, serve};

fn of(cluster: &str) -> ServerOptions {
    ServerOptions {
        cluster: Some(cluster.into()),
        ..ServerOptions::default()
    }
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_whatever_it_asks() {
    let group = echo();
    let server = serve([group.clone()], of("ours")).await;
    let client = |cluster: &str| {
        let options = ClientOptions {
            cluster: Some(cluster.into()),
            ..ClientOptions::default()
        };
        let transport = HttpTransport::new(options).unwrap();
        transport
            .peer_named("node-1", &format!("http://{server}"))
            .unwrap()
    };
    let ours = client("ours");
    assert_eq!(ours.name(), "node-1");
    fetch(&ours, "echo", b"Tom").await.unwrap();
    // A node that names no cluster is golang/groupcache's, or an older one.
    fetch(&peer(server), "echo", b"Tom").await.unwrap();

    let theirs = client("theirs");
    let notice = Notice {
        id: RemovalId {
            issuer: 1,
            number: 1,
        },
        scope: Scope::Group,
    };
    let kept = group.cached(b"Tom");
    for refused in [
        fetch(&theirs, "echo", b"Tom").await.map(drop),
        theirs.remove("echo", &notice).await,
        theirs
            .news("echo", &Default::default(), "http://node")
            .await
            .map(drop),
    ] {
        let Err(PeerError::Refused { reason, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert!(reason.contains("421"), "{reason}");
    }
    assert!(
        kept.is_some() && group.cached(b"Tom").is_some(),
        "nothing was removed"
    );
    // But it learns which node it asks.
    let greeted = theirs.hello(&Hello::default()).await.unwrap();
    assert!(matches!(greeted, Greeting::Node(_)), "{greeted:?}");
}

#[tokio::test]
async fn web_pages_may_not_ask() {
    let group = echo();
    let server = serve([group.clone()], ServerOptions::default()).await;
    fetch(&peer(server), "echo", b"Tom").await.unwrap();
    for header in [
        "Origin: http://example.com\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
        "Accept-Language: en\r\n",
        "Accept-Language: en\r\n",
    ] {
        for line in [
            "GET /_groupcache/echo/Tom",
            "DELETE /_groupcache/echo/Tom",
            "POST /_groupcache/",
        ] {
            let answer = ask(server, line, header).await;
            assert!(
                answer.starts_with("HTTP/1.1 403 "),
                "{line} {header}: {answer}"
            );
        }
    }
    assert!(group.cached(b"Tom").is_some());
}

#[tokio::test]
async fn kinds_of_answering_programs_are_distinguished() {
    let go = "HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\nbad request\n";
    let web = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>";
    let none = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let down = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let hello = async |answer: &'static str| {
        let fake = FakePeer::new([(answer, Then::Keep)]).await;
        peer(fake.address).hello(&Hello::default()).await
    };
    assert_eq!(hello(go).await.unwrap(), Greeting::Nameless);
    assert_eq!(
        hello(web).await.unwrap(),
        Greeting::Stranger("200 OK".into())
    );
    assert_eq!(
        hello(none).await.unwrap(),
        Greeting::Stranger("404 Not Found".into())
    );
    assert!(matches!(hello(down).await, Err(PeerError::Refused { .. })));
    let tls = "HTTP/1.1 400 Bad Request\r\ncontent-length: 21\r\n\r\nthis port speaks TLS:";
    let refused = hello(tls).await.unwrap_err().to_string();
    assert!(refused.contains("https://"), "{refused}");
}
