//! The facade over real sockets: what `cargo add gaggle` promises.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gaggle::{Cluster, ClusterError, Group, Source};

type Loads = Arc<Mutex<HashMap<Bytes, u32>>>;

fn squares(loads: &Loads) -> Group {
    let loads = Arc::clone(loads);
    Group::builder("squares")
        .origin_fn(move |key: Bytes| {
            *loads.lock().unwrap().entry(key.clone()).or_default() += 1;
            async move {
                let n: u64 = std::str::from_utf8(&key)?.parse()?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some((n * n).to_string()))
            }
        })
        .build()
        .unwrap()
}

async fn join(groups: &[Group]) -> Vec<Cluster> {
    let mut clusters = Vec::new();
    for group in groups {
        let none: [&str; 0] = [];
        clusters.push(
            Cluster::join(none)
                .serve("127.0.0.1:0", [group.clone()])
                .await
                .unwrap(),
        );
    }
    let members: Vec<String> = clusters
        .iter()
        .map(|cluster| cluster.address().to_string())
        .collect();
    for cluster in &clusters {
        cluster.peers().update(members.iter().cloned()).unwrap();
    }
    clusters
}

#[tokio::test]
async fn three_members_load_each_key_once_and_each_key_comes_from_its_owner() {
    let loads = Loads::default();
    let groups = [squares(&loads), squares(&loads), squares(&loads)];
    let clusters = join(&groups).await;
    for n in 0..500_u64 {
        let key = n.to_string();
        for (group, cluster) in groups.iter().zip(&clusters) {
            let answer = group.lookup(key.as_bytes()).await.unwrap();
            assert_eq!(answer.value.unwrap(), (n * n).to_string());
            let owner = group.router().owner(key.as_bytes());
            match answer.source {
                Source::Peer => assert_ne!(*owner.name, *cluster.name()),
                Source::Origin | Source::Main => assert_eq!(*owner.name, *cluster.name()),
                Source::Hot => panic!("nothing was asked for twice"),
            }
        }
    }
    let loads = loads.lock().unwrap();
    assert_eq!(loads.len(), 500);
    assert!(loads.values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_front_end_owns_nothing_and_asks_the_members() {
    let loads = Loads::default();
    let groups = [squares(&loads), squares(&loads)];
    let clusters = join(&groups).await;
    let members: Vec<String> = clusters
        .iter()
        .map(|cluster| cluster.address().to_string())
        .collect();
    let own = Loads::default();
    let front = squares(&own);
    let cluster = Cluster::join(members)
        .member(false)
        .name("front")
        .serve("127.0.0.1:0", [front.clone()])
        .await
        .unwrap();
    assert_eq!(&*cluster.name(), "front");
    for n in 0..50_u64 {
        assert!(!front.router().is_mine(n.to_string().as_bytes()));
        assert_eq!(front.get(n.to_string()).await.unwrap(), (n * n).to_string());
    }
    assert!(own.lock().unwrap().is_empty(), "its origin is not asked");
    assert_eq!(loads.lock().unwrap().len(), 50);
    let shown = format!("{cluster:?}");
    assert!(
        shown.contains("members: 2") && shown.contains("squares"),
        "{shown}"
    );
}

#[cfg(feature = "typed")]
#[tokio::test]
async fn typed_groups_are_shared_as_others_are() {
    use gaggle::TypedGroup;
    let none: [&str; 0] = [];
    let start = async || {
        let squares: TypedGroup<u64, u64> = TypedGroup::builder("squares")
            .origin_fn(|n: u64| async move { Ok::<_, std::io::Error>(Some(n * n)) })
            .build()
            .unwrap();
        let cluster = Cluster::join(none)
            .serve("127.0.0.1:0", [&squares])
            .await
            .unwrap();
        (cluster, squares)
    };
    let nodes = [start().await, start().await];
    let members: Vec<String> = nodes
        .iter()
        .map(|(cluster, _)| cluster.address().to_string())
        .collect();
    for (cluster, _) in &nodes {
        cluster.peers().update(members.iter().cloned()).unwrap();
    }
    let mut from_peers = 0;
    for n in 0..50_u64 {
        for (_, squares) in &nodes {
            let answer = squares.lookup(&n).await.unwrap();
            assert_eq!(*answer.value.unwrap(), n * n);
            from_peers += u32::from(answer.source == Source::Peer);
        }
    }
    assert_eq!(
        from_peers, 50,
        "each key is another node's for one of the two"
    );
}

#[tokio::test]
async fn a_member_that_leaves_costs_the_others_no_error() {
    let loads = Loads::default();
    let groups = [squares(&loads), squares(&loads)];
    let mut clusters = join(&groups).await;
    let drained = clusters.pop().unwrap().leave().await.unwrap();
    assert_eq!(drained.cut, 0);
    for n in 0..200_u64 {
        let key = n.to_string();
        assert!(
            groups[0].router().is_mine(key.as_bytes()),
            "the other knows that it left"
        );
        assert_eq!(groups[0].get(key).await.unwrap(), (n * n).to_string());
    }
}

#[tokio::test]
async fn members_that_know_their_ports_beforehand_need_no_update() {
    let loads = Loads::default();
    let mut listeners = Vec::new();
    for _ in 0..2 {
        listeners.push(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let members: Vec<String> = listeners
        .iter()
        .map(|listener| format!("http://{}", listener.local_addr().unwrap()))
        .collect();
    let groups = [squares(&loads), squares(&loads)];
    let mut clusters = Vec::new();
    for (listener, group) in listeners.into_iter().zip(&groups) {
        let cluster = Cluster::join(members.clone());
        clusters.push(cluster.serve_on(listener, [group.clone()]).unwrap());
    }
    for n in 0..50_u64 {
        for group in &groups {
            assert_eq!(group.get(n.to_string()).await.unwrap(), (n * n).to_string());
        }
    }
    assert!(loads.lock().unwrap().values().all(|count| *count == 1));
}

#[tokio::test]
async fn what_cannot_be_joined_says_why() {
    let loads = Loads::default();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let none: [&str; 0] = [];
    let error = Cluster::join(none)
        .serve(&addr, [squares(&loads)])
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, ClusterError::Serve(_)) && error.to_string().contains(&addr),
        "{error}"
    );

    let error = Cluster::join(["10.0.0.1:8001"])
        .serve("127.0.0.1:0", [squares(&loads)])
        .await;
    assert!(error.err().unwrap().to_string().contains("10.0.0.1:8001"));
    let twice = [squares(&loads), squares(&loads)];
    let error = Cluster::join(none)
        .serve("127.0.0.1:0", twice)
        .await
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "two groups are named squares");
}
