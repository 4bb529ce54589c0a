//! The followers of the groups' sources: the one place that knows the kinds.

use futures_util::future::join_all;
use gaggle_follow::{Follower, Options};
use gaggle_follow_files::FilesFeed;
use gaggle_follow_postgres::{NotifyFeed, OptionsError, ReplicationFeed};
use gaggle_group::{Group, Groups};

use crate::config::{Cluster, Config, ConfigError, Follow, Origin, Profile};

/// A feed that was made and has not connected yet.
pub(super) enum Feed {
    Replication(Box<ReplicationFeed>),
    Notify(Box<NotifyFeed>),
    Files { feed: FilesFeed, everywhere: bool },
}

/// The feeds of the groups that have one, by the groups' names.
pub(super) type Feeds = Vec<(String, Feed)>;

/// Makes them: checks their options and reads their files.
pub(super) fn prepare(config: &Config) -> Result<Feeds, ConfigError> {
    let mut feeds = Feeds::new();
    for (name, group) in &config.groups {
        if let Some(follow) = &group.follow {
            let feed = feed(config, name, follow, group.origin.as_ref())?;
            if let Some(slot) = feed.slot()
                && let Some((other, _)) = feeds.iter().find(|(_, other)| other.slot() == Some(slot))
            {
                let problem = format!("{slot:?} is the slot of the group {other:?} as well");
                return Err(ConfigError::new(
                    format!("groups.{name}.follow.slot"),
                    problem,
                ));
            }
            feeds.push((name.clone(), feed));
        }
    }
    if !feeds.is_empty() && config.cluster.profile == Profile::Groupcache {
        tracing::warn!(
            "nodes of golang/groupcache in the ring keep their copies of removed keys, so a followed group is up to date on Gaggle nodes only"
        );
    }
    Ok(feeds)
}

/// The default name of a group's slot or channel. Two clusters may share one database.
pub(crate) fn name_at_source(config: &Config, group: &str) -> String {
    let cluster = &config.cluster.name;
    if *cluster == Cluster::default().name {
        group.to_owned()
    } else {
        format!("{cluster}_{group}")
    }
}

fn feed(
    config: &Config,
    group: &str,
    follow: &Follow,
    origin: Option<&Origin>,
) -> Result<Feed, ConfigError> {
    let at_source = name_at_source(config, group);
    let field = |field: &str| format!("groups.{group}.follow.{field}");
    let table = format!("groups.{group}.origin");
    let origin_at = origin.map(|origin| (origin, table.as_str()));
    let refused =
        |failure: OptionsError| ConfigError::new(format!("groups.{group}.follow"), failure);
    Ok(match follow {
        Follow::Postgres(replication) => {
            let options = replication.options(origin_at, field)?;
            Feed::Replication(Box::new(
                ReplicationFeed::new(options, &at_source).map_err(refused)?,
            ))
        }
        Follow::PostgresNotify(notify) => {
            let options = notify.options(origin_at, field)?;
            Feed::Notify(Box::new(
                NotifyFeed::new(options, &at_source).map_err(refused)?,
            ))
        }
        Follow::Files(watch) => {
            let root = match (&watch.root, origin) {
                (Some(root), _) => root,
                (None, Some(Origin::Files(files))) => &files.root,
                (None, _) => return Err(ConfigError::new(field("root"), "missing")),
            };
            let feed =
                FilesFeed::new(root).map_err(|failure| ConfigError::new(field("root"), failure))?;
            Feed::Files {
                feed,
                everywhere: watch.everywhere,
            }
        }
    })
}

/// Those that follow.
pub(super) struct Followers(Vec<Follower>);

impl Followers {
    /// Starts following each feed, on whichever node leads.
    pub(super) fn start(feeds: Feeds, groups: &Groups) -> Self {
        let start = |(name, feed): (String, Feed)| Some(feed.start(groups.get(&name)?.clone()));
        Self(feeds.into_iter().filter_map(start).collect())
    }

    /// Releases the sources, so that other nodes can follow them. Takes a few seconds at most.
    pub(super) async fn stop(self) {
        join_all(self.0.into_iter().map(Follower::stop)).await;
    }
}

impl Feed {
    fn slot(&self) -> Option<&str> {
        match self {
            Self::Replication(feed) => Some(feed.slot()),
            Self::Notify(_) | Self::Files { .. } => None,
        }
    }

    fn start(self, group: Group) -> Follower {
        let options = Options::default();
        match self {
            Self::Replication(feed) => Follower::start(group, *feed, options),
            Self::Notify(feed) => Follower::start(group, *feed, options),
            Self::Files { feed, everywhere } => {
                let options = Options {
                    everywhere,
                    ..options
                };
                Follower::start(group, feed, options)
            }
        }
    }
}
