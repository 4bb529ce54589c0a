//! A typed group on the nodes of a cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gaggle_group::Source;
use gaggle_testkit::{Cluster, Link};
use gaggle_typed::{Json, TypedBuilder, TypedGroup, TypedOptions};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Score {
    name: String,
    points: u32,
}

type Table = Arc<Mutex<HashMap<u64, Score>>>;
type Scores = TypedGroup<u64, Score>;

fn score(id: u64, points: u32) -> Score {
    Score {
        name: format!("player {id}"),
        points,
    }
}

/// Three nodes with one table as their origin.
fn start(table: &Table) -> (Cluster, Vec<Scores>) {
    let table = Arc::clone(table);
    let cluster = Cluster::with(3, move |group| {
        let table = Arc::clone(&table);
        TypedBuilder::<u64, Score>::over(group)
            .origin_fn(move |id| {
                let found = table.lock().unwrap().get(&id).cloned();
                async move { Ok::<_, std::io::Error>(found) }
            })
            .into_group()
    });
    let options = TypedOptions {
        keep_decoded: 1 << 20,
        ..TypedOptions::default()
    };
    let scores = cluster
        .nodes()
        .iter()
        .map(|node| Scores::over(node.group.clone(), Json, options))
        .collect();
    (cluster, scores)
}

#[tokio::test(start_paused = true)]
async fn every_node_gives_the_struct_that_the_owner_loaded() {
    let table = Table::default();
    table
        .lock()
        .unwrap()
        .extend((0..100).map(|id| (id, score(id, 630))));
    let (cluster, scores) = start(&table);
    for id in 0..100 {
        let owner = cluster.owner_of(id.to_string()).name.clone();
        for (node, scores) in cluster.nodes().iter().zip(&scores) {
            let answer = scores.lookup(&id).await.unwrap();
            assert_eq!(*answer.value.unwrap(), score(id, 630));
            assert_eq!(answer.source == Source::Peer, node.name != owner);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_node_serves_a_decoded_value_that_was_removed_or_replaced() {
    let table = Table::default();
    table.lock().unwrap().insert(7, score(7, 1));
    let (_cluster, scores) = start(&table);
    let all = async || {
        let mut points = Vec::new();
        for scores in &scores {
            // More than once: a copy may be made, and decoded, and kept.
            for _ in 0..20 {
                points.push(scores.get(&7).await.unwrap().points);
            }
        }
        points.dedup();
        points
    };
    assert_eq!(all().await, [1]);
    table.lock().unwrap().insert(7, score(7, 2));
    assert!(scores[0].remove(&7).await.missed.is_empty());
    assert_eq!(all().await, [2]);
    let put = scores[1].put(&7, &score(7, 3)).await.unwrap();
    assert!(put.missed.is_empty());
    assert_eq!(all().await, [3]);
}

#[tokio::test(start_paused = true)]
async fn a_value_of_another_release_is_replaced_at_its_owner() {
    let table = Table::default();
    table.lock().unwrap().insert(7, score(7, 1));
    let (cluster, scores) = start(&table);
    let owner = cluster.owner_of("7");
    let old = gaggle_group::Entry::value(r#"{"name":"Tom"}"#);
    let put = owner.group.put("7", old).await.unwrap();
    assert!(put.missed.is_empty());
    let other = cluster
        .nodes()
        .iter()
        .position(|node| node.name != owner.name);
    assert_eq!(scores[other.unwrap()].get(&7).await.unwrap().points, 1);
    for scores in &scores {
        assert_eq!(scores.get(&7).await.unwrap().points, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_owners_keys_are_served_while_it_is_cut_off() {
    let table = Table::default();
    table.lock().unwrap().insert(7, score(7, 1));
    let (cluster, scores) = start(&table);
    let owner = cluster.owner_of("7").name.clone();
    cluster.network().isolate(&owner, Link::Lost);
    for (node, scores) in cluster.nodes().iter().zip(&scores) {
        if node.name != owner {
            assert_eq!(scores.get(&7).await.unwrap().points, 1);
        }
    }
}
