//! `/status`: the node, its ring and its groups as one JSON document.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use gaggle_group::{
    ByteBudget, CacheStats, Contact, FollowStats, Group, LoadStats, Member, PeerRequests, Stats,
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
}

/// When another node last told which removals it knows.
#[derive(Serialize)]
struct ContactStatus {
    node: Arc<str>,
    heard_seconds: Option<f64>,
}

/// A group's counters, each under the name that `/metrics` has for it without the prefix, with labels as fields. Those
/// that are no metric by themselves have the name of their field in [`Stats`].
#[derive(Serialize)]
struct Counters {
    gets_total: u64,
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
        .map(|group| (group.name().clone(), GroupStatus::from(group)));
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

impl From<&Group> for GroupStatus {
    fn from(group: &Group) -> Self {
        let contacts = group.contacts().into_iter();
        Self {
            counters: group.stats().into(),
            contacts: contacts.map(ContactStatus::from).collect(),
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
