//! `Cache-Status` of values that age.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use gaggle_api_http::FrontOptions;
use gaggle_group::{Clock, Entry, Freshness, FreshnessPolicy, Group};

use crate::client::Client;
use crate::owners::{Owner, owned_by};
use crate::support::client_of;

/// A value is fresh for 300 s, served 60 s more while it is loaded again, and 600 s more if that
/// fails; an absence is kept for 30 s. The origin works as long as the switch is on.
fn aging() -> (Client, Clock, Arc<AtomicBool>) {
    let secs = Duration::from_secs;
    let mut policy = FreshnessPolicy::default();
    policy.ttl = Some(secs(300));
    policy.ttl_jitter = 0.0;
    policy.stale_while_revalidate = secs(60);
    policy.stale_if_error = secs(600);
    policy.negative_ttl = Some(secs(30));
    let clock = Clock::manual();
    let works = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&works);
    let group = Group::builder("scores")
        .freshness(policy)
        .clock(clock.clone())
        .origin_fn(move |key: Bytes| {
            let works = switch.load(SeqCst);
            async move {
                match works {
                    true => Ok((key != "Nobody").then_some(key)),
                    false => Err("down"),
                }
            }
        })
        .build()
        .unwrap();
    (client_of([group], FrontOptions::default()), clock, works)
}

async fn expect(client: &Client, target: &str, status: u16, cache_status: &str) {
    let answer = client.get(target).await;
    let told = answer.header("cache-status");
    assert_eq!((answer.status, told), (status, Some(cache_status)));
}

#[tokio::test]
async fn a_value_that_expires_says_when() {
    let (client, clock, _) = aging();
    let path = "/v1/scores/k";
    expect(
        &client,
        path,
        200,
        "gaggle; fwd=miss; detail=origin; ttl=300",
    )
    .await;
    clock.advance(Duration::from_millis(1_500));
    expect(&client, path, 200, "gaggle; hit; detail=main; ttl=298").await;
    expect(
        &client,
        "/api?key=k",
        200,
        "gaggle; hit; detail=main; ttl=298",
    )
    .await;
}

#[tokio::test]
async fn what_is_served_past_its_time_says_so() {
    let (client, clock, works) = aging();
    let path = "/v1/scores/k";
    expect(
        &client,
        path,
        200,
        "gaggle; fwd=miss; detail=origin; ttl=300",
    )
    .await;
    works.store(false, SeqCst);
    clock.advance(Duration::from_secs(310));
    expect(&client, path, 200, "gaggle; hit; detail=stale; ttl=0").await;
    clock.advance(Duration::from_secs(100));
    expect(&client, path, 200, "gaggle; fwd=stale; detail=stale; ttl=0").await;
    clock.advance(Duration::from_secs(600));
    assert_eq!(client.get(path).await.status, 502);
}

#[tokio::test]
async fn an_absence_that_is_kept_is_a_hit_too() {
    let (client, clock, _) = aging();
    let path = "/v1/scores/Nobody";
    expect(
        &client,
        path,
        404,
        "gaggle; fwd=miss; detail=origin; ttl=30",
    )
    .await;
    expect(&client, path, 404, "gaggle; hit; detail=main; ttl=30").await;
    expect(
        &client,
        "/api?key=Nobody",
        404,
        "gaggle; hit; detail=main; ttl=30",
    )
    .await;
    clock.advance(Duration::from_secs(31));
    expect(
        &client,
        path,
        404,
        "gaggle; fwd=miss; detail=origin; ttl=30",
    )
    .await;
}

#[tokio::test]
async fn a_miss_that_brought_the_owners_stale_value_says_so() {
    let over = Freshness::for_ttl(Duration::ZERO);
    let stale = over.stale_while_revalidate(Duration::from_secs(5));
    for (freshness, told) in [
        (Freshness::default(), "gaggle; fwd=miss; detail=peer"),
        (stale, "gaggle; fwd=miss; detail=stale; ttl=0"),
        (over, "gaggle; fwd=miss; detail=peer; ttl=0"),
    ] {
        let entry = Entry::value("630").with_freshness(freshness);
        let group = owned_by(&Arc::new(Owner::of(entry)));
        let client = client_of([group], FrontOptions::default());
        expect(&client, "/v1/scores/Tom", 200, told).await;
    }
}
