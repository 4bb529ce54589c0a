//! `/status`: the node, its ring and its groups as one JSON document.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use gaggle_console::quantile;
use gaggle_group::{
    ByteBudget, CacheStats, Contact, FollowStats, GetStats, Group, LoadStats, Member, OriginQueue,
    PeerRequests, Settings, Stats,
};
use serde::Serialize;

use super::Admin;
use crate::reply;

#[derive(Serialize)]
struct Status<'a> {
    node: Arc<str>,
    /// The base URL by which it is reached.
    address: Arc<str>,
    version: &'a str,
    state: &'static str,
    /// Of the configuration.
    generation: u64,
    ring: Ring,
    in_flight: InFlight,
    /// In seconds of Unix time.
    started: f64,
    uptime_seconds: f64,
    groups: BTreeMap<Arc<str>, GroupStatus>,
}

/// Bytes of bodies and values under way.
#[derive(Serialize, Default)]
struct InFlight {
    used: u64,
    /// `None` where there is none.
    limit: Option<u64>,
    peak: u64,
    refused: u64,
    waiting: usize,
}

#[derive(Serialize, Default)]
struct Ring {
    members: Vec<Arc<str>>,
    peers: Vec<PeerStatus>,
    hash: String,
    /// Nodes that have seen things otherwise for a while.
    disagreements: Vec<DisagreementStatus>,
}

#[derive(Serialize)]
struct DisagreementStatus {
    node: Arc<str>,
    how: String,
}

#[derive(Serialize)]
struct PeerStatus {
    name: Arc<str>,
    address: Arc<str>,
    up: bool,
    #[serde(rename = "self")]
    is_self: bool,
    requests: Ends,
}

#[derive(Serialize)]
struct GroupStatus {
    #[serde(flatten)]
    counters: Counters,
    contacts: Vec<ContactStatus>,
    settings: SettingsStatus,
    origin: OriginStatus,
}

/// What the group is set to. Times are `None` where there is none, or none is kept.
#[derive(Serialize)]
struct SettingsStatus {
    capacity_bytes: u64,
    ttl_seconds: Option<f64>,
    stale_while_revalidate_seconds: Option<f64>,
    stale_if_error_seconds: Option<f64>,
    negative_ttl_seconds: Option<f64>,
    hot_ttl_seconds: Option<f64>,
    max_value_bytes: u64,
    max_key_bytes: usize,
    load_timeout_seconds: f64,
    max_origin_loads: usize,
}

/// Who asks the origin, and who waits to.
#[derive(Serialize)]
struct OriginStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    limit: usize,
    running: usize,
    given_up: usize,
    waiting: usize,
    breaker: &'static str,
    breaker_opened: u64,
}

/// Gets from one kind of caller.
#[derive(Serialize)]
struct Gets {
    gets: u64,
    hits: u64,
}

/// When another node last told which removals it knows.
#[derive(Serialize)]
struct ContactStatus {
    node: Arc<str>,
    heard_seconds: Option<f64>,
}

/// A group's counters, each under the name that `/metrics` has for it without the prefix, with
/// labels as fields. Those that are no metric by themselves have the name of their field in
/// [`Stats`].
#[derive(Serialize)]
struct Counters {
    gets_total: u64,
    clients: Gets,
    peers: Gets,
    hits_total: PerCache<u64>,
    loads_total: PerSource<Ends>,
    loads_collapsed_total: u64,
    load_seconds: PerSource<Seconds>,
    loads_in_flight: usize,
    server_requests_total: u64,
    shed_total: u64,
    cache_bytes: PerCache<u64>,
    cache_entries: PerCache<usize>,
    cache_limit_bytes: u64,
    evictions_total: PerCache<Evictions>,
    values_refused_total: PerCache<u64>,
    stale_revalidating: u64,
    stale_failed_over: u64,
    refreshes: u64,
    not_modified: u64,
    removals: u64,
    taken_over: u64,
    hedges: u64,
    unvouched_drops: u64,
    warmed_total: Warmed,
    origin_batches: u64,
    origin_batched: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    follow: Option<Follow>,
}

/// Keys that were to be loaded before anybody asked for them.
#[derive(Serialize)]
struct Warmed {
    loaded: u64,
    absent: u64,
    failed: u64,
    skipped: u64,
}

/// What follows the changes of the group's source.
#[derive(Serialize)]
struct Follow {
    state: &'static str,
    lag_seconds: Option<f64>,
    behind_bytes: Option<u64>,
    changes: u64,
    keys_removed: u64,
    values_put: u64,
    group_removals: u64,
    failures: u64,
}

impl From<&FollowStats> for Follow {
    fn from(stats: &FollowStats) -> Self {
        Self {
            state: stats.state.as_str(),
            lag_seconds: stats.lag.map(|lag| lag.as_secs_f64()),
            behind_bytes: stats.behind_bytes,
            changes: stats.changes,
            keys_removed: stats.keys_removed,
            values_put: stats.values_put,
            group_removals: stats.group_removals,
            failures: stats.failures,
        }
    }
}

#[derive(Serialize)]
struct PerCache<T> {
    main: T,
    hot: T,
    absent: T,
}

#[derive(Serialize)]
struct PerSource<T> {
    origin: T,
    peer: T,
}

#[derive(Serialize)]
struct Ends {
    ok: u64,
    not_found: u64,
    error: u64,
}

#[derive(Serialize)]
struct Seconds {
    count: u64,
    sum: f64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

#[derive(Serialize)]
struct Evictions {
    capacity: u64,
    expired: u64,
    collision: u64,
}

pub(super) fn answer(admin: &Admin) -> Response {
    let ring = admin.groups.iter().next().map(|group| {
        let router = group.router();
        let members = router.members();
        Ring {
            members: members.iter().map(|member| member.name.clone()).collect(),
            peers: members.into_iter().map(PeerStatus::from).collect(),
            hash: router.digest(),
            disagreements: router
                .disagreements()
                .into_iter()
                .map(|found| DisagreementStatus {
                    node: found.node,
                    how: found.how,
                })
                .collect(),
        }
    });
    let router = admin.groups.iter().next().map(Group::router);
    let in_flight = admin.groups.iter().next();
    let in_flight = in_flight.map(|group| InFlight::from(group.in_flight()));
    let groups = admin
        .groups
        .iter()
        .map(|group| (group.name().clone(), GroupStatus::of(group, admin)));
    let status = Status {
        node: router
            .as_ref()
            .map_or_else(|| "".into(), |router| router.me()),
        address: router.map_or_else(|| "".into(), |router| router.address()),
        version: &admin.version,
        state: admin.readiness.as_str(),
        generation: admin.reload.generation(),
        ring: ring.unwrap_or_default(),
        in_flight: in_flight.unwrap_or_default(),
        started: admin.console.started(),
        uptime_seconds: admin.console.uptime().as_secs_f64(),
        groups: groups.collect(),
    };
    reply::json(StatusCode::OK, &status)
}

impl From<&ByteBudget> for InFlight {
    fn from(budget: &ByteBudget) -> Self {
        let limit = budget.limit();
        Self {
            used: budget.used(),
            limit: (limit < u64::MAX).then_some(limit),
            peak: budget.peak(),
            refused: budget.refused(),
            waiting: budget.waiting(),
        }
    }
}

impl From<Member> for PeerStatus {
    fn from(member: Member) -> Self {
        let PeerRequests {
            ok,
            not_found,
            error,
        } = member.requests;
        Self {
            name: member.name,
            address: member.address,
            up: member.up,
            is_self: member.is_self,
            requests: Ends {
                ok,
                not_found,
                error,
            },
        }
    }
}

impl GroupStatus {
    fn of(group: &Group, admin: &Admin) -> Self {
        let contacts = group.contacts().into_iter();
        let stats = group.stats();
        let kind = admin.origins.get(&**group.name()).cloned();
        Self {
            origin: OriginStatus::of(kind, stats.origin_queue),
            counters: stats.into(),
            contacts: contacts.map(ContactStatus::from).collect(),
            settings: group.settings().into(),
        }
    }
}

impl OriginStatus {
    fn of(kind: Option<String>, queue: OriginQueue) -> Self {
        Self {
            kind,
            limit: queue.limit,
            running: queue.running,
            given_up: queue.given_up,
            waiting: queue.waiting,
            breaker: if queue.breaker_open { "open" } else { "closed" },
            breaker_opened: queue.breaker_opened,
        }
    }
}

impl From<Settings> for SettingsStatus {
    fn from(settings: Settings) -> Self {
        let Settings {
            limits, freshness, ..
        } = &settings;
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let unless_zero = |time: Duration| seconds((!time.is_zero()).then_some(time));
        Self {
            capacity_bytes: settings.capacity,
            ttl_seconds: seconds(freshness.ttl),
            stale_while_revalidate_seconds: unless_zero(freshness.stale_while_revalidate),
            stale_if_error_seconds: unless_zero(freshness.stale_if_error),
            negative_ttl_seconds: seconds(freshness.negative_ttl),
            hot_ttl_seconds: unless_zero(freshness.hot_ttl),
            max_value_bytes: limits.max_value,
            max_key_bytes: limits.max_key,
            load_timeout_seconds: limits.load_timeout.as_secs_f64(),
            max_origin_loads: limits.max_origin_loads,
        }
    }
}

impl From<GetStats> for Gets {
    fn from(stats: GetStats) -> Self {
        Self {
            gets: stats.gets,
            hits: stats.hits,
        }
    }
}

impl From<Contact> for ContactStatus {
    fn from(contact: Contact) -> Self {
        Self {
            node: contact.peer,
            heard_seconds: contact.heard.map(|heard| heard.as_secs_f64()),
        }
    }
}

impl From<Stats> for Counters {
    fn from(stats: Stats) -> Self {
        let Stats { origin, peer, .. } = &stats;
        Self {
            gets_total: stats.gets,
            clients: stats.clients.into(),
            peers: stats.peers.into(),
            hits_total: PerCache::of(&stats, |cache| cache.store.hits),
            loads_total: PerSource::of(origin, peer, |loads| Ends {
                ok: loads.ok,
                not_found: loads.not_found,
                error: loads.error,
            }),
            loads_collapsed_total: stats.collapsed,
            load_seconds: PerSource::of(origin, peer, |loads| Seconds {
                count: loads.seconds.count(),
                sum: loads.seconds.sum,
                p50: quantile(&loads.seconds, 0.5),
                p90: quantile(&loads.seconds, 0.9),
                p99: quantile(&loads.seconds, 0.99),
            }),
            loads_in_flight: stats.loads_in_flight,
            server_requests_total: stats.server_requests,
            shed_total: stats.shed,
            cache_bytes: PerCache::of(&stats, |cache| cache.bytes),
            cache_entries: PerCache::of(&stats, |cache| cache.entries),
            cache_limit_bytes: stats.limit_bytes,
            evictions_total: PerCache::of(&stats, |cache| Evictions {
                capacity: cache.store.evicted_capacity,
                expired: cache.store.evicted_expired,
                collision: cache.store.evicted_collision,
            }),
            values_refused_total: PerCache::of(&stats, |cache| cache.store.refused),
            stale_revalidating: stats.stale_revalidating,
            stale_failed_over: stats.stale_failed_over,
            refreshes: stats.refreshes,
            not_modified: stats.not_modified,
            removals: stats.removals,
            taken_over: stats.taken_over,
            hedges: stats.hedges,
            unvouched_drops: stats.unvouched_drops,
            warmed_total: Warmed {
                loaded: stats.warm.loaded,
                absent: stats.warm.absent,
                failed: stats.warm.failed,
                skipped: stats.warm.skipped,
            },
            origin_batches: stats.origin_batches,
            origin_batched: stats.origin_batched,
            follow: stats.follow.as_ref().map(Follow::from),
        }
    }
}

impl<T> PerCache<T> {
    fn of(stats: &Stats, read: impl Fn(&CacheStats) -> T) -> Self {
        Self {
            main: read(&stats.main),
            hot: read(&stats.hot),
            absent: read(&stats.absent),
        }
    }
}

impl<T> PerSource<T> {
    fn of(origin: &LoadStats, peer: &LoadStats, read: impl Fn(&LoadStats) -> T) -> Self {
        Self {
            origin: read(origin),
            peer: read(peer),
        }
    }
}
