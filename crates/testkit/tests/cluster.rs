//! Groups of several nodes, joined in memory: guarantees across the hop.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle_group::{
    Candidate, Clock, Error, Group, Hop, HotCopies, NoHotCopies, Peer, RequestRate, Router,
    Sampled, Serve, Source,
};
use gaggle_peers::{Options, Peers, Profile};
use gaggle_testkit::{Cluster, CountingOrigin, Link};

fn keys(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|i| format!("key-{i}"))
}

#[tokio::test]
async fn each_key_is_loaded_once_whichever_nodes_are_asked() {
    let cluster = Cluster::new(3);
    for key in keys(1_000) {
        for node in cluster.nodes() {
            assert_eq!(
                node.group.get(&key).await.unwrap(),
                format!("value of {key}")
            );
        }
    }
    assert_eq!(
        (
            cluster.origin().total_loads(),
            cluster.origin().most_loads()
        ),
        (1_000, 1)
    );
    for node in cluster.nodes() {
        let stats = node.group.stats();
        assert!(
            stats.main.entries > 200,
            "each owns a share: {}",
            stats.main.entries
        );
        assert!(stats.peer.ok > 0 && stats.server_requests > 0);
    }
    let owned: usize = cluster
        .nodes()
        .iter()
        .map(|node| node.group.stats().main.entries)
        .sum();
    assert_eq!(owned, 1_000, "each key is in one main cache");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_over_all_nodes_reaches_the_origin_once() {
    let cluster = Cluster::new(3);
    let gets: Vec<_> = (0..30_000)
        .map(|i| {
            let group = cluster.nodes()[i % 3].group.clone();
            tokio::spawn(async move { group.get("hot").await })
        })
        .collect();
    for get in gets {
        assert_eq!(get.await.unwrap().unwrap(), "value of hot");
    }
    assert_eq!(cluster.origin().loads_of("hot"), 1);
}

#[tokio::test]
async fn not_found_is_distinguished_from_failure_across_the_hop() {
    let cluster = Cluster::new(2);
    let owner = cluster.owner_of("absent").name.clone();
    let asker = cluster
        .nodes()
        .iter()
        .find(|node| node.name != owner)
        .unwrap();

    assert!(asker.group.get("absent").await.unwrap_err().is_not_found());
    assert_eq!(
        cluster.origin().loads_of("absent"),
        1,
        "the asker does not load it again"
    );

    cluster.origin().set_failing(true);
    let key = keys(100)
        .find(|key| cluster.owner_of(key).name == owner)
        .unwrap();
    let error = asker.group.get(&key).await.unwrap_err();
    assert!(
        matches!(&error, Error::Origin { peer: Some(at), .. } if **at == *owner),
        "{error}"
    );
    assert_eq!(
        cluster.origin().loads_of(&key),
        1,
        "nor asks an origin that has just failed"
    );
}

#[tokio::test]
async fn hot_copies_follow_their_policy() {
    let all = Cluster::with(2, |group| group.hot_copies(Sampled { one_in: 1 }));
    let none = Cluster::with(2, |group| group.hot_copies(NoHotCopies));
    for (cluster, copies) in [(&all, true), (&none, false)] {
        let key = keys(100)
            .find(|key| cluster.owner_of(key).name == cluster.nodes()[1].name)
            .unwrap();
        let asker = &cluster.nodes()[0].group;
        assert_eq!(
            asker.lookup(key.as_bytes()).await.unwrap().source,
            Source::Peer
        );
        let again = asker.lookup(key.as_bytes()).await.unwrap().source;
        assert_eq!(again, if copies { Source::Hot } else { Source::Peer });
        assert_eq!(asker.stats().main.entries, 0);
        assert_eq!(asker.stats().hot.entries, usize::from(copies));
    }
}

#[tokio::test]
async fn carrot_caches_rule_copies_what_is_asked_for_often_enough() {
    let clock = Clock::manual();
    let cluster = Cluster::with(2, move |group| {
        group.hot_copies(RequestRate::new(100, clock.clone()))
    });
    let key = keys(100)
        .find(|key| cluster.owner_of(key).name == cluster.nodes()[1].name)
        .unwrap();
    let asker = &cluster.nodes()[0].group;
    for _ in 0..99 {
        asker.get(&key).await.unwrap();
    }
    assert_eq!(asker.stats().hot.entries, 0);
    asker.get(&key).await.unwrap();
    assert_eq!(asker.stats().hot.entries, 1);
    assert_eq!(
        asker.lookup(key.as_bytes()).await.unwrap().source,
        Source::Hot
    );
}

/// Keeps nothing, and records the rate of each value.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<Option<f64>>>>);

impl HotCopies for Noting {
    fn keep(&self, copy: &Candidate<'_>) -> bool {
        assert_eq!(copy.len, "value of key-0".len());
        assert!(copy.room, "next to nothing is in memory");
        self.0.lock().unwrap().push(copy.minute_qps);
        false
    }
}

#[tokio::test]
async fn the_owner_counts_what_peers_fetch_and_the_asker_learns_the_rate() {
    let (noting, clock) = (Noting::default(), Clock::manual());
    let cluster = Cluster::with(3, {
        let (noting, clock) = (noting.clone(), clock.clone());
        move |group| group.hot_copies(noting.clone()).clock(clock.clone())
    });
    let owner = cluster.owner_of("key-0");
    let take = || std::mem::take(&mut *noting.0.lock().unwrap());
    // Its own gets do not count, nor those that a program sends to the peers' port.
    for _ in 0..5 {
        owner.group.get("key-0").await.unwrap();
        let asked = Serve::new(b"key-0", Hop::First);
        let served = owner.group.serve(asked).await.unwrap();
        assert_eq!(served.minute_qps, None);
    }
    for asker in cluster
        .nodes()
        .iter()
        .filter(|node| node.name != owner.name)
    {
        for _ in 0..2 {
            asker.group.get("key-0").await.unwrap();
        }
    }
    assert_eq!(take(), [Some(1.0), Some(2.0), Some(3.0), Some(4.0)]);
    clock.advance(Duration::from_secs(60));
    cluster.asker_of("key-0").group.get("key-0").await.unwrap();
    let told = take();
    let [Some(rate)] = told[..] else {
        panic!("{told:?}")
    };
    assert!(
        (2.4..2.5).contains(&rate),
        "1 and 4 of a minute ago: {rate}"
    );
}

#[tokio::test]
async fn only_the_owner_reports_a_rate_and_no_node_reports_one_of_an_absence() {
    let clock = Clock::manual();
    let cluster = Cluster::with(3, move |group| {
        group.hot_copies(Sampled { one_in: 1 }).clock(clock.clone())
    });
    let rate = async |group: &Group, key: &str| {
        let asked = Serve::new(key.as_bytes(), Hop::Forwarded);
        group.serve(asked).await.unwrap().minute_qps
    };
    let (owner, other) = (cluster.owner_of("key-0"), cluster.asker_of("key-0"));
    let third = cluster.nodes().iter().find(|node| {
        let others = [&owner.name, &other.name];
        !others.contains(&&node.name)
    });
    let stand_in = rate(&third.unwrap().group, "key-0").await;
    assert_eq!(stand_in, None, "it has loaded in the owner's place");
    other.group.get("key-0").await.unwrap();
    let copied = rate(&other.group, "key-0").await;
    assert_eq!(copied, None, "it has a copy");
    assert_eq!(rate(&owner.group, "key-0").await, Some(2.0));
    let absent = &cluster.owner_of("absent").group;
    assert_eq!(rate(absent, "absent").await, None);
    let kept = Serve::new(b"key-0", Hop::Forwarded).kept_only(true);
    assert_eq!(owner.group.serve(kept).await.unwrap().minute_qps, None);
}

#[tokio::test]
async fn hot_copies_and_main_share_one_budget_and_the_hot_ones_give_way() {
    let cluster = Cluster::with(2, |group| {
        group.hot_copies(Sampled { one_in: 1 }).capacity(64 << 10)
    });
    let node = &cluster.nodes()[0].group;
    for key in keys(4_000) {
        node.get(&key).await.unwrap();
        let stats = node.stats();
        assert!(stats.main.bytes + stats.hot.bytes <= stats.limit_bytes);
    }
    let stats = node.stats();
    assert!(
        stats.hot.entries > 0 && stats.hot.bytes <= stats.main.bytes / 8 + 256,
        "{stats:?}"
    );
}

#[tokio::test]
async fn a_peer_that_refuses_costs_no_error_and_its_keys_stay_out_of_the_main_cache() {
    let cluster = Cluster::new(3);
    let down = cluster.nodes()[2].name.clone();
    cluster.network().isolate(&down, Link::Refused);
    for node in &cluster.nodes()[..2] {
        for key in keys(300) {
            assert_eq!(
                node.group.get(&key).await.unwrap(),
                format!("value of {key}")
            );
        }
        let owned = keys(300)
            .filter(|key| cluster.owner_of(key).name == node.name)
            .count();
        let foreign = keys(300).filter(|key| cluster.owner_of(key).name == down);
        for key in foreign {
            let source = node
                .group
                .cached(key.as_bytes())
                .map(|answer| answer.source);
            assert_ne!(source, Some(Source::Main), "{key}");
        }
        assert!(node.group.stats().main.entries <= owned);
    }
}

/// Every node that knows that the owner is down asks the same stand-in, so an owner's absence
/// costs the origin one load of a key and not one for each node.
#[tokio::test(start_paused = true)]
async fn while_an_owner_is_down_one_node_stands_in_for_it() {
    let cluster = Cluster::new(5);
    let down = cluster.nodes()[4].name.clone();
    cluster.network().isolate(&down, Link::Refused);
    let lost: Vec<_> = keys(400)
        .filter(|key| cluster.owner_of(key).name == down)
        .collect();
    // The first request that fails makes the peer be checked.
    for node in &cluster.nodes()[..4] {
        node.group.get(&lost[0]).await.unwrap();
        while node
            .peers
            .members()
            .iter()
            .any(|member| *member.name == *down && member.up)
        {
            tokio::task::yield_now().await;
        }
    }
    for key in &lost[1..] {
        for node in &cluster.nodes()[..4] {
            node.group.get(key).await.unwrap();
        }
        assert_eq!(cluster.origin().loads_of(key), 1, "{key}");
    }
    // The owner is up again, and is asked again.
    cluster.network().isolate(&down, Link::Up);
    let asker = &cluster.nodes()[0];
    while asker.peers.members().iter().any(|member| !member.up) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let served = cluster.nodes()[4].group.stats().server_requests;
    asker.group.get(format!("{}-new", lost[0])).await.unwrap();
    let fresh = keys(4_000)
        .skip(400)
        .find(|key| cluster.owner_of(key).name == down)
        .unwrap();
    asker.group.get(&fresh).await.unwrap();
    assert!(cluster.nodes()[4].group.stats().server_requests > served);
}

/// A node that has hung answers nothing, not even pings: the first callers pay a bounded wait, the
/// rest none.
#[tokio::test(start_paused = true)]
async fn a_hung_peer_costs_its_first_caller_400_ms_and_the_rest_nothing() {
    let cluster = Cluster::new(2);
    let (asker, hung) = (&cluster.nodes()[0], &cluster.nodes()[1]);
    // The nodes have met: no greeting is under way now.
    tokio::time::sleep(Duration::from_millis(1)).await;
    cluster.network().isolate(&hung.name, Link::Lost);
    let lost: Vec<_> = keys(100)
        .filter(|key| cluster.owner_of(key).name == hung.name)
        .collect();

    let start = tokio::time::Instant::now();
    assert_eq!(
        asker.group.get(&lost[0]).await.unwrap(),
        format!("value of {}", lost[0])
    );
    assert_eq!(
        start.elapsed(),
        Duration::from_millis(400),
        "virtual time: 100 ms to suspect, 300 ms to ping"
    );

    let start = tokio::time::Instant::now();
    for key in &lost[1..] {
        asker.group.get(key).await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// A slow origin behind a live peer is not the peer's fault: no caller gives up on it before the
/// deadline.
#[tokio::test(start_paused = true)]
async fn a_slow_origin_is_not_taken_for_a_dead_peer() {
    let cluster = Cluster::new(2);
    let (asker, owner) = (&cluster.nodes()[0], &cluster.nodes()[1]);
    let key = keys(100)
        .find(|key| cluster.owner_of(key).name == owner.name)
        .unwrap();
    cluster.origin().set_open(false);
    let (group, wanted) = (asker.group.clone(), key.clone());
    let get = tokio::spawn(async move { group.lookup(wanted.as_bytes()).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.origin().set_open(true);
    assert_eq!(get.await.unwrap().unwrap().source, Source::Peer);
    assert_eq!(cluster.origin().loads_of(&key), 1);
    assert!(asker.peers.members().iter().all(|member| member.up));
}

/// Two nodes that each think the other owns the key: groupcache's nodes wait for each other
/// forever.
#[tokio::test(start_paused = true)]
async fn nodes_that_disagree_about_the_ring_forward_once_and_never_wait_for_each_other() {
    let cluster = Cluster::new(2);
    let [a, b] = cluster.nodes() else {
        unreachable!()
    };
    for (node, other) in [(a, b), (b, a)] {
        let elsewhere = Arc::new(Elsewhere {
            peer: Arc::new(cluster.network().peer(&node.name, &other.name)),
        });
        node.group.set_router(elsewhere);
    }
    let (left, right) = tokio::join!(a.group.lookup(b"Tom"), b.group.lookup(b"Tom"));
    assert_eq!(left.unwrap().value.unwrap(), "value of Tom");
    assert_eq!(right.unwrap().value.unwrap(), "value of Tom");
    assert!(
        cluster.origin().loads_of("Tom") <= 2,
        "once for each of two owners"
    );
    for node in [a, b] {
        assert_eq!(
            node.group.stats().main.entries,
            0,
            "neither owns it by its own ring"
        );
    }
    let forwarded = a
        .group
        .serve(Serve::new(b"Jack", Hop::Forwarded))
        .await
        .unwrap();
    assert_eq!(forwarded.answer.source, Source::Origin);
}

/// A router that assigns every key to another node.
struct Elsewhere {
    peer: Arc<dyn Peer>,
}

impl Router for Elsewhere {
    fn route(&self, _key: &[u8]) -> gaggle_group::Route {
        gaggle_group::Route::Theirs(Arc::clone(&self.peer))
    }
    fn owner(&self, _key: &[u8]) -> gaggle_group::Member {
        gaggle_group::Member {
            address: "".into(),
            name: self.peer.name().into(),
            is_self: false,
            up: true,
            requests: gaggle_group::PeerRequests::default(),
        }
    }
    fn members(&self) -> Vec<gaggle_group::Member> {
        vec![self.owner(b"")]
    }
    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        vec![Arc::clone(&self.peer)]
    }
    fn digest(&self) -> String {
        "elsewhere".into()
    }
}

#[tokio::test]
async fn a_removal_reaches_every_node_and_names_those_it_missed() {
    let cluster = Cluster::with(3, |group| group.hot_copies(Sampled { one_in: 1 }));
    for node in cluster.nodes() {
        node.group.get("Tom").await.unwrap();
    }
    let removal = cluster.nodes()[0].group.remove(b"Tom").await;
    assert_eq!((removal.removed.len(), removal.missed.len()), (3, 0));
    for node in cluster.nodes() {
        assert!(node.group.cached(b"Tom").is_none());
    }

    let down = &cluster.nodes()[1].name;
    cluster.network().isolate(down, Link::Refused);
    let removal = cluster.nodes()[0].group.remove(b"Tom").await;
    assert_eq!(removal.removed.len(), 2);
    assert_eq!(removal.missed.len(), 1);
    assert_eq!(*removal.missed[0].peer, **down);
    let issued = cluster.nodes()[0].group.stats().issued;
    assert_eq!((issued.keys, issued.seconds.count()), (2, 1));
    assert_eq!((issued.incomplete, issued.missed), (1, 1));
}

#[tokio::test]
async fn the_gets_of_clients_and_those_of_peers_are_counted_separately() {
    let cluster = Cluster::with(3, |group| group.hot_copies(NoHotCopies));
    let asked = &cluster.nodes()[0].group;
    for round in 0..4 {
        for key in 0..50 {
            asked.get(format!("key-{key}")).await.unwrap();
        }
        // After the first round, this node has all its own keys in memory. It fetches the other
        // ones each time, and they are hits at their owners.
        let (mut peers, own) = ((0, 0), asked.stats());
        for node in &cluster.nodes()[1..] {
            let stats = node.group.stats();
            assert_eq!((stats.clients.gets, stats.clients.hits), (0, 0));
            assert_eq!(stats.peers.gets, stats.gets);
            peers = (peers.0 + stats.peers.gets, peers.1 + stats.peers.hits);
        }
        assert_eq!((own.clients.gets, own.peers.gets), (50 * (round + 1), 0));
        let theirs = peers.0 / (round + 1);
        assert!((1..50).contains(&theirs), "{theirs}");
        assert_eq!(own.clients.hits, (50 - theirs) * round);
        assert_eq!(peers, (theirs * (round + 1), theirs * round));
    }
}

#[tokio::test]
async fn a_group_joins_a_cluster_after_it_was_made() {
    let origin = CountingOrigin::default();
    let group = Group::builder("things").origin(origin).build().unwrap();
    assert_eq!(group.router().members().len(), 1);
    group.get("Tom").await.unwrap();
    let cluster = Cluster::new(1);
    let network = cluster.network().clone();
    network.attach("http://me", group.clone());
    let connect =
        move |_: &str, to: &str| Ok(Arc::new(network.peer("http://me", to)) as Arc<dyn Peer>);
    let peers = Peers::new("http://me", Profile::default(), Options::default(), connect).unwrap();
    peers.update([cluster.nodes()[0].name.as_str()]).unwrap();
    group.set_router(Arc::new(peers));
    assert_eq!(group.router().members().len(), 2);
    for key in keys(50) {
        group.get(key).await.unwrap();
    }
    assert!(cluster.nodes()[0].group.stats().server_requests > 0);
}

// Just after its start, a node asks the other nodes for further ones before it sends a removal.
#[tokio::test(start_paused = true)]
async fn a_removal_goes_on_though_its_caller_is_gone_also_just_after_a_start() {
    let mut cluster = Cluster::with(2, |group| group.hot_copies(Sampled { one_in: 1 }));
    // So that only the removal makes the other node drop its copy.
    cluster.network().mutate(gaggle_testkit::Mutant::NoCatchUp);
    cluster.nodes()[1].group.get("k").await.unwrap();
    cluster.restart(0);
    cluster.network().delay(Duration::from_millis(50), 7);
    let other = cluster.nodes()[1].group.clone();
    assert!(other.holds("k"));
    {
        let removal = std::pin::pin!(cluster.nodes()[0].group.remove("k"));
        assert!(futures_util::poll!(removal).is_pending());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!other.holds("k"));
}

// Gateways ask members only, and so learn of each other from members.
#[tokio::test(start_paused = true)]
async fn gateways_tell_each_other_of_removals_and_name_those_that_they_miss() {
    let cluster = Cluster::with_gateways(3, 2, |group| group.hot_copies(Sampled { one_in: 1 }));
    let [one, other] = [3, 4].map(|at| &cluster.nodes()[at]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    other.group.get("k").await.unwrap();
    assert!(other.group.holds("k"));
    let removal = one.group.remove("k").await;
    assert!(!other.group.holds("k"));
    assert_eq!((removal.removed.len(), removal.missed.len()), (4, 0));

    other.group.get("k").await.unwrap();
    cluster.network().set(&one.name, &other.name, Link::Refused);
    let removal = one.group.remove("k").await;
    assert_eq!(*removal.missed[0].peer, *other.name);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!other.group.holds("k"), "by way of a member");
}
