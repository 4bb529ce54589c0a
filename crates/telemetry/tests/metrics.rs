//! The metrics page, as a scraper reads it.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/page.rs"]
#[allow(dead_code, reason = "other tests use all of it")]
mod page;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    Entry, FollowState, FollowStats, Group, Groups, Hop, Member, Peer, PeerRequests, Route, Router,
    Serve,
};
use gaggle_telemetry::{BuildInfo, Families, Kind, LogOptions, Metrics};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::page::Page;

fn group(name: &str) -> Group {
    Group::builder(name)
        .capacity(1 << 20)
        .origin_fn(|key: Bytes| async move {
            match &key[..] {
                b"fails" => Err("the database is down"),
                b"nobody" => Ok(None),
                _ => Ok(Some(key)),
            }
        })
        .build()
        .unwrap()
}

fn metrics(groups: impl IntoIterator<Item = Group>) -> Metrics {
    let build = BuildInfo {
        version: "1.2.3".to_owned(),
    };
    Metrics::new(Groups::new(groups).unwrap(), build)
}

/// Three members, of which one is down. Its peers are never asked.
struct Three;

impl Router for Three {
    fn route(&self, _key: &[u8]) -> Route {
        Route::Mine
    }

    fn owner(&self, _key: &[u8]) -> Member {
        self.members().swap_remove(0)
    }

    fn members(&self) -> Vec<Member> {
        let member = |name: &str, up| Member {
            address: "".into(),
            name: name.into(),
            is_self: name == "http://a:1",
            up,
            requests: PeerRequests {
                ok: 3,
                not_found: 2,
                error: 1,
            },
        };
        vec![
            member("http://a:1", true),
            member("http://b:1", true),
            member("http://c:1", false),
        ]
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        Vec::new()
    }

    fn digest(&self) -> String {
        "xxh3:50:abc".to_owned()
    }
}

#[tokio::test]
async fn counts_are_those_of_known_gets() {
    let scores = group("scores");
    let metrics = metrics([scores.clone()]);
    scores.get("Tom").await.unwrap();
    scores.get("Tom").await.unwrap();
    scores.get("nobody").await.unwrap_err();
    scores.get("fails").await.unwrap_err();
    scores
        .serve(Serve::new(b"Tom", Hop::Forwarded))
        .await
        .unwrap();

    let page = Page::parse(&metrics.encode());
    for (series, value) in [
        ("gaggle_gets_total{group=\"scores\"}", 5.0),
        ("gaggle_hits_total{group=\"scores\",cache=\"main\"}", 2.0),
        ("gaggle_hits_total{group=\"scores\",cache=\"hot\"}", 0.0),
        (
            "gaggle_loads_total{group=\"scores\",source=\"origin\",result=\"ok\"}",
            1.0,
        ),
        (
            "gaggle_loads_total{group=\"scores\",source=\"origin\",result=\"not_found\"}",
            1.0,
        ),
        (
            "gaggle_loads_total{group=\"scores\",source=\"origin\",result=\"error\"}",
            1.0,
        ),
        (
            "gaggle_loads_total{group=\"scores\",source=\"peer\",result=\"ok\"}",
            0.0,
        ),
        (
            "gaggle_source_gets_total{group=\"scores\",source=\"client\"}",
            4.0,
        ),
        (
            "gaggle_source_hits_total{group=\"scores\",source=\"client\"}",
            1.0,
        ),
        (
            "gaggle_source_gets_total{group=\"scores\",source=\"peer\"}",
            1.0,
        ),
        (
            "gaggle_source_hits_total{group=\"scores\",source=\"peer\"}",
            1.0,
        ),
        ("gaggle_loads_collapsed_total{group=\"scores\"}", 0.0),
        ("gaggle_loads_in_flight{group=\"scores\"}", 0.0),
        (
            "gaggle_load_seconds_count{group=\"scores\",source=\"origin\"}",
            3.0,
        ),
        (
            "gaggle_load_seconds_count{group=\"scores\",source=\"peer\"}",
            0.0,
        ),
        ("gaggle_server_requests_total{group=\"scores\"}", 1.0),
        ("gaggle_shed_total{group=\"scores\"}", 0.0),
        ("gaggle_stale_served_total{group=\"scores\"}", 0.0),
        ("gaggle_cache_entries{group=\"scores\",cache=\"main\"}", 1.0),
        ("gaggle_cache_entries{group=\"scores\",cache=\"hot\"}", 0.0),
        ("gaggle_cache_limit_bytes{group=\"scores\"}", 1_048_576.0),
        (
            "gaggle_evictions_total{group=\"scores\",cache=\"main\",reason=\"capacity\"}",
            0.0,
        ),
        (
            "gaggle_evictions_total{group=\"scores\",cache=\"hot\",reason=\"expired\"}",
            0.0,
        ),
        (
            "gaggle_evictions_total{group=\"scores\",cache=\"hot\",reason=\"collision\"}",
            0.0,
        ),
    ] {
        assert_eq!(page.get(series), value, "{series}");
    }
    let build = page
        .samples
        .keys()
        .find(|name| name.starts_with("gaggle_build_info{version=\"1.2.3\",os=\""));
    assert!(build.is_some_and(|build| build.contains(std::env::consts::ARCH)));
    let held = page.get("gaggle_cache_bytes{group=\"scores\",cache=\"main\"}");
    assert!((6.0..1_048_576.0).contains(&held), "{held}");
}

#[tokio::test]
async fn every_name_is_there_from_the_first_scrape_on() {
    let scores = group("scores");
    scores.set_router(Arc::new(Three));
    scores.set_follow_stats(follow_stats);
    let text = metrics([scores]).encode();
    let page = Page::parse(&text);
    let expected = [
        "gaggle_build_info",
        "gaggle_cache_bytes",
        "gaggle_breaker_open",
        "gaggle_breaker_opened_total",
        "gaggle_cache_entries",
        "gaggle_cache_limit_bytes",
        "gaggle_evictions_total",
        "gaggle_gets_total",
        "gaggle_follow_behind_bytes",
        "gaggle_follow_changes_total",
        "gaggle_follow_failures_total",
        "gaggle_follow_group_removals_total",
        "gaggle_follow_keys_removed_total",
        "gaggle_follow_lag_seconds",
        "gaggle_follow_state",
        "gaggle_follow_values_put_total",
        "gaggle_group_removals_total",
        "gaggle_hedges_total",
        "gaggle_hits_total",
        "gaggle_in_flight_bytes",
        "gaggle_in_flight_limit_bytes",
        "gaggle_in_flight_peak_bytes",
        "gaggle_in_flight_refused_total",
        "gaggle_load_seconds_bucket",
        "gaggle_load_seconds_count",
        "gaggle_load_seconds_sum",
        "gaggle_loads_collapsed_total",
        "gaggle_loads_in_flight",
        "gaggle_loads_total",
        "gaggle_not_modified_total",
        "gaggle_origin_batched_keys_total",
        "gaggle_origin_batches_total",
        "gaggle_origin_key_faults_total",
        "gaggle_origin_loads_given_up",
        "gaggle_origin_loads_limit",
        "gaggle_origin_loads_running",
        "gaggle_origin_loads_waiting",
        "gaggle_peer_requests_total",
        "gaggle_peer_up",
        "gaggle_refreshes_total",
        "gaggle_removal_missed_nodes_total",
        "gaggle_removal_seconds_bucket",
        "gaggle_removal_seconds_count",
        "gaggle_removal_seconds_sum",
        "gaggle_removals_incomplete_total",
        "gaggle_removals_issued_total",
        "gaggle_removals_total",
        "gaggle_ring_info",
        "gaggle_ring_disagreements",
        "gaggle_ring_members",
        "gaggle_server_requests_total",
        "gaggle_shed_total",
        "gaggle_source_gets_total",
        "gaggle_source_hits_total",
        "gaggle_stale_failed_over_total",
        "gaggle_stale_served_total",
        "gaggle_taken_over_total",
        "gaggle_unvouched_drops_total",
        "gaggle_values_refused_total",
        "gaggle_warmed_total",
    ];
    assert_eq!(page.names(), BTreeSet::from(expected));
    assert_eq!(page.types["gaggle_load_seconds"], "histogram");
    assert_eq!(page.types["gaggle_peer_up"], "gauge");
}

#[tokio::test]
async fn removals_are_told_by_kind_and_by_how_far_they_reached() {
    let scores = group("scores");
    let metrics = metrics([scores.clone()]);
    let _ = scores.remove("Tom").await;
    let _ = scores.remove_group().await;
    let put = Entry::value("631");
    let _ = scores.put("Tom", put).await.unwrap();
    let page = Page::parse(&metrics.encode());
    for (series, value) in [
        ("gaggle_removals_total{group=\"scores\"}", 3.0),
        ("gaggle_group_removals_total{group=\"scores\"}", 1.0),
        (
            "gaggle_removals_issued_total{group=\"scores\",kind=\"keys\"}",
            1.0,
        ),
        (
            "gaggle_removals_issued_total{group=\"scores\",kind=\"group\"}",
            1.0,
        ),
        (
            "gaggle_removals_issued_total{group=\"scores\",kind=\"put\"}",
            1.0,
        ),
        ("gaggle_removals_incomplete_total{group=\"scores\"}", 0.0),
        ("gaggle_removal_missed_nodes_total{group=\"scores\"}", 0.0),
        ("gaggle_removal_seconds_count{group=\"scores\"}", 3.0),
    ] {
        assert_eq!(page.get(series), value, "{series}");
    }
}

#[tokio::test]
async fn what_else_counts_stands_on_the_page_in_both_formats() {
    let queue = |families: &mut Families| {
        families.gauge(
            "shop_queue",
            "Orders that wait.",
            ["shop"],
            [(["a"], 2_u64)],
        );
        families.counter("shop_orders", "Orders.", [], [([], 7_u64)]);
    };
    let metrics = metrics([group("scores")]).with(queue).with_process();
    let page = Page::parse(&metrics.encode());
    assert_eq!(page.get("shop_queue{shop=\"a\"}"), 2.0);
    assert_eq!(page.get("shop_orders_total"), 7.0);
    #[cfg(target_os = "linux")]
    assert!(page.get("process_resident_memory_bytes") > 0.0);
    let plain = metrics.encode_plain();
    assert!(plain.contains("# TYPE shop_orders_total counter\nshop_orders_total 7\n"));
    assert!(
        plain.contains("\ngaggle_gets_total{group=\"scores\"} 0\n") && !plain.contains("# EOF")
    );
    let described = metrics.families();
    let queue = described.iter().find(|family| family.name == "shop_queue");
    assert!(queue.is_some_and(|queue| queue.labels == ["shop"] && queue.kind == Kind::Gauge));
}

fn follow_stats() -> FollowStats {
    let mut stats = FollowStats::default();
    stats.state = FollowState::Following;
    stats.lag = Some(Duration::from_millis(1_500));
    stats.behind_bytes = Some(4_096);
    stats.changes = 7;
    stats
}

#[tokio::test]
async fn a_follower_of_the_source_tells_how_it_is_doing() {
    let (scores, users) = (group("scores"), group("users"));
    scores.set_follow_stats(follow_stats);
    let mut registry = Registry::default();
    let orders = Counter::<u64>::default();
    orders.inc_by(3);
    registry.register("shop_orders", "Of the program's own", orders);
    let build = BuildInfo {
        version: "1".into(),
    };
    let groups = Groups::new([scores, users]).unwrap();
    Metrics::register(groups, build, &mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let page = Page::parse(&text);
    for (series, value) in [
        (
            "gaggle_follow_state{group=\"scores\",state=\"following\"}",
            1.0,
        ),
        (
            "gaggle_follow_state{group=\"scores\",state=\"failing\"}",
            0.0,
        ),
        ("gaggle_follow_lag_seconds{group=\"scores\"}", 1.5),
        ("gaggle_follow_behind_bytes{group=\"scores\"}", 4_096.0),
        ("gaggle_follow_changes_total{group=\"scores\"}", 7.0),
    ] {
        assert_eq!(page.get(series), value, "{series}");
    }
    let of_users = |series: &&String| series.contains("follow") && series.contains("users");
    assert_eq!(page.samples.keys().filter(of_users).count(), 0);
}

#[tokio::test]
async fn the_log_has_its_counts_in_the_page() {
    let (_dispatch, log) =
        gaggle_telemetry::logging::queued(&LogOptions::default(), std::io::sink()).unwrap();
    let page = Page::parse(&metrics([group("scores")]).with_log(log).encode());
    for series in [
        "gaggle_log_lines_lost_total",
        "gaggle_log_lines_left_out_total",
    ] {
        assert_eq!(page.get(series), 0.0, "{series}");
    }
}

#[tokio::test]
async fn groups_that_share_a_ring_tell_of_its_peers_once() {
    let (scores, users) = (group("scores"), group("users"));
    let ring: Arc<dyn Router> = Arc::new(Three);
    scores.set_router(Arc::clone(&ring));
    users.set_router(ring);
    // A series that appears twice fails the parser.
    let page = Page::parse(&metrics([scores, users]).encode());
    for (series, value) in [
        ("gaggle_ring_members", 3.0),
        ("gaggle_ring_info{hash=\"xxh3:50:abc\"}", 1.0),
        ("gaggle_peer_up{peer=\"http://b:1\"}", 1.0),
        ("gaggle_peer_up{peer=\"http://c:1\"}", 0.0),
        (
            "gaggle_peer_requests_total{peer=\"http://b:1\",result=\"ok\"}",
            3.0,
        ),
        (
            "gaggle_peer_requests_total{peer=\"http://b:1\",result=\"not_found\"}",
            2.0,
        ),
        (
            "gaggle_peer_requests_total{peer=\"http://c:1\",result=\"error\"}",
            1.0,
        ),
        ("gaggle_gets_total{group=\"users\"}", 0.0),
    ] {
        assert_eq!(page.get(series), value, "{series}");
    }
    assert!(
        !page
            .samples
            .contains_key("gaggle_peer_up{peer=\"http://a:1\"}"),
        "that is this node"
    );
}

#[tokio::test]
async fn even_two_rings_of_their_own_make_a_page_without_repeats() {
    let (scores, users) = (group("scores"), group("users"));
    scores.set_router(Arc::new(Three));
    users.set_router(Arc::new(Three));
    let page = Page::parse(&metrics([scores, users, group("alone")]).encode());
    assert_eq!(page.get("gaggle_ring_members"), 4.0);
    assert_eq!(
        page.samples
            .keys()
            .filter(|series| series.contains("ring_info"))
            .count(),
        2
    );
}

#[tokio::test]
async fn no_key_and_no_odd_name_gets_into_the_page() {
    let scores = group("odd \"name\\");
    for key in ["secret-key", "nobody", "fails"] {
        let _ = scores.get(key).await;
    }
    let text = metrics([scores]).encode();
    for leaked in ["secret-key", "nobody", "fails", "database"] {
        assert!(!text.contains(leaked), "{leaked}");
    }
    assert!(
        text.contains(r#"gaggle_gets_total{group="odd \"name\\"} 3"#),
        "{text}"
    );
}
