//! What a node needs before it joins the cluster: its ports, its credentials and its origins. A
//! start makes it, and `gaggle-node check` makes it to find out whether a start would succeed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::Origin;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::followers::{self, Feeds};
use super::listeners::Listeners;
use super::{origins, snapshots};
use crate::config::{Config, ConfigError, Credentials, Place, is_own};

/// How long look-ups of names may take. A start does not wait longer for a name server that fails.
const LOOKUP: Duration = Duration::from_secs(5);

pub(super) struct Prepared {
    pub(super) listeners: Listeners,
    pub(super) credentials: Credentials,
    /// One for each group, in their order.
    pub(super) origins: Vec<Arc<dyn Origin>>,
    pub(super) feeds: Feeds,
}

impl Prepared {
    /// Reads the credentials, binds the ports and opens the origins.
    ///
    /// # Errors
    ///
    /// Everything that only a start can find wrong with a configuration.
    pub(super) async fn of(config: &Config) -> Result<Self, ConfigError> {
        let credentials = config.security.open()?;
        let listeners = Listeners::bind(config, &credentials).await?;
        is_listed(config).await?;
        snapshots::check(config)?;
        let mut opened = Vec::with_capacity(config.groups.len());
        for (name, group) in &config.groups {
            opened.push(origins::open(name, group).await?);
        }
        Ok(Self {
            listeners,
            credentials,
            origins: opened,
            feeds: followers::prepare(config)?,
        })
    }
}

/// Whether this node is in its own list of members, under any name or address.
pub(super) async fn is_listed(config: &Config) -> Result<(), ConfigError> {
    let listed = config.listed()?;
    let by_itself = |place: &Place| place.ip().is_some_and(is_own);
    if config.find_self(&listed, by_itself).is_ok() {
        return Ok(());
    }
    let mut own: HashSet<Place> = listed
        .iter()
        .filter(|place| by_itself(place))
        .cloned()
        .collect();
    for (place, found) in look_up(&listed).await {
        // A name that is not found now may be this node; the ring finds out later.
        if found.is_none_or(|found| found.into_iter().any(is_own)) {
            own.insert(place);
        }
    }
    config.find_self(&listed, |place| own.contains(place))
}

/// The addresses of each of the given names; `None` if there is no answer.
pub(super) async fn look_up(places: &[Place]) -> Vec<(Place, Option<Vec<std::net::IpAddr>>)> {
    let mut lookups = JoinSet::new();
    for place in places.iter().filter(|place| place.ip().is_none()) {
        let place = place.clone();
        lookups.spawn(async move {
            let name = (place.host.to_string(), place.port);
            let found = timeout(LOOKUP, lookup_host(name)).await;
            let found = found.ok().and_then(Result::ok);
            let found = found.map(|found| found.map(|address| address.ip()).collect());
            (place, found)
        });
    }
    lookups.join_all().await
}
