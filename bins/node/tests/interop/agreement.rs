//! Two Go and two Gaggle nodes are one cache.

use futures_util::{StreamExt as _, future::join_all, stream};

use crate::keys;
use crate::mixed::{Kind::*, Mixed, api};
use crate::support::{Client, busy};

const KEYS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go and golang/groupcache: just interop"]
async fn four_nodes_of_two_kinds_are_one_cache() {
    let _busy = busy().await;
    let origin = keys::origin().await;
    let mixed = Mixed::start(&[Go, Gaggle, Go, Gaggle], &origin).await;
    let client = Client::new();
    let keys = keys::mixed(KEYS);

    // All four at the same time, so that the owner has to join them into one load.
    let asked = stream::iter(&keys).map(async |key| {
        let target = api(key);
        let answers = mixed
            .front_doors()
            .into_iter()
            .map(|front_door| client.get(front_door, &target));
        for answer in join_all(answers).await {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(
                answer.body == keys::value(key),
                "{} bytes",
                answer.body.len()
            );
        }
    });
    asked.buffer_unordered(4).collect::<()>().await;
    origin.assert_asked_once(&keys);

    let agreed = stream::iter(&keys).map(async |key| {
        let owners = mixed
            .members
            .iter()
            .map(|member| member.owner(&client, key));
        let expected = mixed.name(mixed.owner(key));
        assert!(
            join_all(owners)
                .await
                .iter()
                .all(|owner| *owner == expected)
        );
    });
    agreed.buffer_unordered(8).collect::<()>().await;

    println!("{KEYS} keys, asked of 4 nodes each; all agree on {KEYS} owners; each loaded once");
    for (at, member) in mixed.members.iter().enumerate() {
        let owned = keys.iter().filter(|key| mixed.owner(key) == at).count();
        let counts = member.counts(&client).await;
        let kind = if member.is_go() { "Go" } else { "Gaggle" };
        println!("{kind:>8}: owns {owned}, {counts:?}");
        assert_eq!(
            counts.loads, owned as u64,
            "loads what it owns and nothing else"
        );
        assert_eq!(counts.peer_errors, 0);
        assert!(counts.from_peers > 0);
    }
}
