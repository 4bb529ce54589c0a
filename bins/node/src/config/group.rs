//! A table of `groups`: what one group keeps, for how long, and what it costs its origin.

use std::path::PathBuf;

use gaggle_group::{FreshnessPolicy, Limits};
use serde::{Deserialize, Serialize};

use super::units::{Size, Span};
use super::{Follow, Origin, OriginLoads};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Group {
    pub(crate) capacity: Size,
    pub(crate) store: Store,
    pub(crate) load_timeout: Span,
    pub(crate) max_key: Size,
    pub(crate) max_value: Size,
    /// Loads that may ask the origin at one time.
    pub(crate) max_origin_loads: OriginLoads,
    /// How long a load may wait for that; by default a fifth of `load-timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_wait: Option<Span>,
    /// How long after `load-timeout` an origin that has not answered is assumed to be working on
    /// the load; by default one and a half times `load-timeout`, but between one second and five.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin_grace: Option<Span>,
    /// Whether the circuit breaker stops asking an origin that fails repeatedly, for a moment.
    pub(crate) circuit_breaker: bool,
    /// Loads that may be under way, from the origin and from peers; gets beyond them are shed.
    pub(crate) max_loads: usize,
    /// The `Retry-After` of a caller that is shed.
    pub(crate) retry_after: Span,
    pub(crate) hot_copies: HotCopies,
    /// The longest that a copy of another node's key is kept.
    pub(crate) hot_ttl: Span,
    /// How long a value may be served that was loaded in place of an owner that could not be
    /// asked.
    pub(crate) stand_in_ttl: Span,
    /// How long a load waits for the node that kept the key before the ring changed.
    pub(crate) hand_over_timeout: Span,
    /// How long a removal waits for each of the other nodes.
    pub(crate) removal_timeout: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<Span>,
    /// The largest share by which a ttl is shortened at random.
    pub(crate) ttl_jitter: f64,
    pub(crate) stale_while_revalidate: Span,
    pub(crate) stale_if_error: Span,
    /// How long an absent key is known to be absent; by default each get asks the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) negative_ttl: Option<Span>,
    /// The last share of a ttl in which a hit starts a load.
    pub(crate) refresh_ahead: f64,
    pub(crate) freshness: Freshness,
    /// The `Cache-Control` of a value at the front door: `ttl`, or a text; by default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<String>,
    /// The file from which a start loads the keys that the previous run held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<PathBuf>,
    /// The time between one snapshot and the next; zero writes one at the end alone.
    pub(crate) snapshot_interval: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Origin>,
    /// The source of changes of the origin's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) follow: Option<Follow>,
}

impl Default for Group {
    fn default() -> Self {
        let limits = Limits::default();
        let policy = FreshnessPolicy::default();
        Self {
            capacity: Size(64 << 20),
            store: Store::default(),
            load_timeout: Span(limits.load_timeout),
            max_key: limits.max_key.into(),
            max_value: Size(limits.max_value),
            max_origin_loads: OriginLoads::default(),
            max_wait: limits.max_wait.map(Span),
            origin_grace: limits.origin_grace.map(Span),
            circuit_breaker: limits.circuit_breaker,
            max_loads: limits.max_loads,
            retry_after: Span(limits.retry_after),
            hot_copies: HotCopies::default(),
            hot_ttl: Span(policy.hot_ttl),
            stand_in_ttl: Span(limits.stand_in_ttl),
            hand_over_timeout: Span(limits.hand_over_timeout),
            removal_timeout: Span(limits.removal_timeout),
            ttl: policy.ttl.map(Span),
            ttl_jitter: policy.ttl_jitter,
            stale_while_revalidate: Span(policy.stale_while_revalidate),
            stale_if_error: Span(policy.stale_if_error),
            negative_ttl: policy.negative_ttl.map(Span),
            refresh_ahead: policy.refresh_ahead,
            freshness: Freshness::default(),
            cache_control: None,
            snapshot: None,
            snapshot_interval: Span::from_secs(300),
            origin: None,
            follow: None,
        }
    }
}

impl Group {
    /// The bounds of the group.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_key: self.max_key.length(),
            max_value: self.max_value.0,
            load_timeout: self.load_timeout.0,
            max_origin_loads: self.most_loads(),
            adapt_origin_loads: self.max_origin_loads.adapt,
            max_wait: self.max_wait.map(|wait| wait.0),
            origin_grace: self.origin_grace.map(|grace| grace.0),
            circuit_breaker: self.circuit_breaker,
            max_loads: self.max_loads,
            retry_after: self.retry_after.0,
            stand_in_ttl: self.stand_in_ttl.0,
            hand_over_timeout: self.hand_over_timeout.0,
            removal_timeout: self.removal_timeout.0,
        }
    }

    /// How long the group's values are served.
    pub(crate) fn freshness_policy(&self) -> FreshnessPolicy {
        FreshnessPolicy {
            ttl: self.ttl.map(|ttl| ttl.0),
            ttl_jitter: self.ttl_jitter,
            stale_while_revalidate: self.stale_while_revalidate.0,
            stale_if_error: self.stale_if_error.0,
            negative_ttl: self.negative_ttl.map(|ttl| ttl.0),
            refresh_ahead: self.refresh_ahead,
            hot_ttl: self.hot_ttl.0,
            origin_decides: self.freshness == Freshness::Origin,
        }
    }

    /// How many loads may ask the origin at one time: what is configured, and no more than the
    /// connections that a database has. Loads that wait for a connection would wait outside of the
    /// group's queue.
    fn most_loads(&self) -> usize {
        let most = self.max_origin_loads.most;
        let connections = match &self.origin {
            Some(Origin::Sqlite(sqlite)) => sqlite.max_connections,
            Some(Origin::Postgres(server) | Origin::Mysql(server)) => server.all_connections(),
            _ => return most,
        };
        most.min(usize::try_from(connections).unwrap_or(usize::MAX))
    }
}

/// Which freshness takes precedence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Freshness {
    /// The origin's, if it gives one.
    #[default]
    Origin,
    /// The group's, whatever the origin says.
    Group,
}

/// The store of the group's values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Store {
    /// Small values packed into pages.
    #[default]
    Paged,
    /// Each value by itself.
    Lru,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HotCopies {
    #[default]
    Worth,
    Sampled,
    Rate,
    Off,
}
