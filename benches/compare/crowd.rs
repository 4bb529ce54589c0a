//! Crowds: many tasks that ask for few keys, whose loads end when all of them wait.

#![allow(
    dead_code,
    reason = "the bench of time and that of memory each use a part"
)]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use gaggle_benches::Gate;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::sharers::{Answer, Sharer};

#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) keys: usize,
    /// For each key.
    pub(crate) callers: usize,
}

impl Size {
    pub(crate) fn waiters(self) -> usize {
        self.keys * self.callers
    }
}

/// One key and its crowd. Every task holds a clone, whichever side it is on.
#[derive(Clone)]
pub(crate) struct Meeting {
    key: Bytes,
    /// Callers arrive here.
    pub(crate) joined: Arc<Gate>,
    /// The load waits here. The same as `joined` where the last caller is to let the load end.
    pub(crate) load: Arc<Gate>,
    signal: Arc<Notify>,
}

impl Meeting {
    /// Keys that no other round has; the load of each ends with the last of its callers.
    pub(crate) fn each(size: Size, round: usize) -> Vec<Self> {
        let meeting = |key| {
            let gate = Arc::new(Gate::new(size.callers));
            Self::new(key, round, Arc::clone(&gate), gate)
        };
        (0..size.keys).map(meeting).collect()
    }

    /// The same, except that all callers of all keys arrive at one gate, and no load ends by
    /// itself.
    pub(crate) fn all(size: Size, round: usize) -> Vec<Self> {
        let joined = Arc::new(Gate::new(size.waiters()));
        let meeting = |key| Self::new(key, round, Arc::clone(&joined), Arc::new(Gate::new(1)));
        (0..size.keys).map(meeting).collect()
    }

    fn new(key: usize, round: usize, joined: Arc<Gate>, load: Arc<Gate>) -> Self {
        Self {
            key: Bytes::from(format!("key-{round:03}-{key:06}")),
            joined,
            load,
            signal: Arc::default(),
        }
    }
}

/// What the tasks of a crowd do.
pub(crate) trait Crowd {
    /// Whether the callers never return, and have to be aborted.
    const ENDLESS: bool = false;

    /// Called once for each key, before its callers.
    fn lead(&self, meeting: &Meeting) {
        let _ = meeting;
    }

    /// One caller; tells whether it got its value.
    fn call(&self, meeting: Meeting) -> JoinHandle<bool>;
}

/// Callers that share a load.
pub(crate) struct Sharing<S>(pub(crate) Arc<S>);

impl<S: Sharer> Crowd for Sharing<S> {
    fn call(&self, meeting: Meeting) -> JoinHandle<bool> {
        let side = Arc::clone(&self.0);
        tokio::spawn(async move {
            let load = || {
                let gate = Arc::clone(&meeting.load);
                async move {
                    gate.opened().await;
                    Ok(Bytes::from_static(&[7; 100]))
                }
            };
            let mut answer = pin!(side.get(&meeting.key, load));
            let mut joined = false;
            poll_fn(|cx| {
                let poll = answer.as_mut().poll(cx);
                // Every side has joined by the end of the first poll.
                if !std::mem::replace(&mut joined, true) {
                    meeting.joined.arrive();
                }
                poll
            })
            .await
            .is_value()
        })
    }
}

/// Callers that wait for tokio's `Notify`: nothing shared but the signal, no value, no key to be
/// looked up.
pub(crate) struct Notified;

impl Crowd for Notified {
    fn lead(&self, meeting: &Meeting) {
        let (load, signal) = (Arc::clone(&meeting.load), Arc::clone(&meeting.signal));
        tokio::spawn(async move {
            load.opened().await;
            signal.notify_waiters();
        });
    }

    fn call(&self, meeting: Meeting) -> JoinHandle<bool> {
        tokio::spawn(async move {
            let mut notified = pin!(meeting.signal.notified());
            let mut joined = false;
            poll_fn(|cx| {
                let poll = notified.as_mut().poll(cx);
                if !std::mem::replace(&mut joined, true) {
                    meeting.joined.arrive();
                }
                poll
            })
            .await;
            true
        })
    }
}

/// Callers that hold what those of a side hold, and never return.
pub(crate) struct Idle(pub(crate) Arc<()>);

impl Crowd for Idle {
    const ENDLESS: bool = true;

    fn call(&self, meeting: Meeting) -> JoinHandle<bool> {
        let side = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut joined = false;
            poll_fn(|_| {
                let _side = &side;
                if !std::mem::replace(&mut joined, true) {
                    meeting.joined.arrive();
                }
                Poll::Pending
            })
            .await
        })
    }
}

/// All callers, one key after the other.
pub(crate) fn gather<C: Crowd>(
    crowd: &C,
    meetings: &[Meeting],
    size: Size,
    into: &mut Vec<JoinHandle<bool>>,
) {
    for meeting in meetings {
        crowd.lead(meeting);
        into.extend((0..size.callers).map(|_| crowd.call(meeting.clone())));
    }
}
