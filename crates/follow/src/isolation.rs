//! Whether this node is cut off from all others.

use std::time::Duration;

use gaggle_group::Router;
use tokio::time::Instant;

/// How long a node that is cut off leaves the source to whoever is on the other side.
const LEFT_FOR: Duration = Duration::from_secs(5);

/// A node that loses all others at once is cut off itself, or is the last one. In the first case
/// those on the other side cannot follow while it holds the source, and what it removes does not
/// reach them: it lets go of the source once, for a moment.
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
            // It is the only member: nobody waits for it.
            *self = Self::default();
        } else if std::mem::take(&mut self.had_company) {
            self.began = Some(Instant::now());
        }
    }

    /// Whether it is cut off now.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.began.is_some()
    }

    /// Whether the source is to be left to others at this moment.
    pub(crate) fn leaves_it(&self) -> bool {
        self.began.is_some_and(|began| began.elapsed() < LEFT_FOR)
    }
}
