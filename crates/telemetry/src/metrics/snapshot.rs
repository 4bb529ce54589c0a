//! What a scrape reads: the groups' statistics, and the ring's members.

use std::collections::BTreeMap;
use std::env::consts::{ARCH, OS};
use std::sync::Arc;

use gaggle_group::{
    ByteBudget, CacheStats, FollowState, FollowStats, GetStats, Groups, LoadStats, Member, Router,
    Stats,
};

use super::BuildInfo;
use super::families::{Families, Source};

pub(super) struct Snapshots {
    pub(super) groups: Groups,
    pub(super) build: BuildInfo,
}

impl Source for Snapshots {
    fn collect(&self, families: &mut Families) {
        let groups: Vec<(Arc<str>, Stats)> = self
            .groups
            .iter()
            .map(|group| (group.name().clone(), group.stats()))
            .collect();
        gets(families, &groups);
        by_asker(families, &groups);
        loads(families, &groups);
        origins(families, &groups);
        followers(families, &groups);
        in_flight(families, &self.groups);
        removals(families, &groups);
        caches(families, &groups);
        ring(families, &Ring::of(&self.groups));
        families.info(
            "gaggle_build",
            "What is running, and on what.",
            ["version", "os", "arch"],
            [[&*self.build.version, OS, ARCH]],
        );
    }
}

type Stated = [(Arc<str>, Stats)];

fn gets(families: &mut Families, groups: &Stated) {
    families.counter(
        "gaggle_gets",
        "Gets, from callers here and from peers.",
        ["group"],
        per_group(groups, |stats| stats.gets),
    );
    families.counter(
        "gaggle_hits",
        "Gets answered from memory.",
        ["group", "cache"],
        per_cache(groups, |cache| cache.store.hits),
    );
    families.counter(
        "gaggle_server_requests",
        "Gets that came from peers.",
        ["group"],
        per_group(groups, |stats| stats.server_requests),
    );
    families.counter(
        "gaggle_shed",
        "Gets and loads refused: too many loads, a full queue for the origin, an origin that is left alone.",
        ["group"],
        per_group(groups, |stats| stats.shed),
    );
    families.counter(
        "gaggle_stale_served",
        "Gets served a value past its time to live.",
        ["group"],
        per_group(groups, |stats| {
            stats.stale_revalidating + stats.stale_failed_over
        }),
    );
    families.counter(
        "gaggle_stale_failed_over",
        "Those of them served because loading the value again failed.",
        ["group"],
        per_group(groups, |stats| stats.stale_failed_over),
    );
    families.counter(
        "gaggle_refreshes",
        "Loads begun in the background for a value that could still be served.",
        ["group"],
        per_group(groups, |stats| stats.refreshes),
    );
    families.counter(
        "gaggle_not_modified",
        "Loads that the origin answered by word that the value known here is still right.",
        ["group"],
        per_group(groups, |stats| stats.not_modified),
    );
}

/// The gets by who asks. A client that reaches a node which does not own the key makes two gets:
/// one of its own, and one of that node's to the owner. The ratio that clients see is therefore
/// that of their own gets alone.
fn by_asker(families: &mut Families, groups: &Stated) {
    families.counter(
        "gaggle_source_gets",
        "Gets, by who asked: a client of this node (or the program that it is part of), or a peer.",
        ["group", "source"],
        per_asker(groups).map(|(group, source, asked)| ([group, source], asked.gets)),
    );
    families.counter(
        "gaggle_source_hits",
        "Those of them that memory answered at once: with a fresh value, a known absence, or a stale value that is loaded again in the background.",
        ["group", "source"],
        per_asker(groups).map(|(group, source, asked)| ([group, source], asked.hits)),
    );
}

fn per_asker(groups: &Stated) -> impl Iterator<Item = (&str, &'static str, &GetStats)> {
    groups.iter().flat_map(|(group, stats)| {
        [
            (&**group, "client", &stats.clients),
            (&**group, "peer", &stats.peers),
        ]
    })
}

fn removals(families: &mut Families, groups: &Stated) {
    families.counter(
        "gaggle_removals",
        "Removals applied here: asked for here, told by another node, or learnt when catching up.",
        ["group"],
        per_group(groups, |stats| stats.removals),
    );
    families.counter(
        "gaggle_group_removals",
        "Those of them that removed the whole group.",
        ["group"],
        per_group(groups, |stats| stats.group_removals),
    );
    families.counter(
        "gaggle_removals_issued",
        "Removals that were asked for at this node: of keys, of the whole group, or by putting a value.",
        ["group", "kind"],
        groups.iter().flat_map(|(group, stats)| {
            let issued = &stats.issued;
            let kinds = [
                ("keys", issued.keys),
                ("group", issued.group),
                ("put", issued.puts),
            ];
            kinds.map(|(kind, count)| ([&**group, kind], count))
        }),
    );
    families.counter(
        "gaggle_removals_incomplete",
        "Those of them that could not be told to every other node. A node that was missed learns of a removal when it is in contact again.",
        ["group"],
        per_group(groups, |stats| stats.issued.incomplete),
    );
    families.counter(
        "gaggle_removal_missed_nodes",
        "The nodes that were missed, counted once for each removal.",
        ["group"],
        per_group(groups, |stats| stats.issued.missed),
    );
    families.histogram(
        "gaggle_removal_seconds",
        "How long it took until every node had applied a removal that was asked for here, in seconds. Those that missed a node are not in it.",
        ["group"],
        groups
            .iter()
            .map(|(group, stats)| ([&**group], stats.issued.seconds.clone())),
    );
    families.counter(
        "gaggle_unvouched_drops",
        "Times that everything was dropped, as removals were missed that are no longer listed.",
        ["group"],
        per_group(groups, |stats| stats.unvouched_drops),
    );
}

fn loads(families: &mut Families, groups: &Stated) {
    families.counter(
        "gaggle_loads",
        "Loads that ended, by where they went and how they ended.",
        ["group", "source", "result"],
        per_source(groups).flat_map(|(group, source, loads)| {
            let ends = [
                ("ok", loads.ok),
                ("not_found", loads.not_found),
                ("error", loads.error),
            ];
            ends.map(|(end, n)| ([group, source, end], n))
        }),
    );
    families.counter(
        "gaggle_loads_collapsed",
        "Gets that waited on a load which another had started.",
        ["group"],
        per_group(groups, |stats| stats.collapsed),
    );
    families.gauge(
        "gaggle_loads_in_flight",
        "Loads under way.",
        ["group"],
        per_group(groups, |stats| stats.loads_in_flight as u64),
    );
    families.histogram_with_exemplars(
        "gaggle_load_seconds",
        "How long loads took, in seconds.",
        ["group", "source"],
        per_source(groups).map(|(group, source, loads)| {
            let exemplars = loads.exemplars.clone();
            ([group, source], loads.seconds.clone(), exemplars)
        }),
    );
}

/// What asks the origins, and what spares them.
fn origins(families: &mut Families, groups: &Stated) {
    families.gauge(
        "gaggle_origin_loads_limit",
        "Loads that may ask the origin at one time, as of now.",
        ["group"],
        per_group(groups, |stats| stats.origin_queue.limit as u64),
    );
    families.gauge(
        "gaggle_origin_loads_running",
        "Loads that ask the origin, with those given up that it may still be at work on.",
        ["group"],
        per_group(groups, |stats| stats.origin_queue.running as u64),
    );
    families.gauge(
        "gaggle_origin_loads_given_up",
        "Those of them that took too long for whoever waited.",
        ["group"],
        per_group(groups, |stats| stats.origin_queue.given_up as u64),
    );
    families.gauge(
        "gaggle_origin_loads_waiting",
        "Loads that wait to ask the origin.",
        ["group"],
        per_group(groups, |stats| stats.origin_queue.waiting as u64),
    );
    families.gauge(
        "gaggle_breaker_open",
        "Whether the origin failed so often that it is asked little or nothing: 1 or 0.",
        ["group"],
        per_group(groups, |stats| u64::from(stats.origin_queue.breaker_open)),
    );
    families.counter(
        "gaggle_breaker_opened",
        "How often that has begun.",
        ["group"],
        per_group(groups, |stats| stats.origin_queue.breaker_opened),
    );
    families.counter(
        "gaggle_origin_key_faults",
        "Loads that the origin refused because of their key. They are among its errors.",
        ["group"],
        per_group(groups, |stats| stats.origin_key_faults),
    );
    families.counter(
        "gaggle_origin_batches",
        "Requests to the origin that asked for more than one key.",
        ["group"],
        per_group(groups, |stats| stats.origin_batches),
    );
    families.counter(
        "gaggle_origin_batched_keys",
        "The keys that they asked for.",
        ["group"],
        per_group(groups, |stats| stats.origin_batched),
    );
    families.counter(
        "gaggle_taken_over",
        "Values that came from the node that kept their keys before the ring changed.",
        ["group"],
        per_group(groups, |stats| stats.taken_over),
    );
    families.counter(
        "gaggle_hedges",
        "Requests to a second node, as the first was late.",
        ["group"],
        per_group(groups, |stats| stats.hedges),
    );
    families.counter(
        "gaggle_warmed",
        "Keys that were to be loaded before anybody asked for them, by what became of them.",
        ["group", "result"],
        groups.iter().flat_map(|(group, stats)| {
            let results = [
                ("loaded", stats.warm.loaded),
                ("absent", stats.warm.absent),
                ("failed", stats.warm.failed),
                ("skipped", stats.warm.skipped),
            ];
            results.map(|(result, count)| ([&**group, result], count))
        }),
    );
}

/// What follows the changes of the groups' sources. A group without that has no samples.
fn followers(families: &mut Families, groups: &Stated) {
    let states = [
        FollowState::Standby,
        FollowState::Connecting,
        FollowState::Following,
        FollowState::Failing,
    ];
    families.gauge(
        "gaggle_follow_state",
        "Whether this node follows the changes of the group's source: 1 for the state that it is in, 0 for others.",
        ["group", "state"],
        per_follower(groups).flat_map(|(group, follow)| {
            states.map(|state| {
                let labels = [group, state.as_str()];
                (labels, u64::from(follow.state == state))
            })
        }),
    );
    families.gauge(
        "gaggle_follow_lag_seconds",
        "For how long the oldest known change of the source has not been applied on every node, in seconds.",
        ["group"],
        per_follower(groups)
            .filter_map(|(group, follow)| Some(([group], follow.lag?.as_secs_f64()))),
    );
    families.gauge(
        "gaggle_follow_behind_bytes",
        "Bytes of its log that the source keeps for this node.",
        ["group"],
        per_follower(groups).filter_map(|(group, follow)| Some(([group], follow.behind_bytes?))),
    );
    let mut counter = |name, help, value: fn(&FollowStats) -> u64| {
        let samples = per_follower(groups);
        let samples = samples.map(|(group, follow)| ([group], value(follow)));
        families.counter(name, help, ["group"], samples);
    };
    counter(
        "gaggle_follow_changes",
        "Changes that the source told.",
        |follow| follow.changes,
    );
    counter(
        "gaggle_follow_keys_removed",
        "Keys removed as the source had changed.",
        |follow| follow.keys_removed,
    );
    counter(
        "gaggle_follow_values_put",
        "Values put in place of removed ones, as the source told them.",
        |follow| follow.values_put,
    );
    counter(
        "gaggle_follow_group_removals",
        "Times that the whole group was removed, as it could not be known what had changed, or all had.",
        |follow| follow.group_removals,
    );
    counter(
        "gaggle_follow_failures",
        "Times that the source was lost, or could not be reached.",
        |follow| follow.failures,
    );
}

fn per_follower(groups: &Stated) -> impl Iterator<Item = (&str, &FollowStats)> {
    groups
        .iter()
        .filter_map(|(group, stats)| Some((&**group, stats.follow.as_ref()?)))
}

/// The groups of a process share one budget.
fn in_flight(families: &mut Families, groups: &Groups) {
    let budget = groups.iter().next().map(|group| group.in_flight().clone());
    let one = |value: fn(&ByteBudget) -> u64| budget.iter().map(move |budget| ([], value(budget)));
    families.gauge(
        "gaggle_in_flight_bytes",
        "Bytes of values that are being loaded, fetched or sent.",
        [],
        one(ByteBudget::used),
    );
    families.gauge(
        "gaggle_in_flight_peak_bytes",
        "The most of them at one time since the start.",
        [],
        one(ByteBudget::peak),
    );
    families.gauge(
        "gaggle_in_flight_limit_bytes",
        "The most that there may be.",
        [],
        one(ByteBudget::limit),
    );
    families.counter(
        "gaggle_in_flight_refused",
        "Bodies and answers for which there was no room in time.",
        [],
        one(ByteBudget::refused),
    );
}

fn caches(families: &mut Families, groups: &Stated) {
    families.gauge(
        "gaggle_cache_bytes",
        "Bytes held: keys, values and the bookkeeping of both.",
        ["group", "cache"],
        per_cache(groups, |cache| cache.bytes),
    );
    families.gauge(
        "gaggle_cache_entries",
        "Entries held.",
        ["group", "cache"],
        per_cache(groups, |cache| cache.entries as u64),
    );
    families.gauge(
        "gaggle_cache_limit_bytes",
        "Bytes that all caches of the group may hold together.",
        ["group"],
        per_group(groups, |stats| stats.limit_bytes),
    );
    families.counter(
        "gaggle_evictions",
        "Entries that left a cache: for room, at the end of their time to live, or for a key with the same hash.",
        ["group", "cache", "reason"],
        all_caches(groups).flat_map(|(group, cache, stats)| {
            let store = &stats.store;
            let reasons = [
                ("capacity", store.evicted_capacity),
                ("expired", store.evicted_expired),
                ("collision", store.evicted_collision),
            ];
            reasons.map(|(reason, n)| ([group, cache, reason], n))
        }),
    );
    families.counter(
        "gaggle_values_refused",
        "Values that a cache did not take because they could never fit.",
        ["group", "cache"],
        per_cache(groups, |cache| cache.store.refused),
    );
}

fn ring(families: &mut Families, ring: &Ring) {
    let peers = || ring.members.values().filter(|member| !member.is_self);
    families.counter(
        "gaggle_peer_requests",
        "Requests to a peer that ended, by their end.",
        ["peer", "result"],
        peers().flat_map(|peer| {
            let asked = &peer.requests;
            let ends = [
                ("ok", asked.ok),
                ("not_found", asked.not_found),
                ("error", asked.error),
            ];
            ends.map(|(end, n)| ([&*peer.name, end], n))
        }),
    );
    families.gauge(
        "gaggle_peer_up",
        "Whether the peer is thought to be up: 1 or 0.",
        ["peer"],
        peers().map(|peer| ([&*peer.name], u64::from(peer.up))),
    );
    families.gauge(
        "gaggle_ring_members",
        "Members of the ring, this node included.",
        [],
        [([], ring.members.len() as u64)],
    );
    families.gauge(
        "gaggle_ring_disagreements",
        "Nodes that have seen another ring, profile, protocol or other groups than this one for a while.",
        [],
        [([], ring.disagreements as u64)],
    );
    families.info(
        "gaggle_ring",
        "Two nodes with the same hash place every key alike.",
        ["hash"],
        ring.digests.iter().map(|digest| [digest.as_str()]),
    );
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
) -> impl Iterator<Item = ([&'a str; 1], u64)> + 'a {
    groups
        .iter()
        .map(move |(group, stats)| ([&**group], read(stats)))
}

fn per_cache<'a>(
    groups: &'a Stated,
    read: impl Fn(&CacheStats) -> u64 + 'a,
) -> impl Iterator<Item = ([&'a str; 2], u64)> + 'a {
    all_caches(groups).map(move |(group, cache, stats)| ([group, cache], read(stats)))
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
