mod due;
mod open;
#[cfg(test)]
mod tests;
mod unwritten;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use hyper::Version;
use tokio::{sync::mpsc, task::Id, time::Instant};

pub(crate) use due::{Due, Verdict, Why};
pub(crate) use open::Open;
pub(crate) use unwritten::Unwritten;

use crate::{Options, allowance::Allowance, later::later, pace::Pace};

/// How long a connection has to send its first request, or to complete the head of another, before
/// it may be closed for a newcomer.
const FAIR_CHANCE: Duration = Duration::from_secs(1);
/// How long a connection that its client does not use may take to close, if it is closed to make
/// room or by a shutdown.
const LEAVE: Duration = Duration::from_secs(2);
/// How long after the start of a shutdown the rest of a request may still arrive.
const GRACE: Duration = Duration::from_millis(250);

/// What a connection waits for, and since when. Shared by its IO, its requests, the task that
/// drives it, and the server.
pub(crate) struct Activity {
    state: Mutex<State>,
    header_read_timeout: Duration,
    keep_alive_idle: Duration,
    stall_timeout: Duration,
    grace: Duration,
}

struct State {
    opened: Instant,
    served: bool,
    http2: bool,
    /// Requests from the end of their headers to the end of their response; on HTTP/2 also the
    /// parts of responses that are not written yet.
    open: usize,
    /// The number of these that wait for this server and not for the client. Kept on HTTP/2 only.
    ours: usize,
    /// When one of the two last changed, or a part of a response was passed on.
    turned: Instant,
    /// HTTP/2: how fast the client reads responses, in the time in which all that is open waits
    /// for it.
    windows: Pace,
    /// HTTP/1.1: the first byte of a head that is not complete.
    head_since: Option<Instant>,
    /// HTTP/1.1: the last write that moved bytes. On HTTP/2 even a client's pings cause writes.
    wrote: Instant,
    /// When the connection's task last ran. On HTTP/1.1 everything is recorded here during such a
    /// run, so that the clock is read once for a request.
    polled: Instant,
    /// Since when the socket has refused bytes.
    blocked_since: Option<Instant>,
    /// How fast the client reads bytes, in the time in which the socket refuses them.
    socket: Pace,
    /// HTTP/2: frames that belong to no request.
    allowance: Allowance,
    retired: Option<Instant>,
    /// Another connection needs its place. A request clears this.
    asked: bool,
    /// Set by a shutdown: a connection without a request at that time is closed.
    stop_at: Option<Instant>,
    /// Reports to the server once no request is open any more.
    report: Option<Report>,
    waker: Option<Waker>,
}

/// Reports to a server that a connection has become idle.
struct Report {
    to: mpsc::UnboundedSender<Id>,
    id: Id,
}

/// What closing a connection would cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Standing {
    /// It has requests. The server gets a report when it has none.
    Busy,
    /// Since this moment it is idle, or has had enough time for a request.
    Spare(Instant),
    /// It is about to close.
    Leaving,
}

/// The client sends more HTTP/2 frames that belong to no request than it may.
#[derive(Debug, thiserror::Error)]
#[error("a flood of HTTP/2 frames that belong to no request")]
pub(crate) struct Flood;

// === impl Activity ===

impl Activity {
    pub(crate) fn new(options: &Options) -> Self {
        let now = Instant::now();
        let pace = || Pace::new(options.stall_timeout, options.min_rate);
        Self {
            state: Mutex::new(State {
                opened: now,
                served: false,
                http2: false,
                open: 0,
                ours: 0,
                turned: now,
                windows: pace(),
                head_since: None,
                wrote: now,
                polled: now,
                blocked_since: None,
                socket: pace(),
                allowance: Allowance::new(now),
                retired: None,
                asked: false,
                stop_at: None,
                report: None,
                waker: None,
            }),
            header_read_timeout: options.header_read_timeout,
            keep_alive_idle: options.keep_alive_idle,
            stall_timeout: options.stall_timeout,
            grace: GRACE.min(options.drain / 2),
        }
    }

    /// A request's headers are complete.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> Open {
        let mut state = self.state();
        state.served = true;
        state.http2 = version == Version::HTTP_2;
        state.settle();
        if state.open == 0 && state.blocked_since.is_none() {
            state.windows.restart();
            state.socket.restart();
        }
        state.open += 1;
        state.ours += 1;
        state.head_since = None;
        state.asked = false;
        if state.http2 {
            state.allowance.request();
        }
        state.turned = state.now();
        Open::new(
            Arc::clone(self),
            state.http2,
            !state.http2 && state.stop_at.is_some(),
        )
    }

    /// The client has sent HTTP/2's preface.
    pub(crate) fn speaks_http2(&self) {
        self.state().http2 = true;
    }

    /// Bytes have arrived, with that many HTTP/2 frames that belong to no request.
    ///
    /// # Errors
    ///
    /// [`Flood`] if they are too many.
    pub(crate) fn has_read(&self, overhead: u32) -> Result<(), Flood> {
        let mut state = self.state();
        if overhead > 0 && !state.allowance.spend(overhead, Instant::now) {
            return Err(Flood);
        }
        if state.served && !state.http2 && state.open == 0 {
            let now = state.polled;
            state.head_since.get_or_insert(now);
        }
        Ok(())
    }

    pub(crate) fn has_written(&self, bytes: usize) {
        let mut state = self.state();
        if let Some(since) = state.blocked_since.take() {
            state.socket.waited(since.elapsed());
        }
        state.socket.moved(bytes);
        if !state.http2 {
            state.wrote = state.polled;
        }
    }

    pub(crate) fn is_blocked(&self) {
        self.state().blocked_since.get_or_insert_with(Instant::now);
    }

    /// The connection's task begins to run.
    pub(crate) fn polled(&self, now: Instant) {
        self.state().polled = now;
    }

    /// The connection was told to close; from now on it has a bounded time to do so.
    pub(crate) fn retire(&self) {
        self.state().retired = Some(Instant::now());
    }

    /// The server shuts down. Requests that arrive within a short grace period are still answered.
    pub(crate) fn stop(&self, now: Instant) {
        self.state().stop_at = Some(now + self.grace);
    }

    /// While the server shuts down: whether the connection can be told to close without losing a
    /// request. A connection without an open request is told when its grace period is over.
    pub(crate) fn may_retire(&self) -> bool {
        let state = self.state();
        state.retired.is_none() && (state.open > 0 || state.http2)
    }

    /// Whether the connection can be closed for another one. If it is busy, `id` is sent to
    /// `report` when it no longer is.
    pub(crate) fn standing(&self, id: Id, report: &mpsc::UnboundedSender<Id>) -> Standing {
        let mut state = self.state();
        if state.open > 0 {
            let to = report.clone();
            state.report = Some(Report { to, id });
            return Standing::Busy;
        }
        if state.asked || state.retired.is_some() {
            return Standing::Leaving;
        }
        Standing::Spare(
            match (state.served, state.head_since, state.blocked_since) {
                // The client is still reading its response, for which it has a timeout.
                (_, _, Some(since)) => later(since, self.stall_timeout),
                (false, _, _) => state.opened + FAIR_CHANCE,
                (true, Some(since), _) => since + FAIR_CHANCE,
                (true, None, None) => state.quiet(),
            },
        )
    }

    /// Makes the connection close to make room, unless a request has arrived. In that case `id` is
    /// sent to `report` when the request has ended.
    pub(crate) fn ask_to_leave(&self, id: Id, report: mpsc::UnboundedSender<Id>) {
        let mut state = self.state();
        state.asked = state.open == 0;
        state.report = Some(Report { to: report, id });
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under the lock, so a poisoned state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Since when nothing was done for a request. A response has ended when its last bytes are in
    /// the connection's buffers. While these empty, the connection is not idle.
    fn quiet(&self) -> Instant {
        self.turned.max(self.wrote)
    }

    /// Counts the time since the last change against the client, if all open requests waited for
    /// it. It must be called before that changes.
    fn settle(&mut self) {
        if self.http2 && self.open > 0 && self.ours == 0 {
            self.windows.waited(self.turned.elapsed());
        }
    }

    /// An open request or part has ended; `ours` if it waited for this server. Returns the report
    /// to send if it was the last.
    fn ended(&mut self, ours: bool) -> Option<Report> {
        self.settle();
        self.open -= 1;
        self.ours -= usize::from(ours);
        self.turned = self.now();
        if self.open == 0 {
            self.report.take()
        } else {
            None
        }
    }

    /// HTTP/2 responses live in tasks of their own. If the connection's task checked the clocks
    /// before a response began to wait for the client, it found none to wait for and has to check
    /// again. On HTTP/1.1 both are one task.
    fn wake_if_waiting(&self) {
        if self.http2
            && self.ours == 0
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

impl Report {
    fn send(self) {
        // A server that was dropped needs no room.
        let _gone = self.to.send(self.id).is_err();
    }
}
