//! Gets whose owner hangs, is slow, is still loading, or kept the key before the ring changed.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle_group::{
    Entry, Error, Fetch, Fetched, Freshness, Group, Hop, Key, Known, Limits, LocalOnly, Member,
    Notice, Peer, PeerError, Previous, RemovalId, Route, Router, Scope, Serve, Source, Verdict,
    Worth, async_trait,
};
use gaggle_testkit::CountingOrigin;
use tokio::time::{Instant, sleep};

const TIMEOUT: Duration = Duration::from_secs(1);

/// How a peer answers, decided by the request.
type Script = Box<dyn Fn(usize, Duration) -> Act + Send + Sync>;

/// What a peer does with one request.
enum Act {
    Answer(Duration, Result<Entry, Verdict>),
    Hang,
}

struct Scripted {
    name: &'static str,
    script: Script,
    /// The deadlines of the requests, and whether they were for entries in memory only.
    asked: Mutex<Vec<(Duration, bool)>>,
    hedge_after: Option<Duration>,
}

impl Scripted {
    fn new(
        name: &'static str,
        script: impl Fn(usize, Duration) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            script: Box::new(script),
            asked: Mutex::default(),
            hedge_after: None,
        }
    }

    fn asked(&self) -> Vec<(Duration, bool)> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Peer for Scripted {
    fn name(&self) -> &str {
        self.name
    }
    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let act = {
            let mut asked = self.asked.lock().unwrap();
            asked.push((fetch.deadline, fetch.kept_only));
            (self.script)(asked.len(), fetch.deadline)
        };
        match act {
            Act::Answer(after, answer) => {
                sleep(after).await;
                answer
                    .map(Fetched::from)
                    .map_err(|verdict| PeerError::Verdict {
                        peer: self.name.into(),
                        verdict,
                    })
            }
            Act::Hang => std::future::pending().await,
        }
    }
    async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
        Ok(())
    }
    fn hedge_after(&self) -> Option<Duration> {
        self.hedge_after
    }
    fn may_hedge(&self) -> bool {
        true
    }
    async fn ping(&self) -> Result<(), PeerError> {
        Ok(())
    }
}

/// Routes as configured.
struct Fixed {
    route: Route,
    stand_in: Route,
    previous: Option<Previous>,
}

impl Fixed {
    fn theirs(owner: &Arc<Scripted>, stand_in: Route) -> Self {
        Self {
            route: Route::Theirs(Arc::clone(owner) as Arc<dyn Peer>),
            stand_in,
            previous: None,
        }
    }
}

impl Router for Fixed {
    fn route(&self, _: &[u8]) -> Route {
        self.route.clone()
    }
    fn owner(&self, key: &[u8]) -> Member {
        LocalOnly::default().owner(key)
    }
    fn members(&self) -> Vec<Member> {
        Vec::new()
    }
    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        Vec::new()
    }
    fn stand_in(&self, _: &[u8]) -> Route {
        self.stand_in.clone()
    }
    fn previous_owner(&self, _: &[u8]) -> Option<Previous> {
        self.previous.clone()
    }
    fn digest(&self) -> String {
        "fixed".into()
    }
}

fn group(origin: &CountingOrigin, router: Fixed) -> Group {
    Group::builder("things")
        .origin(origin.clone())
        .limits(Limits {
            load_timeout: TIMEOUT,
            ..Limits::default()
        })
        .router(Arc::new(router))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_costs_a_part_of_the_time_and_one_load() {
    let hung = Arc::new(Scripted::new("hung", |_, _| Act::Hang));
    let origin = CountingOrigin::default();
    let group = group(&origin, Fixed::theirs(&hung, Route::Standby));
    let began = Instant::now();
    let answer = group.lookup("k").await.unwrap();
    assert_eq!(answer.source, Source::Origin);
    assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
    assert_eq!((origin.total_loads(), hung.asked().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_still_loading_is_asked_again_and_nobody_loads_in_its_place() {
    // Its origin takes nearly as long as the load timeout.
    let loading = Duration::from_millis(950);
    let began = Instant::now();
    let owner = Arc::new(Scripted::new("owner", move |_, deadline| {
        let left = loading.saturating_sub(began.elapsed());
        if deadline < left {
            Act::Answer(deadline / 2, Err(Verdict::Deadline { after: deadline }))
        } else {
            Act::Answer(left, Ok(Entry::value("late")))
        }
    }));
    let origin = CountingOrigin::default();
    let group = group(&origin, Fixed::theirs(&owner, Route::Standby));
    assert_eq!(group.get("k").await.unwrap(), "late");
    assert_eq!((origin.total_loads(), owner.asked().len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_late_to_the_end_is_asked_twice() {
    let owner = Arc::new(Scripted::new("owner", |_, after| {
        Act::Answer(after, Err(Verdict::Deadline { after }))
    }));
    let origin = CountingOrigin::default();
    let group = group(&origin, Fixed::theirs(&owner, Route::Standby));
    let began = Instant::now();
    assert!(matches!(group.get("k").await, Err(Error::Deadline { .. })));
    assert!(began.elapsed() <= group.limits().longest_wait() + Duration::from_millis(2));
    assert_eq!((origin.total_loads(), owner.asked().len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_slow_owner_is_hedged_to_the_node_that_stands_in() {
    let slow = |name| {
        let mut slow = Scripted::new(name, |_, _| {
            Act::Answer(Duration::from_millis(500), Ok(Entry::value("slow")))
        });
        slow.hedge_after = Some(Duration::from_millis(30));
        Arc::new(slow)
    };
    let second = Arc::new(Scripted::new("second", |_, _| {
        Act::Answer(Duration::from_millis(1), Ok(Entry::value("second")))
    }));
    let origin = CountingOrigin::default();
    let began = Instant::now();
    let theirs = Route::Theirs(Arc::clone(&second) as Arc<dyn Peer>);
    let first = group(&origin, Fixed::theirs(&slow("slow"), theirs));
    assert_eq!(first.get("k").await.unwrap(), "second");
    assert_eq!((origin.total_loads(), first.stats().hedges), (0, 1));
    // The same on the stand-in.
    let third = group(&origin, Fixed::theirs(&slow("slow"), Route::Standby));
    assert_eq!(third.get("k").await.unwrap(), "value of k");
    assert_eq!((origin.total_loads(), third.stats().hedges), (1, 1));
    println!("row 4: both answered after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_millis(80));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_fails_leaves_the_first_answer() {
    let mut slow = Scripted::new("slow", |_, _| {
        Act::Answer(Duration::from_millis(500), Ok(Entry::value("slow")))
    });
    slow.hedge_after = Some(Duration::from_millis(30));
    let origin = CountingOrigin::default();
    origin.set_failing(true);
    let group = group(&origin, Fixed::theirs(&Arc::new(slow), Route::Standby));
    assert_eq!(group.get("k").await.unwrap(), "slow");
}

fn previous(peer: Arc<Scripted>) -> Fixed {
    Fixed {
        route: Route::Mine,
        stand_in: Route::Standby,
        previous: Some(Previous {
            peer,
            worth: Arc::new(Worth::default()),
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn who_kept_the_key_is_asked_before_the_origin() {
    let fresh = Freshness::for_ttl(Duration::from_secs(100));
    let kept = Entry::value("kept").with_freshness(fresh);
    let before = Arc::new(Scripted::new("before", move |_, _| {
        Act::Answer(Duration::from_millis(1), Ok(kept.clone()))
    }));
    let origin = CountingOrigin::default();
    let group = group(&origin, previous(Arc::clone(&before)));
    assert_eq!(group.get("k").await.unwrap(), "kept");
    assert_eq!(group.cached("k").unwrap().source, Source::Main);
    assert!(before.asked().iter().all(|(_, kept_only)| *kept_only));
    assert_eq!((origin.total_loads(), group.stats().taken_over), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_previous_owner_that_has_nothing_or_hangs_costs_little() {
    let before = Arc::new(Scripted::new("before", |n, _| {
        if n == 1 {
            Act::Hang
        } else {
            Act::Answer(Duration::ZERO, Err(Verdict::NotKept))
        }
    }));
    let origin = CountingOrigin::default();
    let group = group(&origin, previous(Arc::clone(&before)));
    let began = Instant::now();
    for n in 0..1_000 {
        group.get(format!("k{n}")).await.unwrap();
    }
    assert!(began.elapsed() <= Limits::default().hand_over_timeout + Duration::from_millis(10));
    assert_eq!(origin.total_loads(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_served_without_a_load() {
    let origin = CountingOrigin::default();
    let group = group(
        &origin,
        Fixed {
            route: Route::Mine,
            stand_in: Route::Standby,
            previous: None,
        },
    );
    let ask = async || {
        let request = Serve::new(b"k", Hop::Forwarded).kept_only(true);
        group.serve(request).await
    };
    assert!(matches!(ask().await, Err(Error::NotKept { .. })));
    group.get("k").await.unwrap();
    assert_eq!(ask().await.unwrap().answer.value.unwrap(), "value of k");
    assert_eq!(
        (origin.total_loads(), group.stats().server_requests),
        (1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_over_never_brings_back_a_removed_value() {
    let origin = CountingOrigin::default();
    let group = group(
        &origin,
        Fixed {
            route: Route::Mine,
            stand_in: Route::Standby,
            previous: None,
        },
    );
    let removal = |number| RemovalId { issuer: 7, number };
    group.apply(&Notice {
        id: removal(1),
        scope: Scope::Keys([Key::from("removed")].into()),
    });
    let entries = |keys: &[&'static str]| -> Vec<(Key, Entry)> {
        let entry = |key: &&'static str| (Key::from(*key), Entry::value("old"));
        keys.iter().map(entry).collect()
    };
    // The giver did not know the removal when it read its memory.
    let kept = group.take_over(entries(&["removed", "other"]), &Known::default());
    assert_eq!(kept, 1);
    assert!(group.cached("removed").is_none() && group.cached("other").is_some());
    // It did.
    let known = Known(vec![removal(1)]);
    assert_eq!(group.take_over(entries(&["removed"]), &known), 1);
    // The entry here is no older.
    group.get("here").await.unwrap();
    assert_eq!(group.take_over(entries(&["here"]), &known), 0);
    assert_eq!(group.get("here").await.unwrap(), "value of here");
    // The same after the removal of all.
    group.apply(&Notice {
        id: removal(2),
        scope: Scope::Group,
    });
    assert_eq!(group.take_over(entries(&["other"]), &known), 0);
    let all: HashMap<u64, u64> = [(7, 2)].into();
    let known = Known(
        all.into_iter()
            .map(|(issuer, number)| RemovalId { issuer, number })
            .collect(),
    );
    assert_eq!(group.take_over(entries(&["other"]), &known), 1);
}

// A node that was suspended missed a removal, and the node that takes over has since forgotten it,
// for lack of room.
#[tokio::test(start_paused = true)]
async fn what_is_handed_over_is_refused_by_one_who_has_forgotten_removals_that_the_giver_missed() {
    let origin = CountingOrigin::default();
    let group = group(
        &origin,
        Fixed {
            route: Route::Mine,
            stand_in: Route::Standby,
            previous: None,
        },
    );
    let remove = |issuer, number, key: String| {
        group.apply(&Notice {
            id: RemovalId { issuer, number },
            scope: Scope::Keys([Key::from(key)].into()),
        })
    };
    remove(7, 1, "removed".into());
    let others = 1 << 16;
    for number in 1..=others {
        remove(8, number, format!("k{number}"));
    }
    let give = |known: &[(u64, u64)]| {
        let ids = known.iter();
        let known = Known(
            ids.map(|&(issuer, number)| RemovalId { issuer, number })
                .collect(),
        );
        group.take_over(vec![(Key::from("removed"), Entry::value("old"))], &known)
    };
    assert_eq!(give(&[(8, others)]), 0);
    assert!(group.cached("removed").is_none());
    assert_eq!(give(&[(7, 1), (8, others)]), 1);
}
