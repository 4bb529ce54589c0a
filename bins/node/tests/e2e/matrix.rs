//! Rows of the fault matrix (docs/src/promises.md), with real processes. Each test prints its
//! promise and its observation.
//!
//! Times are of debug builds. The bounds on times have slack, and a time is not judged if other
//! programs used much of the machine meanwhile (`support::calm`).
#![allow(
    clippy::cast_possible_truncation,
    reason = "counts of a test are small"
)]

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::Node;

mod row_01_killed;
mod row_02_hung;
mod row_04_slow_peer;
mod row_05_broken_answers;
mod row_07_disagreement;
mod row_08_flapping;
mod row_14_hung_origin;
mod row_16_cap;
mod row_16_origin_down;
mod row_17_recovery;
mod row_20_hot_key;
mod row_22_memory;
mod row_23_slow_connections;
mod row_24_overload;
mod row_28_descriptors;

/// What a busy machine may add to a time.
const SLACK: Duration = Duration::from_millis(400);

/// `count` keys.
fn keys(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| format!("key-{n}").into_bytes())
        .collect()
}

/// Front doors and keys in turn: each node is asked for every key, as the number of nodes has no
/// factor in common with 7.
fn in_turn(nodes: &[Node], keys: usize) -> impl FnMut(u64) -> (SocketAddr, Vec<u8>) + use<> {
    let doors: Vec<_> = nodes.iter().map(|node| node.api).collect();
    move |n| {
        let door = doors[n as usize % doors.len()];
        let key = n as usize / doors.len() * 7 % keys;
        (door, format!("key-{key}").into_bytes())
    }
}
