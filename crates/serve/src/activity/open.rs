use std::sync::Arc;

use tokio::time::Instant;

use super::{Activity, Unwritten};

/// One request of the connection. Dropped with its response's body. On HTTP/2 the part that the
/// connection has not written by then still counts as open, by its [`Unwritten`].
pub(crate) struct Open {
    activity: Arc<Activity>,
    http2: bool,
    ours: bool,
    last: bool,
}

impl Open {
    /// A request that this side has to answer; `last` if the connection has to end after it.
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

    /// Whether the answer has to announce that the connection ends after it.
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

    /// A part of the response with that many bytes is passed on; the next part is requested when
    /// the client has taken it. On HTTP/2 the bytes must own what is returned.
    pub(crate) fn clients_turn(&mut self, bytes: usize) -> Option<Unwritten> {
        if !self.http2 {
            return None;
        }
        let mut state = self.activity.state();
        state.settle();
        state.allowance.part(bytes);
        state.turned = Instant::now();
        let unwritten = (bytes > 0).then(|| {
            state.open += 1;
            Unwritten::new(Arc::clone(&self.activity))
        });
        if self.ours {
            self.ours = false;
            state.ours -= 1;
            state.wake_if_waiting();
        }
        drop(state);
        unwritten
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        let report = state.ended(self.ours);
        state.wake_if_waiting();
        drop(state);
        if let Some(report) = report {
            report.send();
        }
    }
}
