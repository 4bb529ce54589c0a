//! What of a group can be set, and changed while it serves.

use std::time::Duration;

use crate::{BuildError, FreshnessPolicy};

/// The bounds that a group keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest key, in bytes. Default 1 KiB.
    pub max_key: usize,
    /// The largest value, in bytes. Default 8 MiB.
    pub max_value: u64,
    /// How long a load may take once it asks the origin. A caller waits for so long and for
    /// `max_wait`. Default 5 s.
    pub load_timeout: Duration,
    /// The most loads that ask the origin at one time; others wait their turn, for `max_wait`.
    /// Loads that took too long count until the origin has answered, or is believed to have given
    /// up, too (`origin_grace`). Default 256.
    pub max_origin_loads: usize,
    /// Whether to find out by itself how many loads at a time the origin bears, up to
    /// `max_origin_loads`. Default false.
    pub adapt_origin_loads: bool,
    /// How long a load may wait before it asks the origin; then it is shed. Under overload it is
    /// shed sooner. Default, with `None`: a fifth of `load_timeout`.
    pub max_wait: Option<Duration>,
    /// For how long after `load_timeout` an origin that has not answered is taken to be at work on
    /// the load. Default, with `None`: one and a half times `load_timeout`, but between one second
    /// and five.
    pub origin_grace: Option<Duration>,
    /// Whether an origin that fails again and again is left alone for a moment, half a second to
    /// four. Default true.
    pub circuit_breaker: bool,
    /// The most loads under way, from the origin and from peers; a get beyond them is shed.
    /// Default 65,536.
    pub max_loads: usize,
    /// What a caller that is shed is told to wait. Default 1 s.
    pub retry_after: Duration,
    /// How long a value may be served that this node loaded in place of an owner that could not be
    /// asked. Such values are kept with the hot copies. Zero keeps none. Default 1 minute, as
    /// copies live.
    pub stand_in_ttl: Duration,
    /// How long a load waits for the node that kept the key before the ring changed, before it
    /// asks the origin. Default 250 ms.
    pub hand_over_timeout: Duration,
    /// How long a removal, or a value given to the owner of a key, waits for each of the other
    /// nodes, all at once. Default 1 s.
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

/// Longer spans are taken for this one: sums of times stay within what a clock can tell.
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

    /// How long a caller waits for an answer.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.load_timeout.saturating_add(self.wait_for_origin())
    }

    /// For how long after `load_timeout` a load counts as under way at the origin.
    pub(crate) fn grace(&self) -> Duration {
        let grace = self.load_timeout.saturating_mul(3) / 2;
        let bounded = grace.clamp(Duration::from_secs(1), Duration::from_secs(5));
        self.origin_grace.unwrap_or(bounded)
    }
}

/// Everything of a group that can change while it serves: what
/// [`Group::settings`](crate::Group::settings) tells and
/// [`Group::reconfigure`](crate::Group::reconfigure) takes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The bytes that the caches may hold: see
    /// [`GroupBuilder::capacity`](crate::GroupBuilder::capacity).
    pub capacity: u64,
    /// The bounds that it keeps.
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

    /// Whether a group can have them.
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

/// Why the settings of a group cannot change. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// No group could have these settings.
    #[error(transparent)]
    Invalid(#[from] BuildError),
    /// It is as it was made.
    #[error(
        "group {group}: {field} cannot change while it serves: its {store} store is of a fixed size"
    )]
    Fixed {
        /// The group's name.
        group: String,
        /// The field of [`Settings`].
        field: &'static str,
        /// Which of its stores it is.
        store: &'static str,
    },
}
