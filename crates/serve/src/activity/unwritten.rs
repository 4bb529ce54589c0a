use std::sync::Arc;

use tokio::time::Instant;

use super::Activity;

/// A part of an HTTP/2 response that the connection has not written yet.
///
/// hyper passes the whole part to `h2` as soon as the client's windows admit one byte of it, and
/// drops the body after the last part. `h2` writes the rest when the windows open. Until then the
/// request is not complete, and the server waits for the client.
pub(crate) struct Unwritten {
    activity: Arc<Activity>,
}

impl Unwritten {
    /// A part that is counted in `State::open` already.
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        Self { activity }
    }

    /// The connection has written that many bytes of it.
    pub(crate) fn written(&self, bytes: usize) {
        let mut state = self.activity.state();
        state.settle();
        state.windows.moved(bytes);
        state.turned = Instant::now();
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        // No task has to be woken: the connection's task drops what it has written, and then
        // checks the clocks. What hyper holds back is dropped before the body is, and dropping the
        // body wakes the task.
        let report = self.activity.state().ended(false);
        if let Some(report) = report {
            report.send();
        }
    }
}
