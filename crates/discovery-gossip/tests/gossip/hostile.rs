//! Neighbours of other clusters, and malformed bytes.

use super::*;
use mesh::Sent;

#[tokio::test(start_paused = true)]
async fn another_cluster_at_the_same_address_is_ignored() {
    let mesh = Mesh::default();
    let nodes = cluster(&mesh, 3).await;
    let foreign = GossipOptions {
        cluster: "other".into(),
        ..options(4, &[1, 2, 3])
    };
    let stranger = Gossip::start_on(&mesh, foreign.clone(), me(4))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(known(&stranger), names([4]));
    all_know(&nodes, &names(1..=3)).await;
    let dropped = nodes[0].dropped();
    assert!(
        dropped.other_cluster > 0 && dropped.malformed == 0,
        "{dropped:?}"
    );

    // At the address of a member that has gone.
    let mut nodes = nodes;
    drop(nodes.pop());
    tokio::time::sleep(Duration::from_millis(10)).await;
    let squatter = GossipOptions {
        listen: at(3),
        ..foreign
    };
    let _squatter = Gossip::start_on(&mesh, squatter, me(3)).await.unwrap();
    all_know(&nodes, &names(1..=2)).await;
}

/// Flips, cuts, repeats and joins datagrams that were sent, thousands of them.
#[tokio::test(start_paused = true)]
async fn mutated_datagrams_stop_nobody() {
    let mesh = Mesh::default();
    mesh.record();
    let nodes = cluster(&mesh, 4).await;
    nodes[0].set_state(State::Ready).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let record = mesh.recorded();
    fastrand::seed(7);
    for round in 0..10_000 {
        let Sent {
            from, mut bytes, ..
        } = record[fastrand::usize(..record.len())].clone();
        for _ in 0..fastrand::usize(1..4) {
            mutate(&mut bytes, &record[fastrand::usize(..record.len())].bytes);
        }
        let to = at(fastrand::u16(1..=4));
        mesh.inject(Sent { from, to, bytes });
        if round % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut nodes = nodes;
    // None has ended, which `members` would report, and all of them still take part.
    for node in &nodes {
        node.members().await.unwrap();
        let dropped = node.dropped();
        assert!(dropped.malformed > 100, "{dropped:?}");
    }
    nodes.push(start(&mesh, 5, &[1, 2]).await);
    for node in &nodes {
        until(node, |node| {
            node.nodes().iter().any(|node| node.name == "node-5")
        })
        .await;
    }
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    // The header mostly stays as it is: a fault there would hide the rest.
    let from = if fastrand::u8(..) < 25 {
        0
    } else {
        37.min(bytes.len() - 1)
    };
    let index = fastrand::usize(from..bytes.len());
    match fastrand::u8(..8) {
        0 => bytes[index] ^= 1 << fastrand::u8(..8),
        1 => bytes[index] = fastrand::u8(..),
        2 => bytes.truncate(index),
        3 => bytes.insert(index, fastrand::u8(..)),
        4 => drop(bytes.remove(index)),
        5 => bytes[index..].fill(0xff),
        6 => {
            let end = (index + 8).min(bytes.len());
            bytes[index..end].fill(fastrand::u8(..) & 1);
        }
        _ => {
            let cut = fastrand::usize(..other.len());
            bytes.truncate(index);
            bytes.extend_from_slice(&other[cut..]);
        }
    }
}

/// Well-formed bytes of this protocol with false content.
mod forged {
    use std::net::SocketAddr;

    use sha2::{Digest as _, Sha256};

    /// An unsigned datagram from a session that no other node has.
    pub(super) fn datagram(kind: u8, body: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"GGG1\0".to_vec();
        bytes.extend_from_slice(&Sha256::digest("gaggle")[..8]);
        bytes.extend([9; 24]);
        bytes.extend([0x53, 0xb0, 0, kind]);
        bytes.extend(body.concat());
        bytes
    }

    pub(super) fn text(text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).unwrap();
        [&length.to_le_bytes(), text.as_bytes()].concat()
    }

    pub(super) fn id(generation: u64, address: SocketAddr) -> Vec<u8> {
        let std::net::IpAddr::V4(ip) = address.ip() else {
            unreachable!("IPv4 in these tests");
        };
        let mut bytes = vec![0, 0];
        bytes.extend(generation.to_le_bytes());
        bytes.push(4);
        bytes.extend(ip.octets());
        bytes.extend(address.port().to_le_bytes());
        bytes
    }

    pub(super) fn syn(ids: &[Vec<u8>], heartbeat: u64) -> Vec<u8> {
        let count = u16::try_from(ids.len()).unwrap().to_le_bytes();
        let mut digest = count.to_vec();
        for id in ids {
            digest.extend_from_slice(id);
            for number in [heartbeat, 0, 0] {
                digest.extend(number.to_le_bytes());
            }
        }
        datagram(0, &[&digest, &text("gaggle")])
    }

    pub(super) fn ack(operations: &[Vec<u8>]) -> Vec<u8> {
        let operations = operations.concat();
        let length = u16::try_from(operations.len()).unwrap().to_le_bytes();
        datagram(2, &[&[2], &length, &operations, &[0]])
    }

    pub(super) fn node(id: &[u8]) -> Vec<u8> {
        [&[0], id, &[0; 16]].concat()
    }

    pub(super) fn value(key: &str, value: &str, version: u64) -> Vec<u8> {
        [
            &[1][..],
            &text(key),
            &text(value),
            &version.to_le_bytes(),
            &[0],
        ]
        .concat()
    }

    pub(super) fn version(version: u64) -> Vec<u8> {
        [&[2][..], &version.to_le_bytes()].concat()
    }
}

#[tokio::test(start_paused = true)]
async fn forged_news_change_nothing_of_this_node_and_stop_nobody() {
    let mesh = Mesh::default();
    let node = start(&mesh, 1, &[]).await;
    until_known(&node, &names([1])).await;
    let send = async |bytes: Vec<u8>| {
        let (from, to) = (at(9), at(1));
        mesh.inject(Sent { from, to, bytes });
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let other = forged::id(5, at(9));
    send(forged::syn(std::slice::from_ref(&other), 1)).await;
    // A version behind that of a value: chitchat asserts that there is none.
    let backwards = [
        forged::node(&other),
        forged::value("name", "other", 10),
        forged::version(5),
    ];
    send(forged::ack(&backwards)).await;
    // This node's own values, at the highest possible version.
    let own = forged::id(node.nodes()[0].generation, at(1));
    let stolen = [
        forged::node(&own),
        forged::value("name", "stolen", u64::MAX),
    ];
    send(forged::ack(&stolen)).await;
    node.set_state(State::Ready).await;
    until(&node, |node| node.nodes()[0].state == State::Ready).await;
    assert_eq!(known(&node), names([1]));
    assert_eq!(node.dropped().malformed, 0);
}

#[tokio::test(start_paused = true)]
async fn more_nodes_than_are_taken_are_left_out_and_those_that_are_there_stay() {
    let mesh = Mesh::default();
    let mut nodes = cluster(&mesh, 2).await;
    for round in 0..40_u64 {
        let ids: Vec<Vec<u8>> = (0..100)
            .map(|index| forged::id(1 + round * 100 + index, at(1000)))
            .collect();
        let (from, to) = (at(9), at(1));
        let bytes = forged::syn(&ids, round);
        mesh.inject(Sent { from, to, bytes });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let dropped = nodes[0].dropped();
    assert!(dropped.too_many_nodes > 0, "{dropped:?}");
    assert_eq!(dropped.too_large, 0);
    all_know(&nodes, &names(1..=2)).await;
    // Those that never showed a sign of life are forgotten, and there is room again.
    tokio::time::sleep(GRACE * 3).await;
    nodes.push(start(&mesh, 3, &[1]).await);
    all_know(&nodes, &names(1..=3)).await;
}
