use std::sync::Arc;

use tokio::time::Instant;

use super::Activity;

/// A part of an HTTP/2 response that the connection has yet to write.
///
/// hyper hands `h2` the whole part as soon as the client's windows let one byte of it come, and
/// drops the body after the last one. `h2` writes the rest when the windows open. Until then the
/// request is not done, and the client is waited for.
pub(crate) struct Unwritten {
    activity: Arc<Activity>,
}

impl Unwritten {
    /// A part that is counted in `State::open` already.
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        Self { activity }
    }

    /// The connection has written so many bytes of it.
    pub(crate) fn written(&self, bytes: usize) {
        let mut state = self.activity.state();
        state.settle();
        state.windows.moved(bytes);
        state.turned = Instant::now();
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        // Nobody has to be woken: it is the connection's task that drops what it has written, and
        // looks at the clocks then. What hyper holds back is dropped before the body is, and that
        // wakes.
        let report = self.activity.state().ended(false);
        if let Some(report) = report {
            report.send();
        }
    }
}
