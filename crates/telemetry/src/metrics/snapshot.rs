//! What a scrape reads: the groups' statistics, and the ring's members.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gaggle_group::{
    ByteBudget, CacheStats, FollowState, FollowStats, Groups, LoadStats, Member, Router, Stats,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::BuildInfo;
use super::families::Families;

pub(super) struct Snapshots {
    pub(super) groups: Groups,
    pub(super) build: BuildInfo,
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots")
            .field("build", &self.build)
            .finish_non_exhaustive()
    }
}

impl Collector for Snapshots {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { encoder };
        let groups: Vec<(Arc<str>, Stats)> = self
            .groups
            .iter()
            .map(|group| (group.name().clone(), group.stats()))
            .collect();
        gets(&mut families, &groups)?;
        loads(&mut families, &groups)?;
        origins(&mut families, &groups)?;
        followers(&mut families, &groups)?;
        in_flight(&mut families, &self.groups)?;
        removals(&mut families, &groups)?;
        caches(&mut families, &groups)?;
        ring(&mut families, &Ring::of(&self.groups))?;
        families.info(
            "gaggle_build",
            "What is running.",
            "version",
            [&*self.build.version],
        )
    }
}

type Stated = [(Arc<str>, Stats)];

fn gets(families: &mut Families<'_>, groups: &Stated) -> fmt::Result {
    families.counter(
        "gaggle_gets",
        "Gets, from callers here and from peers.",
        per_group(groups, |stats| stats.gets),
    )?;
    families.counter(
        "gaggle_hits",
        "Gets answered from memory.",
        per_cache(groups, |cache| cache.store.hits),
    )?;
    families.counter(
        "gaggle_server_requests",
        "Gets that came from peers.",
        per_group(groups, |stats| stats.server_requests),
    )?;
    families.counter(
        "gaggle_shed",
        "Gets and loads refused: too many loads, a full queue for the origin, an origin that is left alone.",
        per_group(groups, |stats| stats.shed),
    )?;
    families.counter(
        "gaggle_stale_served",
        "Gets served a value past its time to live.",
        per_group(groups, |stats| {
            stats.stale_revalidating + stats.stale_failed_over
        }),
    )?;
    families.counter(
        "gaggle_stale_failed_over",
        "Those of them served because loading the value again failed.",
        per_group(groups, |stats| stats.stale_failed_over),
    )?;
    families.counter(
        "gaggle_refreshes",
        "Loads begun in the background for a value that could still be served.",
        per_group(groups, |stats| stats.refreshes),
    )?;
    families.counter(
        "gaggle_not_modified",
        "Loads that the origin answered by word that the value known here is still right.",
        per_group(groups, |stats| stats.not_modified),
    )
}

fn removals(families: &mut Families<'_>, groups: &Stated) -> fmt::Result {
    families.counter(
        "gaggle_removals",
        "Removals applied here: issued here, told by another node, or learnt when catching up.",
        per_group(groups, |stats| stats.removals),
    )?;
    families.counter(
        "gaggle_unvouched_drops",
        "Times that everything was dropped, as removals were missed that are no longer listed.",
        per_group(groups, |stats| stats.unvouched_drops),
    )
}

fn loads(families: &mut Families<'_>, groups: &Stated) -> fmt::Result {
    families.counter(
        "gaggle_loads",
        "Loads that ended, by where they went and how they ended.",
        per_source(groups).flat_map(|(group, source, loads)| {
            let ends = [
                ("ok", loads.ok),
                ("not_found", loads.not_found),
                ("error", loads.error),
            ];
            ends.map(|(end, n)| ([("group", group), ("source", source), ("result", end)], n))
        }),
    )?;
    families.counter(
        "gaggle_loads_collapsed",
        "Gets that waited on a load which another had started.",
        per_group(groups, |stats| stats.collapsed),
    )?;
    families.gauge(
        "gaggle_loads_in_flight",
        "Loads under way.",
        per_group(groups, |stats| stats.loads_in_flight as u64),
    )?;
    families.histogram(
        "gaggle_load_seconds",
        "How long loads took, in seconds.",
        per_source(groups)
            .map(|(group, source, loads)| ([("group", group), ("source", source)], &loads.seconds)),
    )
}

/// What asks the origins, and what spares them.
fn origins(families: &mut Families<'_>, groups: &Stated) -> fmt::Result {
    families.gauge(
        "gaggle_origin_loads_limit",
        "Loads that may ask the origin at one time, as of now.",
        per_group(groups, |stats| stats.origin_queue.limit as u64),
    )?;
    families.gauge(
        "gaggle_origin_loads_running",
        "Loads that ask the origin, with those given up that it may still be at work on.",
        per_group(groups, |stats| stats.origin_queue.running as u64),
    )?;
    families.gauge(
        "gaggle_origin_loads_given_up",
        "Those of them that took too long for whoever waited.",
        per_group(groups, |stats| stats.origin_queue.given_up as u64),
    )?;
    families.gauge(
        "gaggle_origin_loads_waiting",
        "Loads that wait to ask the origin.",
        per_group(groups, |stats| stats.origin_queue.waiting as u64),
    )?;
    families.gauge(
        "gaggle_breaker_open",
        "Whether the origin failed so often that it is asked little or nothing: 1 or 0.",
        per_group(groups, |stats| u64::from(stats.origin_queue.breaker_open)),
    )?;
    families.counter(
        "gaggle_breaker_opened",
        "How often that has begun.",
        per_group(groups, |stats| stats.origin_queue.breaker_opened),
    )?;
    families.counter(
        "gaggle_origin_batches",
        "Requests to the origin that asked for more than one key.",
        per_group(groups, |stats| stats.origin_batches),
    )?;
    families.counter(
        "gaggle_origin_batched_keys",
        "The keys that they asked for.",
        per_group(groups, |stats| stats.origin_batched),
    )?;
    families.counter(
        "gaggle_taken_over",
        "Values that came from the node that kept their keys before the ring changed.",
        per_group(groups, |stats| stats.taken_over),
    )?;
    families.counter(
        "gaggle_hedges",
        "Requests to a second node, as the first was late.",
        per_group(groups, |stats| stats.hedges),
    )?;
    families.counter(
        "gaggle_warmed",
        "Keys that were to be loaded before anybody asked for them, by what became of them.",
        groups.iter().flat_map(|(group, stats)| {
            let results = [
                ("loaded", stats.warm.loaded),
                ("absent", stats.warm.absent),
                ("failed", stats.warm.failed),
                ("skipped", stats.warm.skipped),
            ];
            results.map(|(result, count)| ([("group", &**group), ("result", result)], count))
        }),
    )
}

/// What follows the changes of the groups' sources. A group without that has no samples.
fn followers(families: &mut Families<'_>, groups: &Stated) -> fmt::Result {
    let states = [
        FollowState::Standby,
        FollowState::Connecting,
        FollowState::Following,
        FollowState::Failing,
    ];
    families.gauge(
        "gaggle_follow_state",
        "Whether this node follows the changes of the group's source: 1 for the state that it is in, 0 for others.",
        per_follower(groups).flat_map(|(group, follow)| {
            states.map(|state| {
                let labels = [("group", group), ("state", state.as_str())];
                (labels, u64::from(follow.state == state))
            })
        }),
    )?;
    families.seconds(
        "gaggle_follow_lag_seconds",
        "For how long the oldest known change of the source has not been applied on every node, in seconds.",
        per_follower(groups)
            .filter_map(|(group, follow)| Some(([("group", group)], follow.lag?.as_secs_f64()))),
    )?;
    families.gauge(
        "gaggle_follow_behind_bytes",
        "Bytes of its log that the source keeps for this node.",
        per_follower(groups)
            .filter_map(|(group, follow)| Some(([("group", group)], follow.behind_bytes?))),
    )?;
    let mut counter = |name, help, value: fn(&FollowStats) -> u64| {
        let samples = per_follower(groups);
        let samples = samples.map(|(group, follow)| ([("group", group)], value(follow)));
        families.counter(name, help, samples)
    };
    counter(
        "gaggle_follow_changes",
        "Changes that the source told.",
        |follow| follow.changes,
    )?;
    counter(
        "gaggle_follow_keys_removed",
        "Keys removed as the source had changed.",
        |follow| follow.keys_removed,
    )?;
    counter(
        "gaggle_follow_values_put",
        "Values put in place of removed ones, as the source told them.",
        |follow| follow.values_put,
    )?;
    counter(
        "gaggle_follow_group_removals",
        "Times that the whole group was removed, as it could not be known what had changed, or all had.",
        |follow| follow.group_removals,
    )?;
    counter(
        "gaggle_follow_failures",
        "Times that the source was lost, or could not be reached.",
        |follow| follow.failures,
    )
}

fn per_follower(groups: &Stated) -> impl Iterator<Item = (&str, &FollowStats)> {
    groups
        .iter()
        .filter_map(|(group, stats)| Some((&**group, stats.follow.as_ref()?)))
}

/// The groups of a process share one budget.
fn in_flight(families: &mut Families<'_>, groups: &Groups) -> fmt::Result {
    let budget = groups.iter().next().map(|group| group.in_flight().clone());
    let one = |value: fn(&ByteBudget) -> u64| budget.iter().map(move |budget| ([], value(budget)));
    families.gauge(
        "gaggle_in_flight_bytes",
        "Bytes of values that are being loaded, fetched or sent.",
        one(ByteBudget::used),
    )?;
    families.gauge(
        "gaggle_in_flight_peak_bytes",
        "The most of them at one time since the start.",
        one(ByteBudget::peak),
    )?;
    families.gauge(
        "gaggle_in_flight_limit_bytes",
        "The most that there may be.",
        one(ByteBudget::limit),
    )?;
    families.counter(
        "gaggle_in_flight_refused",
        "Bodies and answers for which there was no room in time.",
        one(ByteBudget::refused),
    )
}

fn caches(families: &mut Families<'_>, groups: &Stated) -> fmt::Result {
    families.gauge(
        "gaggle_cache_bytes",
        "Bytes held: keys, values and the bookkeeping of both.",
        per_cache(groups, |cache| cache.bytes),
    )?;
    families.gauge(
        "gaggle_cache_entries",
        "Entries held.",
        per_cache(groups, |cache| cache.entries as u64),
    )?;
    families.gauge(
        "gaggle_cache_limit_bytes",
        "Bytes that all caches of the group may hold together.",
        per_group(groups, |stats| stats.limit_bytes),
    )?;
    families.counter(
        "gaggle_evictions",
        "Entries that left a cache: for room, at the end of their time to live, or for a key with the same hash.",
        all_caches(groups).flat_map(|(group, cache, stats)| {
            let store = &stats.store;
            let reasons = [
                ("capacity", store.evicted_capacity),
                ("expired", store.evicted_expired),
                ("collision", store.evicted_collision),
            ];
            reasons.map(|(reason, n)| ([("group", group), ("cache", cache), ("reason", reason)], n))
        }),
    )?;
    families.counter(
        "gaggle_values_refused",
        "Values that a cache did not take because they could never fit.",
        per_cache(groups, |cache| cache.store.refused),
    )
}

fn ring(families: &mut Families<'_>, ring: &Ring) -> fmt::Result {
    let peers = || ring.members.values().filter(|member| !member.is_self);
    families.counter(
        "gaggle_peer_requests",
        "Requests to a peer that ended, by their end.",
        peers().flat_map(|peer| {
            let asked = &peer.requests;
            let ends = [
                ("ok", asked.ok),
                ("not_found", asked.not_found),
                ("error", asked.error),
            ];
            ends.map(|(end, n)| ([("peer", &*peer.name), ("result", end)], n))
        }),
    )?;
    families.gauge(
        "gaggle_peer_up",
        "Whether the peer is thought to be up: 1 or 0.",
        peers().map(|peer| ([("peer", &*peer.name)], u64::from(peer.up))),
    )?;
    families.gauge(
        "gaggle_ring_members",
        "Members of the ring, this node included.",
        [([], ring.members.len() as u64)],
    )?;
    families.gauge(
        "gaggle_ring_disagreements",
        "Nodes that have seen another ring, profile, protocol or other groups than this one for a while.",
        [([], ring.disagreements as u64)],
    )?;
    families.info(
        "gaggle_ring",
        "Two nodes with the same hash place every key alike.",
        "hash",
        ring.digests.iter().map(String::as_str),
    )
}

/// The ring that the groups share. Where they do not share one, the union of theirs.
#[derive(Default)]
struct Ring {
    members: BTreeMap<Arc<str>, Member>,
    digests: Vec<String>,
    disagreements: usize,
}

impl Ring {
    fn of(groups: &Groups) -> Self {
        let mut ring = Self::default();
        let mut seen: Vec<Arc<dyn Router>> = Vec::new();
        for group in groups.iter() {
            let router = group.router();
            // The common case: one router for all groups is asked once.
            if seen.iter().any(|other| Arc::ptr_eq(other, &router)) {
                continue;
            }
            ring.disagreements += router.disagreements().len();
            for member in router.members() {
                ring.members.entry(member.name.clone()).or_insert(member);
            }
            let digest = router.digest();
            if !ring.digests.contains(&digest) {
                ring.digests.push(digest);
            }
            seen.push(router);
        }
        ring
    }
}

fn per_group<'a>(
    groups: &'a Stated,
    read: impl Fn(&Stats) -> u64 + 'a,
) -> impl Iterator<Item = ([(&'static str, &'a str); 1], u64)> + 'a {
    groups
        .iter()
        .map(move |(group, stats)| ([("group", &**group)], read(stats)))
}

fn per_cache<'a>(
    groups: &'a Stated,
    read: impl Fn(&CacheStats) -> u64 + 'a,
) -> impl Iterator<Item = ([(&'static str, &'a str); 2], u64)> + 'a {
    all_caches(groups)
        .map(move |(group, cache, stats)| ([("group", group), ("cache", cache)], read(stats)))
}

fn all_caches(groups: &Stated) -> impl Iterator<Item = (&str, &'static str, &CacheStats)> {
    groups.iter().flat_map(|(group, stats)| {
        [
            (&**group, "main", &stats.main),
            (&**group, "hot", &stats.hot),
            (&**group, "absent", &stats.absent),
        ]
    })
}

fn per_source(groups: &Stated) -> impl Iterator<Item = (&str, &'static str, &LoadStats)> {
    groups.iter().flat_map(|(group, stats)| {
        [
            (&**group, "origin", &stats.origin),
            (&**group, "peer", &stats.peer),
        ]
    })
}
