//! Reports between nodes, for operators: the state of a node, and its entry of a key.

use std::sync::Arc;
use std::time::Duration;

use crate::{Group, Groups, Key, Source};

/// An operator's question to a node. It changes nothing and counts as no get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inspect<'a> {
    /// The state of the node.
    Report,
    /// The entry of a key in the node's memory.
    Held {
        /// The group's name.
        group: &'a str,
        /// The key.
        key: &'a Key,
    },
}

/// The answer to an [`Inspect`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Inspected {
    /// The state of the node.
    Report(Report),
    /// Its entry of the key in memory, if any.
    Held(Option<Held>),
}

/// A short report on a node.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The program's description of itself.
    pub about: About,
    /// The digest of its ring.
    pub ring: Arc<str>,
    /// The members of that ring.
    pub members: Vec<ReportedMember>,
    /// Its groups.
    pub groups: Vec<ReportedGroup>,
    /// Whether members or groups were left out, because the report would have been too long.
    pub is_cut: bool,
}

/// The description of a program that serves groups: [`Groups::set_about`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// The version of the program; empty if unknown.
    pub version: Arc<str>,
    /// Whether it accepts traffic, such as `ready`; empty if unknown.
    pub state: Arc<str>,
    /// The generation of its configuration: 1 for the first.
    pub generation: u64,
    /// How long it has run.
    pub uptime: Duration,
    /// The base URL of its admin port, if other machines can reach it.
    pub admin: Option<Arc<str>>,
}

/// A member of the ring from the point of view of another node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedMember {
    /// Its name.
    pub name: Arc<str>,
    /// Whether that node assumes that it is up.
    pub up: bool,
}

impl ReportedMember {
    /// A member of that name that is up, or not.
    pub fn new(name: impl Into<Arc<str>>, up: bool) -> Self {
        Self {
            name: name.into(),
            up,
        }
    }
}

/// A short report on a group of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedGroup {
    /// Its name.
    pub name: Arc<str>,
    /// Gets of any kind since it was made.
    pub gets: u64,
    /// The number of these that were answered from memory.
    pub hits: u64,
    /// Gets of callers on that node, without those of peers.
    pub client_gets: u64,
    /// The number of these that were answered from memory.
    pub client_hits: u64,
    /// The bytes that it holds.
    pub bytes: u64,
    /// The bytes that it may hold.
    pub limit_bytes: u64,
    /// The values and the known absences that it holds.
    pub entries: u64,
    /// Running loads, from the origin and from peers.
    pub loads_in_flight: u64,
}

/// A node's entry of a key in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The cache that has it.
    pub tier: HeldIn,
    /// The length of the value, in bytes; 0 for an absence.
    pub bytes: u64,
    /// How old the value is, since its origin made it, if that is known.
    pub age: Option<Duration>,
    /// How much longer it is fresh; `None` if it stays fresh.
    pub fresh: Option<Duration>,
    /// Whether it is past that time.
    pub stale: bool,
}

/// One of a group's caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldIn {
    /// The cache of the keys that the node owns.
    Main,
    /// The cache of copies of other nodes' keys.
    Hot,
    /// The cache of keys that are known to be absent.
    Absent,
}

impl HeldIn {
    /// The cache in one word, as a metric's label has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Hot => "hot",
            Self::Absent => "absent",
        }
    }
}

impl Held {
    /// An entry of that many bytes in that cache, which stays fresh.
    #[must_use]
    pub fn new(tier: HeldIn, bytes: u64) -> Self {
        Self {
            tier,
            bytes,
            age: None,
            fresh: None,
            stale: false,
        }
    }
}

impl Group {
    /// This node's entry of `key` in memory, even if it may no longer be served without a load.
    /// Neither counted nor a use.
    pub fn held(&self, key: impl AsRef<[u8]>) -> Option<Held> {
        let answer = self.peeked(key.as_ref())?;
        let tier = match (&answer.value, answer.source) {
            (None, _) => HeldIn::Absent,
            (Some(_), Source::Hot) => HeldIn::Hot,
            (Some(_), _) => HeldIn::Main,
        };
        Some(Held {
            tier,
            bytes: answer.value.as_ref().map_or(0, |value| value.len() as u64),
            age: answer.metadata.age(),
            fresh: answer.freshness.ttl,
            stale: answer.is_stale(),
        })
    }

    fn reported(&self) -> ReportedGroup {
        let stats = self.stats();
        let caches = [&stats.main, &stats.hot, &stats.absent];
        ReportedGroup {
            name: Arc::clone(self.name()),
            gets: stats.gets,
            hits: stats.gets.saturating_sub(stats.misses),
            client_gets: stats.clients.gets,
            client_hits: stats.clients.hits,
            bytes: caches.iter().map(|cache| cache.bytes).sum(),
            limit_bytes: stats.limit_bytes,
            entries: caches.iter().map(|cache| cache.entries as u64).sum(),
            loads_in_flight: stats.loads_in_flight as u64,
        }
    }
}

impl Groups {
    /// Answers a question of another node. Called by a transport's server. `None` if there is no
    /// such group.
    pub fn inspect(&self, question: Inspect<'_>) -> Option<Inspected> {
        Some(match question {
            Inspect::Report => Inspected::Report(self.report()),
            Inspect::Held { group, key } => Inspected::Held(self.get(group)?.held(key)),
        })
    }

    /// A short report on this node.
    pub fn report(&self) -> Report {
        let router = self.iter().next().map(Group::router);
        let members = router.as_ref().map(|router| router.members());
        let members = members.unwrap_or_default().into_iter();
        Report {
            about: self.about(),
            ring: router.map_or_else(|| "".into(), |router| router.digest().into()),
            members: members
                .map(|member| ReportedMember::new(member.name, member.up))
                .collect(),
            groups: self.iter().map(Group::reported).collect(),
            is_cut: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FreshnessPolicy, Key};

    fn group() -> Group {
        let freshness = FreshnessPolicy {
            negative_ttl: Some(Duration::from_secs(5)),
            ttl: Some(Duration::from_secs(60)),
            ..FreshnessPolicy::default()
        };
        Group::builder("scores")
            .freshness(freshness)
            .origin_fn(|key: Key| async move {
                Ok::<_, std::io::Error>((key != "absent").then_some("630"))
            })
            .build()
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_held_is_reported_and_counts_as_no_get() {
        let group = group();
        assert_eq!(group.held("Tom"), None);
        group.get("Tom").await.unwrap();
        group.get("absent").await.unwrap_err();
        let held = group.held("Tom").unwrap();
        assert_eq!((held.tier, held.bytes), (HeldIn::Main, 3));
        assert!(!held.stale && held.fresh.is_some_and(|left| left.as_secs() <= 60));
        let absent = group.held("absent").unwrap();
        assert_eq!((absent.tier, absent.bytes), (HeldIn::Absent, 0));
        assert_eq!(group.stats().gets, 2);
    }

    #[tokio::test]
    async fn a_report_has_what_the_program_says_of_itself() {
        let groups = Groups::new([group()]).unwrap();
        groups.set_about(|| About {
            version: "1.2.3".into(),
            ..About::default()
        });
        groups.get("scores").unwrap().get("Tom").await.unwrap();
        let report = groups.clone().report();
        assert_eq!(&*report.about.version, "1.2.3");
        assert_eq!(report.members, [ReportedMember::new("local", true)]);
        assert_eq!((report.groups[0].gets, report.groups[0].entries), (1, 1));
        let key = Key::from_static(b"Tom");
        let held = |group| groups.inspect(Inspect::Held { group, key: &key });
        assert!(matches!(held("scores"), Some(Inspected::Held(Some(_)))));
        assert_eq!(held("nosuch"), None);
    }
}
