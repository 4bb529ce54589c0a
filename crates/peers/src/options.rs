//! How peers are watched, and how the ring follows its members.

use std::time::Duration;

/// How peers are watched, and how the ring follows its members; the crate's documentation tells
/// the whole story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long a request may wait before its peer is pinged. Default 100 ms.
    pub suspect_after: Duration,
    /// How long a ping may take. Together with `suspect_after` this is what a hung peer costs its
    /// first callers. Default 300 ms.
    pub ping_timeout: Duration,
    /// How often a peer that is down is pinged, and one that leaves. Default 500 ms.
    pub probe_every: Duration,
    /// Whether this node is a member of the ring, and so owns keys. One that is not asks the
    /// members, keeps hot copies, and loads for itself only where no member can be asked: a front
    /// door for a cluster that others make up. Default true.
    pub member: bool,
    /// How long a node that is no member (any more) is told of removals after it was last heard.
    /// At least as long as copies live (a group's `hot_ttl`). Default 1 minute.
    pub remember_for: Duration,
    /// For how long after a change of the ring the previous owner of a key is asked before the
    /// origin. 0 turns that off. Default 5 minutes.
    pub hand_over_for: Duration,
    /// The interval within which a member changes the ring at most once on the word of a
    /// [`Discovery`](crate::Discovery), and within which a second failure of a peer counts as
    /// flapping. 0 turns both off. Default 10 s.
    pub damping: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suspect_after: Duration::from_millis(100),
            ping_timeout: Duration::from_millis(300),
            probe_every: Duration::from_millis(500),
            member: true,
            remember_for: Duration::from_secs(60),
            hand_over_for: Duration::from_secs(300),
            damping: Duration::from_secs(10),
        }
    }
}
