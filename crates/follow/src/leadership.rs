//! Whether this node follows.

use gaggle_group::Group;
use tokio::sync::watch;

use crate::isolation::Isolation;

/// Whether this node follows, and whether the follower was stopped.
pub(crate) struct Leadership {
    group: Group,
    /// What is led: the name by which one node of the cluster is chosen.
    what: String,
    everywhere: bool,
    isolation: Isolation,
    stop: watch::Receiver<bool>,
}

impl Leadership {
    pub(crate) fn new(group: &Group, everywhere: bool, stop: watch::Receiver<bool>) -> Self {
        Self {
            group: group.clone(),
            what: format!("follow:{}", group.name()),
            everywhere,
            isolation: Isolation::default(),
            stop,
        }
    }

    /// Whether this node has to follow now. It must be called regularly, since it also notices
    /// when this node is cut off.
    pub(crate) fn look(&mut self) -> bool {
        if self.everywhere {
            return true;
        }
        let router = self.group.router();
        self.isolation.look(&*router);
        router.leads(self.what.as_bytes()) && !self.isolation.leaves_it()
    }

    /// Whether this node is cut off from all others.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.isolation.is_cut_off()
    }

    /// Returns once the follower is stopped.
    pub(crate) async fn stopped(&mut self) {
        // An error says that the handle was dropped.
        let _ = self.stop.wait_for(|stop| *stop).await;
    }
}
