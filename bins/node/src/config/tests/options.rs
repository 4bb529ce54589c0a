//! Configured values reach the crates, and other ones are the crates' defaults.

use std::time::Duration;

use super::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn defaults_are_those_of_the_crates() {
    let config = parsed("").unwrap();
    let cluster = &config.cluster;
    assert_eq!(
        cluster.http_client_options().unwrap(),
        gaggle_transport_http::ClientOptions {
            cluster: Some("gaggle".into()),
            ..Default::default()
        }
    );
    let grpc = cluster.grpc_client_options();
    let defaults = gaggle_transport_grpc::ClientOptions::default();
    assert_eq!(
        (
            grpc.ping_timeout,
            grpc.remove_timeout,
            grpc.keep_alive_interval
        ),
        (
            defaults.ping_timeout,
            defaults.remove_timeout,
            defaults.keep_alive_interval
        )
    );
    assert_eq!(
        config.peers_options(),
        gaggle_peers::Options {
            groups: vec!["scores".into()],
            ..Default::default()
        }
    );
    assert_eq!(
        config.front_options(),
        gaggle_api_http::FrontOptions::default()
    );
    let limits = gaggle_group::Limits::default();
    assert_eq!(config.groups["scores"].limits(), limits);
    assert_eq!(
        config.groups["scores"].freshness_policy(),
        gaggle_group::FreshnessPolicy::default()
    );
    let drain = seconds(3);
    let port = config.node.port_options(7, drain);
    let defaults = gaggle_serve::Options {
        max_connections: 7,
        drain,
        ..Default::default()
    };
    assert_eq!(format!("{port:?}"), format!("{defaults:?}"));
}

#[test]
fn ports_and_batches_are_bounded_as_configured() {
    let config = parsed(
        "[node.limits]\nbacklog = 5\nheader-timeout = \"1s\"\nidle-timeout = \"2s\"\nstall-timeout = \"3s\"\n\
         body-timeout = \"4s\"\nmin-rate = \"1KiB\"\nmax-header = \"9KiB\"\nhttp2-max-streams = 6\n\
         http2-ping-interval = \"7s\"\nhttp2-ping-timeout = \"8s\"\n\
         [node.front-door]\nmax-batch-keys = 9\nmax-body = \"10KiB\"\nmax-batch = \"11KiB\"\nbatch-loads = 12\n\
         body-timeout = \"13s\"\netag-max = \"14KiB\"\ncors-origins = [\"*\"]\ncors-max-age = \"15s\"\n\
         [groups.scores]\ncache-control = \"ttl\"",
    )
    .unwrap();
    let port = config.node.port_options(1, seconds(1));
    assert_eq!(
        (
            port.backlog,
            port.header_read_timeout,
            port.keep_alive_idle,
            port.stall_timeout
        ),
        (5, seconds(1), seconds(2), seconds(3))
    );
    assert_eq!(
        (
            port.body_timeout,
            port.min_rate,
            port.max_header_bytes,
            port.http2_max_streams
        ),
        (seconds(4), 1024, 9216, 6)
    );
    assert_eq!(
        (port.http2_ping_interval, port.http2_ping_timeout),
        (seconds(7), seconds(8))
    );
    let front = config.front_options();
    let told = [("scores".to_owned(), gaggle_api_http::CacheControl::Ttl)];
    assert_eq!(front.cache_control, told.into());
    assert_eq!(
        (front.etag_max, front.cors_origins, front.cors_max_age),
        (14 << 10, vec!["*".to_owned()], seconds(15))
    );
    assert_eq!(
        (
            front.max_batch_keys,
            front.max_body,
            front.max_batch_bytes,
            front.batch_loads,
            front.body_timeout
        ),
        (9, 10 << 10, 11 << 10, 12, seconds(13))
    );
}

#[test]
fn lines_are_logged_as_configured() {
    let log = parsed("").unwrap().node.log_options();
    assert_eq!(log, gaggle_telemetry::LogOptions::default());
    let node = "[node]\nlog-level = \"warn\"\nlog-format = \"json\"\nlog-interval =";
    let log = |interval: &str| {
        parsed(&format!("{node} \"{interval}\""))
            .unwrap()
            .node
            .log_options()
    };
    assert_eq!(log("3s").interval, Some(seconds(3)));
    let all = log("0s");
    assert_eq!((all.interval, all.level.as_str()), (None, "warn"));
    assert_eq!(all.format, gaggle_telemetry::LogFormat::Json);
}

#[test]
fn peers_are_asked_as_configured() {
    let config = parsed(
        "[node]\nname = \"gaggle-0\"\n[cluster]\nname = \"blue\"\nmember = false\nquiet = \"9s\"\nbody-timeout = \"8s\"\n\
         [cluster.health]\nsuspect-after = \"1s\"\nping-timeout = \"2s\"\ngreet-every = \"3s\"\nprobe-every = \"4s\"\n\
         remember-for = \"5s\"\nhand-over-for = \"6s\"\n\
         [cluster.client]\nconnect-timeout = \"1s\"\nremove-timeout = \"2s\"\nmax-requests-per-peer = 3\n\
         read-timeout = \"4s\"\nidle-per-peer = 5\nidle-timeout = \"6s\"\nunacknowledged-timeout = \"7s\"\n\
         requests-at-once = 8\nsmallest-batch = 9\nlongest-batch-wait = \"10ms\"\nmax-waiting = 11",
    )
    .unwrap();
    let peers = config.peers_options();
    assert_eq!(
        (
            peers.suspect_after,
            peers.ping_timeout,
            peers.greet_every,
            peers.probe_every
        ),
        (seconds(1), seconds(2), seconds(3), seconds(4))
    );
    assert_eq!(
        (peers.hand_over_for, peers.quiet, peers.member),
        (seconds(6), seconds(9), false)
    );
    assert_eq!(
        (peers.name.as_deref(), &*peers.cluster),
        (Some("gaggle-0"), "blue")
    );
    assert_eq!(peers.remember_for, seconds(60), "as long as copies live");
    let http = config.cluster.http_client_options().unwrap();
    assert_eq!(
        (
            http.connect_timeout,
            http.remove_timeout,
            http.max_requests_per_peer,
            http.read_timeout
        ),
        (seconds(1), seconds(2), 3, seconds(4))
    );
    assert_eq!(
        (
            http.idle_per_peer,
            http.idle_timeout,
            http.unacknowledged_timeout,
            http.cluster.as_deref()
        ),
        (5, seconds(6), seconds(7), Some("blue"))
    );
    let batching = http.batching.unwrap();
    assert_eq!(
        (
            batching.requests_at_once,
            batching.smallest_batch,
            batching.longest_wait,
            batching.max_waiting
        ),
        (8, 9, Duration::from_millis(10), 11)
    );
    assert!(
        http.ping_timeout > seconds(2),
        "the health check gives up first"
    );
    assert_eq!(
        config.cluster.http_server_options().unwrap().body_timeout,
        seconds(8)
    );

    let alone = parsed("[cluster.client]\nbatching = false").unwrap();
    assert_eq!(alone.cluster.http_client_options().unwrap().batching, None);
    let grpc = parsed(
        "[cluster]\ntransport = \"grpc\"\n[cluster.client]\nkeep-alive-interval = \"1s\"\nkeep-alive-timeout = \"2s\"\n\
         connect-timeout = \"3s\"\nremove-timeout = \"4s\"\nmax-requests-per-peer = 5",
    )
    .unwrap();
    let grpc = grpc.cluster.grpc_client_options();
    assert_eq!(
        (
            grpc.keep_alive_interval,
            grpc.keep_alive_timeout,
            grpc.connect_timeout,
            grpc.remove_timeout
        ),
        (seconds(1), seconds(2), seconds(3), seconds(4))
    );
    assert_eq!(grpc.max_requests_per_peer, 5);
}

#[test]
fn a_group_is_bounded_as_configured() {
    let config = parsed(
        "[groups.scores]\norigin-grace = \"1s\"\nretry-after = \"2s\"\nstand-in-ttl = \"3s\"\nhand-over-timeout = \"4s\"\n\
         removal-timeout = \"5s\"\nmax-wait = \"6s\"\nmax-loads = 7\nmax-origin-loads = \"auto:8\"\ncircuit-breaker = false",
    )
    .unwrap();
    let limits = config.groups["scores"].limits();
    assert_eq!(
        (
            limits.origin_grace,
            limits.retry_after,
            limits.stand_in_ttl,
            limits.hand_over_timeout
        ),
        (Some(seconds(1)), seconds(2), seconds(3), seconds(4))
    );
    assert_eq!(
        (limits.removal_timeout, limits.max_wait),
        (seconds(5), Some(seconds(6)))
    );
    assert_eq!(
        (
            limits.max_loads,
            limits.max_origin_loads,
            limits.adapt_origin_loads,
            limits.circuit_breaker
        ),
        (7, 8, true, false)
    );
}

#[test]
fn origins_are_asked_as_configured() {
    let config = parsed(
        "[groups.a.origin]\nkind = \"http\"\nurl = \"http://h/{key}\"\nconnect-timeout = \"1s\"\nread-timeout = \"2s\"\n\
         max-idle-connections = 3\nidle-timeout = \"4s\"\nhonour-freshness = false\nheaders = { X-A = \"b\" }\n\
         [groups.b.origin]\nkind = \"sqlite\"\npath = \"p\"\nquery = \"q\"\nkey-type = \"blob\"\nread-only = false\n\
         max-connections = 2\nbusy-timeout = \"3s\"\nacquire-timeout = \"4s\"",
    )
    .unwrap();
    let Some(Origin::Http(http)) = &config.groups["a"].origin else {
        panic!("no http")
    };
    let http = http.options();
    assert_eq!(
        (
            http.connect_timeout,
            http.read_timeout,
            http.max_idle_connections,
            http.idle_timeout
        ),
        (seconds(1), seconds(2), 3, seconds(4))
    );
    assert_eq!(
        (http.honour_freshness, http.headers),
        (false, vec![("X-A".into(), "b".into())])
    );
    let Some(Origin::Sqlite(sqlite)) = &config.groups["b"].origin else {
        panic!("no sqlite")
    };
    let sqlite = sqlite.options(&config.groups["b"]);
    assert_eq!(
        (sqlite.key_type, sqlite.read_only, sqlite.max_connections),
        (gaggle_origin_sql::KeyType::Blob, false, 2)
    );
    assert_eq!(
        (sqlite.busy_timeout, sqlite.acquire_timeout),
        (seconds(3), seconds(4))
    );
}
