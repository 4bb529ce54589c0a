//! An operator's questions to a node through another one.

use axum::Router;
use gaggle_group::{About, Groups, HeldIn, Inspect, Inspected, Key, Peer, PeerError};
use gaggle_transport_grpc::{ServerOptions, router};

use crate::node::{Node, echo};

#[tokio::test]
async fn a_node_tells_how_it_is_and_what_it_holds() {
    let group = echo();
    let groups = Groups::new([group.clone()]).unwrap();
    groups.set_about(|| {
        let mut about = About::default();
        about.version = "1.2.3".into();
        about
    });
    group.get(b"\xff\0").await.unwrap();
    let expected = groups.report();
    let node = Node::serve_router(router(groups, ServerOptions::default())).await;
    let peer = node.peer();
    let told = peer.inspect(Inspect::Report).await.unwrap();
    assert_eq!(told, Inspected::Report(expected));
    let held = async |group, key: &'static [u8]| {
        let key = Key::from_static(key);
        peer.inspect(Inspect::Held { group, key: &key }).await
    };
    let Ok(Inspected::Held(Some(found))) = held("g", b"\xff\0").await else {
        panic!("it is held")
    };
    assert_eq!((found.tier, found.bytes), (HeldIn::Main, 2));
    assert_eq!(held("g", b"other").await.unwrap(), Inspected::Held(None));
    assert_eq!(group.stats().gets, 1);
    let failure = held("nosuch", b"k").await.unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_node_that_knows_no_such_question_is_told_from_one_that_is_gone() {
    let old = Node::serve_router(Router::new()).await;
    let peer = old.peer();
    let failure = peer.inspect(Inspect::Report).await.unwrap_err();
    let expected = peer.has_no_such_thing().to_string();
    assert_eq!(failure.to_string(), expected);
    old.kill().await;
    let failure = peer.inspect(Inspect::Report).await.unwrap_err();
    assert!(
        matches!(failure, PeerError::Unavailable { .. }),
        "{failure:?}"
    );
}
