//! How peers are watched, and how the ring follows its members.

use std::sync::Arc;
use std::time::Duration;

/// How peers are watched, and how the ring follows its members; the crate's documentation has the
/// details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long a request may wait before its peer is pinged. Default 100 ms.
    pub suspect_after: Duration,
    /// How long a ping may take. Together with `suspect_after` this is how long the first callers
    /// wait for a hung peer. Default 300 ms.
    pub ping_timeout: Duration,
    /// How often a peer that is up is asked who it is: every 2 s by default, and less often if
    /// there are more than 200 peers, so that all together are asked at most 100 times a second.
    /// It detects an idle peer that is down, and one whose ring differs.
    pub greet_every: Duration,
    /// How often a peer that is down is pinged, and one that leaves. Default 500 ms.
    pub probe_every: Duration,
    /// Whether this node is a member of the ring, and so owns keys. A gateway is not a member: it
    /// asks the members, keeps hot copies, and loads for itself only if no member can be asked.
    /// Default true.
    pub member: bool,
    /// How long a node that is not a member, or no longer one, gets removals after its last
    /// message. It should be at least as long as copies live (a group's `hot_ttl`). Default 1
    /// minute.
    pub remember_for: Duration,
    /// For how long after a change of the ring the previous owner of a key is asked before the
    /// origin. 0 turns that off. Default 5 minutes.
    pub hand_over_for: Duration,
    /// The interval within which a member changes the ring at most once because of a
    /// [`Discovery`](crate::Discovery), and within which a second failure of a peer counts as
    /// flapping. 0 turns both off. Default 10 s.
    pub damping: Duration,
    /// This node's name in the ring. Default: what its address [stands for](crate::name_of), or in
    /// a ring shared with golang/groupcache the address itself.
    pub name: Option<Arc<str>>,
    /// The cluster that this node belongs to. Nodes of other clusters are left out. Default
    /// `gaggle`.
    pub cluster: Arc<str>,
    /// The groups that this node has, which others should have as well; in order. Default: none
    /// are compared.
    pub groups: Vec<Arc<str>>,
    /// How long a list that may grow has to stay unchanged before the membership is
    /// [settled](crate::Peers::settle). Default 2 s.
    pub quiet: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suspect_after: Duration::from_millis(100),
            ping_timeout: Duration::from_millis(300),
            greet_every: Duration::from_secs(2),
            probe_every: Duration::from_millis(500),
            member: true,
            remember_for: Duration::from_secs(60),
            hand_over_for: Duration::from_secs(300),
            damping: Duration::from_secs(10),
            name: None,
            cluster: "gaggle".into(),
            groups: Vec::new(),
            quiet: Duration::from_secs(2),
        }
    }
}
