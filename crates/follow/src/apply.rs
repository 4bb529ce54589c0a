//! Applies changes to the group.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use gaggle_group::{Entry, Error, Freshness, FreshnessPolicy, Group, Key, Removal};
use tracing::debug;

use crate::plan::Plan;
use crate::stats::Progress;

/// The number of values of one batch that are put at the same time.
const PUTS_AT_ONCE: usize = 16;

/// The result of a plan.
#[derive(Default)]
pub(crate) struct Applied {
    /// The nodes that missed some of its removals.
    pub(crate) missed: BTreeSet<Arc<str>>,
    /// Keys whose owner did not answer whether it has kept the new value. They are removed, but
    /// the value may reach the owner a moment after the removal.
    pub(crate) unsure: Vec<Key>,
}

/// Applies a plan on every node. Its removals are one message to each of them.
pub(crate) async fn apply(group: &Group, plan: Plan, progress: &Progress) -> Applied {
    let mut applied = Applied::default();
    if plan.all {
        applied.note(group.remove_group().await);
        Progress::count(&progress.group_removals, 1);
    }
    let mut keys = plan.keys;
    if !plan.puts.is_empty() {
        let settings = group.settings();
        let (policy, most) = (&settings.freshness, settings.limits.max_value);
        let puts = stream::iter(plan.puts).map(async |(key, value)| {
            // A value that the group would not keep is loaded, and refused, at the next get.
            if u64::try_from(value.len()).is_ok_and(|len| len > most) {
                return Err((key, false));
            }
            let entry = Entry::value(value).with_freshness(freshness(policy));
            match group.put(&key, entry).await {
                Ok(removal) => Ok(removal),
                Err(error) => {
                    debug!(group = %group.name(), %error, "a value could not be put");
                    Err((key, matches!(error, Error::Owner { .. })))
                }
            }
        });
        let mut outcomes = std::pin::pin!(puts.buffer_unordered(PUTS_AT_ONCE));
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(removal) => {
                    Progress::count(&progress.values_put, 1);
                    applied.note(removal);
                }
                Err((key, unsure)) => {
                    if unsure {
                        applied.unsure.push(key.clone());
                    }
                    keys.push(key);
                }
            }
        }
    }
    if !keys.is_empty() {
        applied.note(group.remove_many(&keys).await);
        Progress::count(&progress.keys_removed, keys.len());
    }
    applied
}

impl Applied {
    fn note(&mut self, removal: Removal) {
        let missed = removal.missed.into_iter().map(|missed| missed.peer);
        self.missed.extend(missed);
    }
}

/// Removes keys that may have been given a value that is not their latest one.
pub(crate) async fn remove_all(group: &Group, keys: &[Key], progress: &Progress) {
    for some in keys.chunks(1_024) {
        let removal = group.remove_many(some).await;
        Progress::count(&progress.keys_removed, some.len());
        if !removal.missed.is_empty() {
            debug!(group = %group.name(), nodes = removal.missed.len(), "nodes are to learn of removals later");
        }
    }
}

/// For how long a value that is put now is served: as long as one that is loaded now.
fn freshness(policy: &FreshnessPolicy) -> Freshness {
    let jitter = policy.ttl_jitter.clamp(0.0, 1.0);
    let ttl = policy
        .ttl
        .map(|ttl| ttl.mul_f64(1.0 - jitter * fastrand::f64()));
    Freshness::until(ttl)
        .stale_while_revalidate(policy.stale_while_revalidate)
        .stale_if_error(policy.stale_if_error)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_value_that_is_put_lives_as_one_that_is_loaded() {
        let policy = FreshnessPolicy {
            ttl: Some(Duration::from_secs(100)),
            stale_if_error: Duration::from_secs(7),
            ..FreshnessPolicy::default()
        };
        let put = freshness(&policy);
        let ttl = put.ttl.unwrap();
        assert!(
            ttl >= Duration::from_secs(90) && ttl <= Duration::from_secs(100),
            "{ttl:?}"
        );
        assert_eq!(put.error_window(), Duration::from_secs(7));
        assert_eq!(freshness(&FreshnessPolicy::default()).ttl, None);
    }
}
