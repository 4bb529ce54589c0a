//! A console of a node in a cluster in memory, under paused time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gaggle_console::{Console, Event, EventKind, MOST_GROUPS, POINTS, Series};
use gaggle_group::{About, FollowState, FollowStats, Group, Groups};
use gaggle_testkit::{Cluster, Link};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Samples until it is dropped.
struct Running(Console, JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.1.abort();
    }
}

fn run(groups: Groups) -> Running {
    let console = Console::new(groups);
    let sampling = tokio::spawn({
        let console = console.clone();
        async move { console.run().await }
    });
    Running(console, sampling)
}

fn local(name: &str) -> Group {
    Group::builder(name)
        .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
        .build()
        .unwrap()
}

fn last(series: &Series, name: &str) -> Option<f32> {
    *series[name].last().unwrap()
}

fn kinds(events: &[Event]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn each_ten_seconds_are_a_point() {
    let (scores, users) = (local("scores"), local("users"));
    let console = run(Groups::new([scores.clone(), users.clone()]).unwrap());
    let history = console.0.history(None);
    assert_eq!(history.total.len(), 12);
    for series in history.total.values() {
        assert_eq!(series.len(), POINTS);
        assert!(series.iter().all(Option::is_none), "it has not run yet");
    }
    for n in 0..20 {
        scores.get(format!("{}", n % 5)).await.unwrap();
        users.get("k").await.unwrap();
    }
    sleep(10 * SECOND + SECOND / 2).await;
    let history = console.0.history(None);
    assert_eq!(last(&history.total, "client_gets"), Some(4.0));
    assert_eq!(last(&history.total, "client_hits"), Some(3.4));
    assert_eq!(last(&history.total, "origin_loads"), Some(0.6));
    assert_eq!(last(&history.groups["scores"], "client_gets"), Some(2.0));
    assert_eq!(last(&history.groups["users"], "origin_loads"), Some(0.1));
    assert!(last(&history.total, "bytes") > Some(6.0));
    assert!(last(&history.groups["users"], "load_p99").is_some());
    assert_eq!(history.total["client_gets"][POINTS - 2], None);

    sleep(10 * SECOND).await;
    let history = console.0.history(Some("users"));
    assert_eq!(
        history
            .groups
            .keys()
            .map(|name| &**name)
            .collect::<Vec<_>>(),
        ["users"]
    );
    assert_eq!(
        history.total["client_gets"][POINTS - 2..],
        [Some(4.0), Some(0.0)]
    );
    assert_eq!(last(&history.total, "load_p50"), None, "nothing was loaded");
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_kept_and_no_more_and_gaps_stay_empty() {
    let scores = local("scores");
    let console = run(Groups::new([scores.clone()]).unwrap());
    scores.get("k").await.unwrap();
    sleep(10 * SECOND + SECOND / 2).await;
    // As if the runtime were blocked: the task does not run for 35 s.
    tokio::time::advance(35 * SECOND).await;
    sleep(SECOND).await;
    let gets = console.0.history(None).total["client_gets"].clone();
    assert_eq!(gets[POINTS - 4..], [Some(0.1), None, None, Some(0.0)]);
    sleep(3_700 * SECOND).await;
    let gets = console.0.history(None).total["client_gets"].clone();
    assert_eq!(gets.len(), POINTS);
    assert!(gets.iter().all(|point| *point == Some(0.0)));
}

#[tokio::test(start_paused = true)]
async fn groups_beyond_the_most_count_in_the_sums_alone() {
    let groups = (0..MOST_GROUPS + 3).map(|n| local(&format!("group-{n:03}")));
    let groups = Groups::new(groups).unwrap();
    let console = run(groups.clone());
    for group in groups.iter() {
        group.get("k").await.unwrap();
    }
    sleep(11 * SECOND).await;
    let history = console.0.history(None);
    assert_eq!(history.groups.len(), MOST_GROUPS);
    assert_eq!(last(&history.total, "client_gets"), Some(6.7));
    assert_eq!(console.0.history(Some("group-066")).groups.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn members_that_join_go_down_come_back_and_leave_are_events() {
    let mut cluster = Cluster::new(2);
    let console = run(cluster.nodes()[0].groups.clone());
    sleep(2 * SECOND).await;
    assert_eq!(console.0.events(9), [], "nothing has happened");
    cluster.join();
    sleep(2 * SECOND).await;
    let third = cluster.nodes()[2].name.clone();
    let events = console.0.events(9);
    assert_eq!(kinds(&events), [EventKind::Ring, EventKind::Joined]);
    assert_eq!(events[1].node.as_deref(), Some(&*third));
    assert_eq!(events[1].text, format!("{third} joined the ring"));
    assert!(
        events[0].text.ends_with("of 3 members"),
        "{}",
        events[0].text
    );
    assert!(events[0].at > 1e9 && events[0].group.is_none());

    let me = cluster.nodes()[0].name.clone();
    cluster.network().set(&me, &third, Link::Refused);
    sleep(10 * SECOND).await;
    assert_eq!(console.0.events(1)[0].kind, EventKind::Down);
    cluster.network().set(&me, &third, Link::Up);
    sleep(60 * SECOND).await;
    assert_eq!(console.0.events(1)[0].kind, EventKind::Up);
    cluster.leave(2, 5 * SECOND).await;
    sleep(2 * SECOND).await;
    let events = console.0.events(9);
    assert_eq!(kinds(&events[..2]), [EventKind::Ring, EventKind::Left]);
    assert_eq!(events[1].text, format!("{third} left the ring"));
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_a_group_is_an_event() {
    let fails = Arc::new(AtomicBool::new(false));
    let scores = Group::builder("scores")
        .origin_fn({
            let fails = Arc::clone(&fails);
            move |key: Bytes| {
                let fails = fails.load(Relaxed);
                async move {
                    if fails {
                        return Err(std::io::Error::other("disk on fire"));
                    }
                    Ok(Some(key))
                }
            }
        })
        .build()
        .unwrap();
    let follow = Arc::new(Mutex::new(FollowState::Connecting));
    scores.set_follow_stats({
        let follow = Arc::clone(&follow);
        move || {
            let mut stats = FollowStats::default();
            stats.state = *follow.lock().unwrap();
            stats
        }
    });
    let console = run(Groups::new([scores.clone()]).unwrap());
    assert!(scores.remove_group().await.missed.is_empty());
    sleep(2 * SECOND).await;
    let event = &console.0.events(9)[0];
    assert_eq!(
        (event.kind, event.group.as_deref()),
        (EventKind::GroupRemoved, Some("scores"))
    );
    assert_eq!(event.text, "all keys of scores were removed");
    *follow.lock().unwrap() = FollowState::Following;
    sleep(2 * SECOND).await;
    let event = &console.0.events(9)[0];
    assert_eq!(event.kind, EventKind::Follow);
    assert!(event.text.ends_with("is following"), "{}", event.text);

    fails.store(true, Relaxed);
    for n in 0..100 {
        scores.get(format!("{n}")).await.unwrap_err();
        sleep(SECOND / 20).await;
    }
    assert!(scores.stats().origin_queue.breaker_open);
    sleep(SECOND).await;
    fails.store(false, Relaxed);
    for n in 0..1_000 {
        let _ = scores.get(format!("again {n}")).await;
        sleep(SECOND / 20).await;
    }
    let kinds = kinds(&console.0.events(9));
    assert_eq!(kinds[0], EventKind::BreakerClosed, "{kinds:?}");
    assert!(kinds.contains(&EventKind::BreakerOpened), "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn the_node_says_when_it_is_ready_and_what_it_runs_with_and_two_hundred_events_are_kept() {
    let groups = Groups::new([local("scores")]).unwrap();
    let generation = Arc::new(AtomicU64::new(1));
    let ready = Arc::new(AtomicBool::new(false));
    groups.set_about({
        let (generation, ready) = (Arc::clone(&generation), Arc::clone(&ready));
        move || {
            let mut about = About::default();
            about.generation = generation.load(Relaxed);
            about.state = if ready.load(Relaxed) {
                "ready"
            } else {
                "starting"
            }
            .into();
            about
        }
    });
    let console = run(groups);
    sleep(2 * SECOND).await;
    ready.store(true, Relaxed);
    sleep(2 * SECOND).await;
    let event = &console.0.events(9)[0];
    assert_eq!(
        (event.kind, &*event.text),
        (EventKind::Ready, "this node is ready")
    );
    for _ in 0..300 {
        generation.fetch_add(1, Relaxed);
        sleep(SECOND).await;
    }
    let events = console.0.events(usize::MAX);
    assert_eq!(events.len(), 200);
    assert!(events.iter().all(|event| event.kind == EventKind::Reloaded));
    assert_eq!(console.0.events(3), events[..3]);
    assert!(console.0.uptime() >= 300 * SECOND && console.0.started() > 1e9);
}
