#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use hyper::Version;
use tokio::time::Instant;

use crate::Options;

/// What a connection waits for, and since when. Shared by its IO, its requests and the task that drives it.
pub(crate) struct Activity {
    state: Mutex<State>,
    header_read_timeout: Duration,
    keep_alive_idle: Duration,
    stall_timeout: Duration,
}

struct State {
    opened: Instant,
    served: bool,
    http2: bool,
    /// Requests from the end of their headers to the end of their response.
    open: usize,
    /// Those of `open` which wait for this server and not for the client. Kept on HTTP/2 only.
    ours: usize,
    /// When one of the two last changed, or a response moved on.
    turned: Instant,
    /// HTTP/1.1: the first byte of a head that is not complete.
    head_since: Option<Instant>,
    /// HTTP/1.1: the last write that moved bytes. On HTTP/2 a client's pings alone cause writes.
    wrote: Instant,
    /// When the connection's task was last at work. On HTTP/1.1 all that is noted here is noted in the course of that, so
    /// that one look at the clock does for a request.
    polled: Instant,
    /// The socket has refused bytes since.
    blocked_since: Option<Instant>,
    retired: Option<Instant>,
    waker: Option<Waker>,
}

/// What is to be done with a connection, and when, if nothing changes before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Due {
    pub(crate) at: Instant,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Close in good order: it is idle.
    Retire,
    Cut(Stalled),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stalled {
    Head,
    Response,
    Closing,
}

/// One request of the connection. Dropped at the end of its response.
pub(crate) struct Open {
    activity: Arc<Activity>,
    http2: bool,
    ours: bool,
}

// === impl Activity ===

impl Activity {
    pub(crate) fn new(options: &Options) -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                opened: now,
                served: false,
                http2: false,
                open: 0,
                ours: 0,
                turned: now,
                head_since: None,
                wrote: now,
                polled: now,
                blocked_since: None,
                retired: None,
                waker: None,
            }),
            header_read_timeout: options.header_read_timeout,
            keep_alive_idle: options.keep_alive_idle,
            stall_timeout: options.stall_timeout,
        }
    }

    pub(crate) fn stall_timeout(&self) -> Duration {
        self.stall_timeout
    }

    /// A request's headers are complete.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> Open {
        let mut state = self.state();
        state.served = true;
        state.http2 = version == Version::HTTP_2;
        state.open += 1;
        state.ours += 1;
        state.head_since = None;
        state.turned = state.now();
        Open {
            activity: Arc::clone(self),
            http2: state.http2,
            ours: true,
        }
    }

    pub(crate) fn has_read(&self) {
        let mut state = self.state();
        if state.served && !state.http2 && state.open == 0 {
            let now = state.polled;
            state.head_since.get_or_insert(now);
        }
    }

    pub(crate) fn has_written(&self) {
        let mut state = self.state();
        state.blocked_since = None;
        if !state.http2 {
            state.wrote = state.polled;
        }
    }

    pub(crate) fn is_blocked(&self) {
        self.state().blocked_since.get_or_insert_with(Instant::now);
    }

    /// The connection's task begins to work.
    pub(crate) fn polled(&self, now: Instant) {
        self.state().polled = now;
    }

    /// The connection was told to close; from now on it has `stall_timeout` to do so.
    pub(crate) fn retire(&self) {
        self.state().retired = Some(Instant::now());
    }

    /// `waker` is woken if a request's end in another task brings this forward.
    pub(crate) fn due(&self, waker: &Waker) -> Option<Due> {
        let mut state = self.state();
        match &mut state.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        let blocked = state
            .blocked_since
            .map(|since| Due::cut(since, self.stall_timeout, Stalled::Response));
        let turn = self.turn(&state);
        match (blocked, turn) {
            (Some(blocked), Some(turn)) if turn.at < blocked.at => Some(turn),
            (Some(blocked), _) => Some(blocked),
            (None, turn) => turn,
        }
    }

    fn turn(&self, state: &State) -> Option<Due> {
        if state.open > 0 {
            // On HTTP/1.1 the socket shows whether the client reads. On HTTP/2 a client may take frames and refuse, by
            // its windows, those of the responses.
            return (state.http2 && state.ours == 0)
                .then(|| Due::cut(state.turned, self.stall_timeout, Stalled::Response));
        }
        if !state.served {
            return Some(Due::cut(
                state.opened,
                self.header_read_timeout,
                Stalled::Head,
            ));
        }
        // A response has ended when the last of it is in the connection's buffers. While these empty, it is not idle.
        let quiet = state.turned.max(state.wrote);
        Some(match (state.retired, state.head_since) {
            (Some(retired), _) => {
                Due::cut(retired.max(quiet), self.stall_timeout, Stalled::Closing)
            }
            (None, Some(since)) => {
                Due::cut(since.max(quiet), self.header_read_timeout, Stalled::Head)
            }
            (None, None) => Due {
                at: later(quiet, self.keep_alive_idle),
                verdict: Verdict::Retire,
            },
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under the lock: a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Open ===

impl Open {
    pub(crate) fn is_http2(&self) -> bool {
        self.http2
    }

    /// The response waits for its producer.
    pub(crate) fn our_turn(&mut self) {
        if self.http2 && !self.ours {
            self.ours = true;
            let mut state = self.activity.state();
            state.ours += 1;
            state.turned = Instant::now();
        }
    }

    /// A part of the response was handed over; the next is asked for when the client has taken it.
    pub(crate) fn clients_turn(&mut self) {
        if !self.http2 {
            return;
        }
        let mut state = self.activity.state();
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
        state.open -= 1;
        state.ours -= usize::from(self.ours);
        state.turned = state.now();
        state.wake_if_waiting();
    }
}

impl State {
    /// HTTP/2 responses live in tasks of their own.
    fn now(&self) -> Instant {
        if self.http2 {
            Instant::now()
        } else {
            self.polled
        }
    }

    /// HTTP/2 responses live in tasks of their own. If the connection's task looked at the clocks before the response
    /// took its turn, it saw none to wait for; it has to look again. On HTTP/1.1 both are one task.
    fn wake_if_waiting(&self) {
        if self.http2
            && self.ours == 0
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

// === impl Due ===

impl Due {
    fn cut(since: Instant, after: Duration, stalled: Stalled) -> Self {
        Self {
            at: later(since, after),
            verdict: Verdict::Cut(stalled),
        }
    }
}

/// `Duration::MAX` is a way to say "never"; a plain sum would panic.
fn later(since: Instant, after: Duration) -> Instant {
    const AGES: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    since + after.min(AGES)
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "the request's headers did not arrive in time",
            Self::Response => "the client does not take its response",
            Self::Closing => "the client does not let the connection close",
        })
    }
}
