//! Whether this node is cut off from all others.

use std::time::Duration;

use gaggle_group::Router;
use tokio::time::Instant;

/// How long a node that is cut off leaves the source to the nodes on the other side of the
/// partition.
const LEFT_FOR: Duration = Duration::from_secs(5);

/// A node that loses all others at the same time is either cut off or the last one. If it is cut
/// off, the nodes on the other side cannot follow while it holds the source, and its removals do
/// not reach them. The node therefore releases the source once, for a moment.
#[derive(Default)]
pub(crate) struct Isolation {
    /// Whether any other node has been reachable since this one was last cut off.
    had_company: bool,
    began: Option<Instant>,
}

impl Isolation {
    pub(crate) fn look(&mut self, router: &dyn Router) {
        let peers = router.peers();
        if peers.iter().any(|peer| peer.is_up()) {
            *self = Self {
                had_company: true,
                began: None,
            };
        } else if peers.is_empty() {
            // It is the only member: no other node waits for the source.
            *self = Self::default();
        } else if std::mem::take(&mut self.had_company) {
            self.began = Some(Instant::now());
        }
    }

    /// Whether it is cut off now.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.began.is_some()
    }

    /// Whether this node leaves the source to others at this moment.
    pub(crate) fn leaves_it(&self) -> bool {
        self.began.is_some_and(|began| began.elapsed() < LEFT_FOR)
    }
}
