//! The settings of a group, which can change while it serves.

use std::time::Duration;

use crate::{BuildError, FreshnessPolicy};

/// The bounds of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest key, in bytes. Default 1 KiB.
    pub max_key: usize,
    /// The largest value, in bytes. Default 8 MiB.
    pub max_value: u64,
    /// The timeout of a load once it asks the origin. A caller waits that long plus `max_wait`.
    /// Default 5 s.
    pub load_timeout: Duration,
    /// The most loads that ask the origin concurrently; others wait for at most `max_wait`. Loads
    /// that timed out count until the origin has answered, or is assumed to have given up, too
    /// (`origin_grace`). Default 256.
    pub max_origin_loads: usize,
    /// Whether to find out automatically how many concurrent loads the origin can serve, up to
    /// `max_origin_loads`. Default false.
    pub adapt_origin_loads: bool,
    /// How long a load may wait before it asks the origin; then it is shed. Under overload it is
    /// shed sooner. `None`, the default: a fifth of `load_timeout`.
    pub max_wait: Option<Duration>,
    /// How long after `load_timeout` an origin that has not answered is assumed to be still
    /// working on the load. `None`, the default: one and a half times `load_timeout`, but between
    /// one second and five.
    pub origin_grace: Option<Duration>,
    /// Whether a circuit breaker stops requests to a failing origin for a short time, half a
    /// second to four. Default true.
    pub circuit_breaker: bool,
    /// The most running loads, from the origin and from peers; a get beyond them is shed. Default
    /// 65,536.
    pub max_loads: usize,
    /// The retry delay that a shed caller gets. Default 1 s.
    pub retry_after: Duration,
    /// How long a value may be served that this node loaded in place of an owner that could not be
    /// reached. Such values are kept with the hot copies. Zero keeps none. Default 1 minute, the
    /// lifetime of copies.
    pub stand_in_ttl: Duration,
    /// How long a load waits for the node that kept the key before the ring changed, before it
    /// asks the origin. Default 250 ms.
    pub hand_over_timeout: Duration,
    /// How long a removal, or a put to the owner of a key, waits for the other nodes, which are
    /// asked concurrently. Default 1 s.
    pub removal_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_key: 1 << 10,
            max_value: 8 << 20,
            load_timeout: Duration::from_secs(5),
            max_origin_loads: 256,
            adapt_origin_loads: false,
            max_wait: None,
            origin_grace: None,
            circuit_breaker: true,
            max_loads: 1 << 16,
            retry_after: Duration::from_secs(1),
            stand_in_ttl: Duration::from_secs(60),
            hand_over_timeout: Duration::from_millis(250),
            removal_timeout: Duration::from_secs(1),
        }
    }
}

/// Longer spans are reduced to this one: sums of times stay within the range of the clock.
pub(crate) const AGES: Duration = Duration::from_secs(60 * 60 * 24 * 365);

impl Limits {
    pub(crate) fn bounded(self) -> Self {
        Self {
            load_timeout: self.load_timeout.min(AGES),
            max_wait: self.max_wait.map(|wait| wait.min(AGES)),
            origin_grace: self.origin_grace.map(|grace| grace.min(AGES)),
            hand_over_timeout: self.hand_over_timeout.min(AGES),
            removal_timeout: self.removal_timeout.min(AGES),
            ..self
        }
    }

    /// How long a load may wait before it asks the origin.
    #[must_use]
    pub fn wait_for_origin(&self) -> Duration {
        self.max_wait.unwrap_or(self.load_timeout / 5)
    }

    /// The longest wait of a caller for an answer.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.load_timeout.saturating_add(self.wait_for_origin())
    }

    /// How long after `load_timeout` a load counts as running at the origin.
    pub(crate) fn grace(&self) -> Duration {
        let grace = self.load_timeout.saturating_mul(3) / 2;
        let bounded = grace.clamp(Duration::from_secs(1), Duration::from_secs(5));
        self.origin_grace.unwrap_or(bounded)
    }
}

/// All settings of a group that can change while it serves:
/// [`Group::settings`](crate::Group::settings) returns them and
/// [`Group::reconfigure`](crate::Group::reconfigure) changes them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The bytes that the caches may hold: see
    /// [`GroupBuilder::capacity`](crate::GroupBuilder::capacity).
    pub capacity: u64,
    /// The bounds of the group.
    pub limits: Limits,
    /// How long it serves what it loads.
    pub freshness: FreshnessPolicy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 64 << 20,
            limits: Limits::default(),
            freshness: FreshnessPolicy::default(),
        }
    }
}

impl Settings {
    pub(crate) fn bounded(self) -> Self {
        Self {
            limits: self.limits.bounded(),
            ..self
        }
    }

    /// Whether a group can have these settings.
    pub(crate) fn check(&self, group: &str) -> Result<(), BuildError> {
        let bounds = [
            ("capacity", self.capacity == 0),
            ("max_value", self.limits.max_value == 0),
            ("load_timeout", self.limits.load_timeout.is_zero()),
            ("max_origin_loads", self.limits.max_origin_loads == 0),
            ("max_loads", self.limits.max_loads == 0),
            ("ttl", self.freshness.ttl.is_some_and(|ttl| ttl.is_zero())),
        ];
        if let Some((field, _)) = bounds.into_iter().find(|(_, zero)| *zero) {
            return Err(BuildError::Zero {
                group: group.to_owned(),
                field,
            });
        }
        let shares = [
            ("ttl_jitter", self.freshness.ttl_jitter),
            ("refresh_ahead", self.freshness.refresh_ahead),
        ];
        if let Some((field, _)) = shares.into_iter().find(|(_, s)| !(0.0..=1.0).contains(s)) {
            return Err(BuildError::NoShare {
                group: group.to_owned(),
                field,
            });
        }
        Ok(())
    }
}

/// Why the settings of a group cannot change. They are unchanged then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// No group could have these settings.
    #[error(transparent)]
    Invalid(#[from] BuildError),
    /// A store's capacity is fixed.
    #[error(
        "group {group}: {field} cannot change while it serves: its {store} store is of a fixed size"
    )]
    Fixed {
        /// The group's name.
        group: String,
        /// The field of [`Settings`].
        field: &'static str,
        /// The store.
        store: &'static str,
    },
}
