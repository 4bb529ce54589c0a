//! A Gaggle node joins a ring of Go nodes while it is in use.

use crate::keys;
use crate::load::Load;
use crate::mixed::{Kind::*, Mixed};
use crate::replacing::{Reloads, sweep};
use crate::support::{Client, busy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go and golang/groupcache: just interop"]
async fn a_gaggle_node_joins_go_nodes_and_only_the_keys_that_it_takes_are_loaded_again() {
    let _busy = busy().await;
    let origin = keys::origin().await;
    let mut mixed = Mixed::start(&[Go, Go], &origin).await;
    let client = Client::new();
    let keys = keys::plain(2_000);
    let load = Load::start(&client, &keys, mixed.front_doors());
    sweep(&client, &mixed, &keys).await;
    origin.assert_asked_once(&keys);
    let before = origin.asked();

    mixed.add(Gaggle).await;
    mixed.tell(&client, 0).await;
    load.round().await;
    mixed.tell(&client, 1).await;
    load.round().await;
    load.only(mixed.front_doors()).await;
    load.round().await;
    sweep(&client, &mixed, &keys).await;

    let reloads = Reloads::since(&before, &origin.asked());
    let moved = keys.iter().filter(|key| mixed.owner(key) == 2).count();
    let seen = load.stop().await;
    println!(
        "{moved} of {} keys moved, {} of them were loaded again, none more than {} times; {seen:?}",
        keys.len(),
        reloads.keys.len(),
        reloads.most,
    );
    assert_eq!(seen.errors, [""; 0]);
    assert_eq!(reloads.most, 1);
    assert!(reloads.keys.iter().all(|key| mixed.owner(key) == 2));
    for member in &mixed.members {
        assert_eq!(member.counts(&client).await.peer_errors, 0);
    }
}
