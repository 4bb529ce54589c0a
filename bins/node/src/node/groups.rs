//! The groups of the configuration: how they are made, and how they are changed.

use std::sync::Arc;

use gaggle_group::{
    ByWorth, ByteBudget, Clock, Group, HotCopies, LruStore, NoHotCopies, Origin, PagedStore,
    RequestRate, Sampled, Settings, Store,
};
use gaggle_peers::Peers;
use gaggle_telemetry::OpenTelemetry;

use crate::config::{self, ConfigError};

pub(super) fn build(
    name: &str,
    config: &config::Group,
    origin: Arc<dyn Origin>,
    peers: Peers,
    in_flight: ByteBudget,
) -> Result<Group, ConfigError> {
    let settings = settings(config);
    let clock = Clock::monotonic();
    let store = || store(config.store, settings.capacity, clock.clone());
    let group = Group::builder(name)
        .capacity(settings.capacity)
        .stores(store(), store())
        .clock(clock.clone())
        .limits(settings.limits)
        .freshness(settings.freshness)
        .in_flight(in_flight)
        .router(Arc::new(peers))
        // Without traces there are no spans, and this is never asked.
        .propagation(Arc::new(OpenTelemetry))
        .origin_arc(origin)
        .build()
        .map_err(|failure| ConfigError::new(format!("groups.{name}"), failure))?;
    group.set_hot_copies(hot_copies(config.hot_copies));
    Ok(group)
}

/// All that [`Group::reconfigure`] takes.
pub(super) fn settings(config: &config::Group) -> Settings {
    let mut settings = Settings::default();
    settings.capacity = config.capacity.0;
    settings.limits = config.limits();
    settings.freshness = config.freshness_policy();
    settings
}

fn store(kind: config::Store, capacity: u64, clock: Clock) -> Arc<dyn Store> {
    match kind {
        config::Store::Paged => Arc::new(PagedStore::new(capacity, clock)),
        config::Store::Lru => Arc::new(LruStore::new(capacity, clock)),
    }
}

pub(super) fn hot_copies(policy: config::HotCopies) -> Arc<dyn HotCopies> {
    match policy {
        config::HotCopies::Sampled => Arc::new(Sampled::default()),
        config::HotCopies::Rate => Arc::new(RequestRate::new(100, Clock::monotonic())),
        config::HotCopies::Worth => Arc::new(ByWorth::default()),
        config::HotCopies::Off => Arc::new(NoHotCopies),
    }
}
