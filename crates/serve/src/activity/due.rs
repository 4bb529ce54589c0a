use std::{fmt, task::Waker, time::Duration};

use tokio::time::Instant;

use super::{Activity, FAIR_CHANCE, LEAVE, State};
use crate::later::later;

/// What has to be done with a connection, and when, if nothing changes before that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Due {
    pub(crate) at: Instant,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Close gracefully: it is idle.
    Retire,
    Cut(Why),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Why {
    Head,
    Response,
    Closing,
    Room,
    Shutdown,
}

impl Activity {
    /// `waker` is woken if the end of a request in another task, or the server, makes this due
    /// earlier.
    pub(crate) fn due(&self, waker: &Waker) -> Option<Due> {
        let mut state = self.state();
        match &mut state.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        let blocked = state
            .blocked_since
            .map(|since| Due::cut(since, state.socket.left(), Why::Response));
        let turn = self.turn(&state);
        match (blocked, turn) {
            (Some(blocked), Some(turn)) if turn.at < blocked.at => Some(turn),
            (Some(blocked), _) => Some(blocked),
            (None, turn) => turn,
        }
    }

    fn turn(&self, state: &State) -> Option<Due> {
        if state.open > 0 {
            // On HTTP/1.1 the socket shows whether the client reads. On HTTP/2 a client may read
            // frames while its windows stop those of the responses.
            return (state.http2 && state.ours == 0)
                .then(|| Due::cut(state.turned, state.windows.left(), Why::Response));
        }
        let quiet = state.quiet();
        if let Some(retired) = state.retired {
            let hurried = state.asked || state.stop_at.is_some();
            let within = match state.blocked_since {
                None if hurried => LEAVE.min(self.stall_timeout),
                _ => self.stall_timeout,
            };
            return Some(Due::cut(retired.max(quiet), within, Why::Closing));
        }
        let head = if state.served {
            state.head_since.map(|since| since.max(quiet))
        } else {
            Some(state.opened)
        };
        let due = match head {
            Some(since) => Due::cut(since, self.header_read_timeout, Why::Head),
            None => Due {
                at: later(quiet, self.keep_alive_idle),
                verdict: Verdict::Retire,
            },
        };
        // A head may have begun after the server saw an idle connection, and before it asked this
        // one to leave.
        let room = state.asked.then(|| {
            let at = head.map_or(state.opened, |since| since + FAIR_CHANCE);
            (at, Why::Room)
        });
        let stop = state.stop_at.map(|at| (at, Why::Shutdown));
        let sooner = [room, stop].into_iter().flatten().min_by_key(|&(at, _)| at);
        let Some((early, why)) = sooner.filter(|&(at, _)| at <= due.at) else {
            return Some(due);
        };
        let verdict = match head {
            Some(_) => Verdict::Cut(why),
            None => Verdict::Retire,
        };
        Some(Due { at: early, verdict })
    }
}

impl Due {
    pub(super) fn cut(since: Instant, after: Duration, why: Why) -> Self {
        Self {
            at: later(since, after),
            verdict: Verdict::Cut(why),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "the request's headers did not arrive in time",
            Self::Response => "the client does not take its response, or not fast enough",
            Self::Closing => "the client does not let the connection close",
            Self::Room => "it has sent no request, and others need its place",
            Self::Shutdown => "it has sent no whole request, and the server shuts down",
        })
    }
}
