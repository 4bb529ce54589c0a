//! The promises of the kit itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    FreshnessPolicy, Group, Load, Loaded, Origin, OriginError, OriginFn, Source, async_trait,
};
use gaggle_testkit::{Cluster, CountingOrigin, Link, tokio_clock};
use tokio::time::{Instant, advance, timeout};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn groups_of_several_names_are_apart() {
    let named = |name: &'static str| {
        OriginFn::new(move |key: Bytes| async move {
            let key = String::from_utf8_lossy(&key).into_owned();
            Ok::<_, std::io::Error>(Some(format!("{name} {key}")))
        })
    };
    let cluster = Cluster::builder(3)
        .group("users", move |group| group.origin(named("user")))
        .group("teams", move |group| group.origin(named("team")))
        .gateways(1)
        .start();
    assert_eq!(cluster.nodes().len(), 4);
    for node in cluster.nodes() {
        assert_eq!(&**node.group.name(), "users", "the first one");
        let (users, teams) = (node.part_of("users"), node.part_of("teams"));
        assert_eq!(users.get("7").await.unwrap(), "user 7");
        assert_eq!(teams.get("7").await.unwrap(), "team 7");
    }
    // A removal from one group does not affect the other.
    let (owner, asker) = (cluster.owner_of("7"), cluster.asker_of("7"));
    assert!(asker.part_of("users").remove("7").await.missed.is_empty());
    assert!(!owner.part_of("users").holds("7"));
    assert!(owner.part_of("teams").holds("7"));
    // Its gateway owns nothing.
    let front_end = cluster.nodes().last().unwrap();
    assert_eq!(front_end.part_of("users").stats().main.entries, 0);
}

#[tokio::test(start_paused = true)]
async fn time_moves_ttls() {
    let exactly = FreshnessPolicy {
        ttl: Some(MINUTE),
        ttl_jitter: 0.0,
        ..FreshnessPolicy::default()
    };
    let cluster = Cluster::builder(2)
        .group("users", move |group| group.freshness(exactly.clone()))
        .start();
    let owner = cluster.owner_of("7");
    cluster.origin().put("7", "Tom");
    assert_eq!(owner.group.get("7").await.unwrap(), "Tom");
    cluster.origin().put("7", "Jack");
    advance(MINUTE - Duration::from_secs(1)).await;
    assert_eq!(owner.group.get("7").await.unwrap(), "Tom");
    advance(Duration::from_secs(2)).await;
    assert_eq!(owner.group.get("7").await.unwrap(), "Jack");
    cluster.origin().remove("7");
    advance(MINUTE).await;
    assert!(owner.group.get("7").await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_takes_its_time_and_brings_the_answer() {
    let cluster = Cluster::new(2);
    let (owner, asker) = (cluster.owner_of("7"), cluster.asker_of("7"));
    let slow = Link::Slow(Duration::from_millis(40));
    cluster.network().set(&asker.name, &owner.name, slow);
    let start = Instant::now();
    let answer = asker.group.lookup("7").await.unwrap();
    assert_eq!(answer.source, Source::Peer);
    let took = start.elapsed();
    assert!((80..90).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_node_answers_pings_and_nothing_else() {
    let cluster = Cluster::new(2);
    let (owner, asker) = (cluster.owner_of("7"), cluster.asker_of("7"));
    cluster.network().set(&asker.name, &owner.name, Link::Stuck);
    let get = timeout(Duration::from_secs(1), asker.group.get("7")).await;
    assert!(
        get.is_err(),
        "it hangs, as the peer is not thought to be down"
    );
    cluster.network().set(&asker.name, &owner.name, Link::Up);
    let get = timeout(Duration::from_secs(60), asker.group.get("7")).await;
    assert_eq!(get.unwrap().unwrap(), "value of 7");
}

fn alone(origin: &CountingOrigin) -> Group {
    let group = Group::builder("users").origin(origin.clone());
    group.clock(tokio_clock()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_origin_is_slow_fails_and_hangs_as_it_is_told() {
    let origin = CountingOrigin::default();
    let group = alone(&origin);
    origin.set_delay(Duration::from_secs(2));
    let start = Instant::now();
    group.get("1").await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 2);
    origin.set_delay(Duration::ZERO);

    origin.fail_next(1);
    assert!(group.get("2").await.is_err());
    // A retry that is too soon does not reach it.
    advance(MINUTE).await;
    assert_eq!(group.get("2").await.unwrap(), "value of 2");
    assert_eq!(origin.loads_of("2"), 2);

    origin.set_open(false);
    let hanging = timeout(Duration::from_secs(1), group.get("3")).await;
    assert!(hanging.is_err());
    origin.set_open(true);
    assert_eq!(group.get("3").await.unwrap(), "value of 3");
    assert_eq!(origin.loads_of("3"), 1, "the load went on");
    assert!(format!("{origin:?}").contains("loads: 4"), "{origin:?}");
}

/// Takes several keys at once, and counts its requests.
#[derive(Clone, Default)]
struct Batches(Arc<AtomicU32>);

#[async_trait]
impl Origin for Batches {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        self.0.fetch_add(1, SeqCst);
        Ok(Loaded::value([b"own ", &load.key[..]].concat()))
    }

    fn max_batch(&self) -> usize {
        10
    }

    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        self.0.fetch_add(1, SeqCst);
        let value = |load: &Load<'_>| Ok(Loaded::value([b"own ", &load.key[..]].concat()));
        loads.iter().map(value).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_of_the_programs_own_is_counted_and_failed() {
    let batches = Batches::default();
    let origin = CountingOrigin::over(batches.clone());
    let group = alone(&origin);
    origin.put("2", "two");
    origin.remove("3");
    let many = group.get_many(&["1", "2", "3", "4"]).await;
    let values: Vec<_> = many.into_iter().map(|found| found.unwrap().value).collect();
    let own = |key: &str| Some(Bytes::from(format!("own {key}")));
    assert_eq!(values, [own("1"), Some("two".into()), None, own("4")]);
    assert_eq!(batches.0.load(SeqCst), 1, "they are one request still");
    assert_eq!((origin.total_loads(), origin.most_loads()), (4, 1));
    origin.set_failing(true);
    assert!(group.get("5").await.is_err());
    assert_eq!(batches.0.load(SeqCst), 1);
}
