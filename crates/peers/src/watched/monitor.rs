//! The task that pings a peer on request, and regularly while it is down.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use gaggle_group::{Greeting, Peer, PeerError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::flaps::Flaps;
use super::standing::Standing;
use crate::Options;
use crate::peers::Inner;

/// How many reasons are logged for a peer that has never answered: at first nothing may listen
/// there, and then a node with a bad certificate.
const MOST_SAID: usize = 4;

/// The monitor's state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Health {
    /// Whether the last ping was answered.
    pub(crate) answers: bool,
    /// Whether keys are routed to it: one that flaps has to answer for a while first.
    pub(crate) up: bool,
    /// Pings that have ended. Grows with each, so that a waiter can distinguish a new result from
    /// an old one.
    pub(crate) checks: u64,
    /// Whether it has been greeted, and has answered or the time has passed.
    pub(crate) asked: bool,
}

impl Health {
    pub(crate) const UNKNOWN: Self = Self {
        answers: true,
        up: true,
        checks: 0,
        asked: false,
    };
}

pub(crate) struct Monitor {
    pub(crate) peer: Arc<dyn Peer>,
    pub(crate) options: Options,
    pub(crate) standing: Arc<Standing>,
    /// Wakes it.
    pub(crate) check: Arc<Notify>,
    /// Wakes it even if the peer is down, or to greet it.
    pub(crate) probe: Arc<Notify>,
    /// Requests that the peer has answered in any way: each shows that it is alive.
    pub(crate) answered: Arc<AtomicU64>,
    pub(crate) health: watch::Sender<Health>,
    /// Notified each time that the peer is found to be down.
    pub(crate) went_down: Arc<Notify>,
    pub(crate) name: Arc<str>,
    pub(crate) address: Arc<str>,
    pub(crate) node: Weak<Inner>,
}

/// Why the monitor wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wakes {
    /// The peer is late with an answer, or down: it is pinged.
    Ping,
    /// It is time for a greeting.
    Greet,
}

impl Monitor {
    /// Pings when woken, and every `probe_every` while the peer is down; greets it at once, when
    /// it is up again, and every `greet_every`. It never ends.
    pub(crate) async fn run(self) {
        let mut flaps = Flaps::new(self.options.damping);
        let first = Instant::now();
        let is_met = self.health.borrow().asked;
        let mut has_answered = is_met;
        let mut greets_at = match is_met {
            true => first + self.until_next_greeting(),
            false => first,
        };
        let mut said = HashSet::new();
        loop {
            let wakes = self.wakes(greets_at).await;
            let before = self.answered.load(Relaxed);
            let began = Instant::now();
            let silent = match wakes {
                Wakes::Greet => {
                    greets_at = began + self.until_next_greeting();
                    match self.greet().await {
                        Greeted::Answered => {
                            has_answered = true;
                            self.has_been_asked();
                            continue;
                        }
                        // It will know its name when it has found itself in its list.
                        Greeted::Unnamed => {
                            has_answered = true;
                            greets_at = began + self.until_asked_again();
                            continue;
                        }
                        // It may be about to start. The first request to it will show.
                        Greeted::Silent(why) if !has_answered => {
                            if said.len() < MOST_SAID && said.insert(why.clone()) {
                                info!(peer = &*self.name, why, "a peer does not answer yet");
                            }
                            if first.elapsed() >= self.options.quiet {
                                self.has_been_asked();
                            }
                            greets_at = began + self.until_asked_again();
                            continue;
                        }
                        Greeted::Silent(why) => Some(why),
                        Greeted::Unheard => self.ping().await.err(),
                    }
                }
                Wakes::Ping => self.ping().await.err(),
            };
            // An overloaded peer may answer a ping late while it answers one request after the
            // other. Dropping such a peer would move its work to the origin, just when there is
            // most of it.
            let answers = silent.is_none() || self.answered.load(Relaxed) != before;
            let was = *self.health.borrow();
            let up = flaps.note(answers, Instant::now());
            if was.answers != answers {
                // The record of its earlier requests is about an earlier run.
                self.standing.start_over();
            }
            self.health.send_modify(|health| {
                health.answers = answers;
                health.up = up;
                health.checks += 1;
            });
            let peer = &*self.name;
            match (was.up, up) {
                (true, false) => warn!(peer, why = silent, "a peer is down"),
                (false, true) => info!(peer, "a peer is up again"),
                _ if !was.answers && answers => {
                    info!(
                        peer,
                        "a peer that flaps answers again; it is left out until it answers steadily"
                    );
                }
                _ => {}
            }
            if !was.answers && answers {
                // It may be another node now.
                greets_at = Instant::now();
            }
            if was.answers != answers
                && let Some(node) = self.node.upgrade()
            {
                node.reseat(&self.name);
            }
            if was.answers && !answers {
                self.went_down.notify_one();
            }
        }
    }

    async fn wakes(&self, greets_at: Instant) -> Wakes {
        if !self.health.borrow().up {
            tokio::select! {
                () = sleep(self.options.probe_every) => {}
                () = self.probe.notified() => {}
            }
            return Wakes::Ping;
        }
        tokio::select! {
            biased;
            () = self.check.notified() => Wakes::Ping,
            // It has sent a message itself.
            () = self.probe.notified() => Wakes::Greet,
            () = sleep_until(greets_at) => Wakes::Greet,
        }
    }

    /// The error says why there was no answer.
    async fn ping(&self) -> Result<(), String> {
        let began = Instant::now();
        let pinged = answers(&*self.peer, self.options.ping_timeout).await;
        self.standing.pinged(began.elapsed());
        pinged
    }

    /// Greets the peer, and passes the answer to the node.
    async fn greet(&self) -> Greeted {
        // Its node has been dropped, and this task ends with it.
        let Some(node) = self.node.upgrade() else {
            return Greeted::Answered;
        };
        let limit = self.options.ping_timeout;
        let began = Instant::now();
        let hello = node.hello();
        drop(node);
        let asked = timeout(limit, self.peer.hello(&hello)).await;
        let Some(node) = self.node.upgrade() else {
            return Greeted::Answered;
        };
        match asked {
            Ok(Ok(greeting)) => {
                let is_unnamed =
                    matches!(&greeting, Greeting::Node(hello) if hello.name.is_empty());
                Inner::met_elsewhere(&node, &self.name, &self.address, greeting).await;
                if is_unnamed {
                    return Greeted::Unnamed;
                }
            }
            // It counts like a ping.
            Ok(Err(PeerError::Unavailable { .. })) | Err(_) if !is_fair(began, limit) => {
                return Greeted::Unheard;
            }
            Ok(Err(failure @ PeerError::Unavailable { .. })) => {
                return Greeted::Silent(reason(&failure));
            }
            Err(_) => return Greeted::Silent(late(limit)),
            // It answers, but refuses this node.
            Ok(Err(failure)) => node.refused_by(&self.name, &failure),
        }
        Greeted::Answered
    }

    fn has_been_asked(&self) {
        self.health
            .send_if_modified(|health| !std::mem::replace(&mut health.asked, true));
    }

    fn until_next_greeting(&self) -> Duration {
        self.spread(self.options.greet_every)
    }

    /// The same for a peer that has not answered a greeting yet.
    fn until_asked_again(&self) -> Duration {
        self.spread(self.options.probe_every)
    }

    /// The interval is randomised, so that nodes that started together do not ask together, and
    /// all peers of a node together are asked 100 times a second at most.
    fn spread(&self, every: Duration) -> Duration {
        let node = self.node.upgrade();
        let peers = node.map_or(0, |node| node.view().nodes.len());
        let peers = u32::try_from(peers).unwrap_or(u32::MAX);
        let every = every.max(Duration::from_millis(10).saturating_mul(peers));
        every.mul_f64(0.8 + 0.4 * fastrand::f64())
    }
}

/// How a greeting has ended.
enum Greeted {
    Answered,
    /// It does not know its name yet.
    Unnamed,
    /// Like a ping without an answer, and why.
    Silent(String),
    /// This process did not run for a while.
    Unheard,
}

/// Whether a timeout says something about the peer.
fn is_fair(began: Instant, limit: Duration) -> bool {
    began.elapsed() <= limit + limit / 8
}

/// The number of pings in sequence whose result is not trusted, before one is.
const UNFAIR_PINGS: usize = 3;

fn reason(failure: &PeerError) -> String {
    match failure {
        PeerError::Unavailable { reason, .. } | PeerError::Refused { reason, .. } => {
            reason.to_string()
        }
        failure => failure.to_string(),
    }
}

fn late(limit: Duration) -> String {
    format!("no answer within {limit:?}")
}

/// Whether the peer answers a ping within `limit`; if not, why.
///
/// A timeout that fires late shows that this process did not run for a while: the answer may have
/// been waiting all the time. On a machine that is short of processors that is no reason to mark a
/// peer down, so the peer is pinged again.
async fn answers(peer: &dyn Peer, limit: Duration) -> Result<(), String> {
    let mut why = String::new();
    for _ in 0..UNFAIR_PINGS {
        let started = Instant::now();
        why = match timeout(limit, peer.ping()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => reason(&failure),
            Err(_) => late(limit),
        };
        if is_fair(started, limit) {
            break;
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use gaggle_group::{Entry, Fetch, Fetched, Notice, PeerError};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    /// A peer that never answers its first pings; with each of them, time jumps.
    struct Silent {
        pings: AtomicUsize,
        silent: usize,
        jump: Duration,
    }

    impl Silent {
        fn new(silent: usize, jump: Duration) -> Self {
            Self {
                pings: AtomicUsize::new(0),
                silent,
                jump,
            }
        }
    }

    #[async_trait]
    impl Peer for Silent {
        fn name(&self) -> &str {
            "silent"
        }
        async fn fetch(&self, _: Fetch<'_>) -> Result<Fetched, PeerError> {
            Ok(Entry::absent().into())
        }
        async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
            Ok(())
        }
        async fn ping(&self) -> Result<(), PeerError> {
            if self.pings.fetch_add(1, Relaxed) < self.silent {
                tokio::time::advance(self.jump).await;
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_that_this_process_slept_through_is_repeated() {
        let starved = Silent::new(2, 3 * LIMIT);
        answers(&starved, LIMIT).await.unwrap();
        assert_eq!(starved.pings.load(Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_that_was_waited_for_in_time_is_believed() {
        let dead = Silent::new(9, Duration::ZERO);
        assert_eq!(
            answers(&dead, LIMIT).await.unwrap_err(),
            "no answer within 300ms"
        );
        assert_eq!(dead.pings.load(Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_are_bounded() {
        let dead = Silent::new(9, 3 * LIMIT);
        assert_eq!(
            answers(&dead, LIMIT).await.unwrap_err(),
            "no answer within 300ms"
        );
        assert_eq!(dead.pings.load(Relaxed), UNFAIR_PINGS);
    }
}
