//! A ring of Go nodes turns into a ring of Gaggle nodes while it is in use, and back.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};

use crate::keys::{self, value};
use crate::load::Load;
use crate::mixed::{Kind::*, Mixed, api};
use crate::support::{Client, busy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go and golang/groupcache: just interop"]
async fn go_nodes_are_replaced_one_by_one_under_load() {
    let _busy = busy().await;
    let origin = keys::origin().await;
    let mut mixed = Mixed::start(&[Go, Go, Go], &origin).await;
    let client = Client::new();
    let keys = keys::plain(2_000);
    let load = Load::start(&client, &keys, mixed.front_doors());
    sweep(&client, &mixed, &keys).await;
    origin.assert_asked_once(&keys);

    // The last step goes back.
    for (at, kind) in [(0, Gaggle), (1, Gaggle), (2, Gaggle), (0, Go)] {
        let before = origin.asked();
        let mut others = mixed.front_doors();
        others.remove(at);
        load.only(others).await;
        mixed.members[at].process().kill();
        load.round().await;
        let away = Reloads::since(&before, &origin.asked());

        mixed.put(at, kind).await;
        mixed.until_seen(&client, at, true).await;
        load.only(mixed.front_doors()).await;
        load.round().await;
        sweep(&client, &mixed, &keys).await;

        let reloads = Reloads::since(&before, &origin.asked());
        let owned = keys.iter().filter(|key| mixed.owner(key) == at).count();
        println!(
            "node {at} is now {kind:?}: it owns {owned} of {} keys; while it was away {} keys were loaded {} times by \
             others, until the end {} keys {} times, no key more than {} times",
            keys.len(),
            away.keys.len(),
            away.loads,
            reloads.keys.len(),
            reloads.loads,
            reloads.most,
        );
        assert!(
            reloads.keys.iter().all(|key| mixed.owner(key) == at),
            "the keys of the nodes that stay are not loaded again"
        );
    }

    let before = origin.asked();
    sweep(&client, &mixed, &keys).await;
    let seen = load.stop().await;
    println!(
        "{} requests, {} errors, the slowest took {:?}",
        seen.requests,
        seen.errors.len(),
        seen.slowest
    );
    assert_eq!(seen.errors, [""; 0]);
    assert_eq!(
        origin.asked(),
        before,
        "the new ring is as warm as the old one was"
    );
    for key in &keys {
        assert_eq!(
            mixed.members[0].owner(&client, key).await,
            mixed.name(mixed.owner(key))
        );
    }
}

/// Every node has every key, with the right value.
pub(crate) async fn sweep(client: &Client, mixed: &Mixed, keys: &[Vec<u8>]) {
    let asked = stream::iter(keys).map(async |key| {
        for front_door in mixed.front_doors() {
            let answer = client.get(front_door, &api(key)).await;
            assert!(
                answer.status == 200 && answer.body == value(key),
                "{}",
                answer.status
            );
        }
    });
    asked.buffer_unordered(4).collect::<()>().await;
}

/// What the origin was asked for again.
pub(crate) struct Reloads {
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) loads: u32,
    /// The most loads of one key.
    pub(crate) most: u32,
}

impl Reloads {
    pub(crate) fn since(before: &HashMap<Vec<u8>, u32>, now: &HashMap<Vec<u8>, u32>) -> Self {
        let more = now.iter().filter_map(|(key, times)| {
            let more = times - before.get(key).copied().unwrap_or_default();
            (more > 0).then_some((key.clone(), more))
        });
        let more: Vec<_> = more.collect();
        Self {
            loads: more.iter().map(|(_, more)| more).sum(),
            most: more.iter().map(|(_, more)| *more).max().unwrap_or_default(),
            keys: more.into_iter().map(|(key, _)| key).collect(),
        }
    }
}
