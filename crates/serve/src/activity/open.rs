use std::sync::Arc;

use tokio::time::Instant;

use super::Activity;

/// One request of the connection. Dropped at the end of its response.
pub(crate) struct Open {
    activity: Arc<Activity>,
    http2: bool,
    ours: bool,
    last: bool,
}

impl Open {
    /// A request that this side is to answer; `last` if the connection is to end with it.
    pub(super) fn new(activity: Arc<Activity>, http2: bool, last: bool) -> Self {
        Self {
            activity,
            http2,
            ours: true,
            last,
        }
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.http2
    }

    /// Whether the answer has to say that the connection ends with it.
    pub(crate) fn is_last(&self) -> bool {
        self.last
    }

    /// The response waits for its producer.
    pub(crate) fn our_turn(&mut self) {
        if self.http2 && !self.ours {
            self.ours = true;
            let mut state = self.activity.state();
            state.settle();
            state.ours += 1;
            state.turned = Instant::now();
        }
    }

    /// A part of the response was handed over, of so many bytes; the next is asked for when the
    /// client has taken it.
    pub(crate) fn clients_turn(&mut self, bytes: usize) {
        if !self.http2 {
            return;
        }
        let mut state = self.activity.state();
        state.settle();
        state.windows.moved(bytes);
        state.allowance.part(bytes);
        state.turned = Instant::now();
        if self.ours {
            self.ours = false;
            state.ours -= 1;
            state.wake_if_waiting();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.settle();
        state.open -= 1;
        state.ours -= usize::from(self.ours);
        state.turned = state.now();
        state.wake_if_waiting();
        let report = if state.open == 0 {
            state.report.take()
        } else {
            None
        };
        drop(state);
        if let Some(report) = report {
            // A server that is gone needs no room.
            let _gone = report.to.send(report.id).is_err();
        }
    }
}
