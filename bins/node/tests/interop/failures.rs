//! A Go node dies, comes back, hangs, and continues. Meanwhile the Gaggle nodes of its ring are
//! asked continually.

use crate::keys;
use crate::load::Load;
use crate::mixed::{Kind::*, Mixed};
use crate::replacing::sweep;
use crate::support::{Client, Origin, busy};

/// The place of the node that fails.
const FAILING: usize = 0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go and golang/groupcache: just interop"]
async fn gaggle_answers_while_a_go_node_is_dead_or_hangs() {
    let _busy = busy().await;
    let origin = keys::origin().await;
    let mut mixed = Mixed::start(&[Go, Gaggle, Go, Gaggle], &origin).await;
    let client = Client::new();
    let keys = keys::plain(2_000);
    sweep(&client, &mixed, &keys).await;
    origin.assert_asked_once(&keys);
    let load = Load::start(
        &client,
        &keys,
        vec![mixed.members[1].front_door(), mixed.members[3].front_door()],
    );

    mixed.members[FAILING].process().kill();
    mixed.until_seen(&client, FAILING, false).await;
    load.round().await;
    report("dead", &mixed, &origin);

    mixed.put(FAILING, Go).await;
    mixed.until_seen(&client, FAILING, true).await;
    load.round().await;
    report("started again", &mixed, &origin);

    mixed.members[FAILING].process().signal("STOP");
    mixed.until_seen(&client, FAILING, false).await;
    load.round().await;
    report("hanging", &mixed, &origin);

    mixed.members[FAILING].process().signal("CONT");
    mixed.until_seen(&client, FAILING, true).await;
    load.round().await;
    report("going on", &mixed, &origin);

    let seen = load.stop().await;
    println!("{seen:?}");
    assert_eq!(seen.errors, [""; 0]);
    for (at, member) in mixed
        .members
        .iter()
        .enumerate()
        .filter(|(_, member)| !member.is_go())
    {
        println!("Gaggle node {at}: {:?}", member.counts(&client).await);
    }
}

fn report(state: &str, mixed: &Mixed, origin: &Origin) {
    let loads = origin.asked();
    let (failing, others): (Vec<_>, Vec<_>) = loads
        .iter()
        .partition(|(key, _)| mixed.owner(key) == FAILING);
    let total: u32 = failing.iter().map(|(_, times)| **times).sum();
    println!(
        "{state}: {} keys of the failing node loaded {total} times until now",
        failing.len()
    );
    assert!(
        others.iter().all(|(_, times)| **times == 1),
        "the keys of the others stay as they are"
    );
}
