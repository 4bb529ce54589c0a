//! A peer and the monitor that watches it.

mod flaps;
mod latency;
mod monitor;
mod standing;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use gaggle_group::{
    Fetch, Fetched, Greeting, HandOver, Hello, Inspect, Inspected, Known, News, Notice, Peer,
    PeerError, PeerRequests, Put, TraceParent, Word,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::Options;
use crate::fleet::Fleet;
use crate::peers::Inner;
use monitor::{Health, Monitor};
use standing::End;
pub(crate) use standing::Standing;

/// A peer with a monitor, and whose requests are timed.
pub(crate) struct Watched {
    peer: Arc<dyn Peer>,
    name: Arc<str>,
    address: Arc<str>,
    options: Options,
    hedges: bool,
    fleet: Arc<Fleet>,
    standing: Arc<Standing>,
    /// Wakes the monitor.
    check: Arc<Notify>,
    probe: Arc<Notify>,
    health: watch::Receiver<Health>,
    answered: Arc<AtomicU64>,
    monitor: JoinHandle<()>,
    ok: AtomicU64,
    not_found: AtomicU64,
    error: AtomicU64,
}

/// What all peers of a node share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    /// Whether a second node may be asked in addition to a slow peer.
    pub(crate) hedges: bool,
    pub(crate) fleet: Arc<Fleet>,
    /// Notified each time that a peer is found to be down.
    pub(crate) went_down: Arc<Notify>,
    /// The node that has these peers.
    pub(crate) node: Weak<Inner>,
}

impl Watched {
    /// Watches `peer`. It needs a tokio runtime. A peer that has already answered (`met`) under
    /// another name is greeted at its usual time, and otherwise at once.
    pub(crate) fn new(
        peer: Arc<dyn Peer>,
        name: &str,
        address: &str,
        is_met: bool,
        shared: &Shared,
    ) -> Self {
        let (name, address): (Arc<str>, Arc<str>) = (name.into(), address.into());
        let (sender, health) = watch::channel(Health {
            asked: is_met,
            ..Health::UNKNOWN
        });
        let standing = Arc::new(Standing::new(&name));
        let [check, probe] = std::array::from_fn(|_| Arc::new(Notify::new()));
        let answered = Arc::new(AtomicU64::new(0));
        let monitor = Monitor {
            peer: Arc::clone(&peer),
            options: shared.options.clone(),
            standing: Arc::clone(&standing),
            check: Arc::clone(&check),
            probe: Arc::clone(&probe),
            answered: Arc::clone(&answered),
            health: sender,
            went_down: Arc::clone(&shared.went_down),
            name: Arc::clone(&name),
            address: Arc::clone(&address),
            node: Weak::clone(&shared.node),
        };
        Self {
            peer,
            name,
            address,
            options: shared.options.clone(),
            hedges: shared.hedges,
            fleet: Arc::clone(&shared.fleet),
            standing,
            check,
            probe,
            health,
            answered,
            monitor: tokio::spawn(monitor.run()),
            ok: AtomicU64::new(0),
            not_found: AtomicU64::new(0),
            error: AtomicU64::new(0),
        }
    }

    pub(crate) fn ring_name(&self) -> &str {
        &self.name
    }

    /// The base URL by which it is reached.
    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// Whether it has been greeted, or found to be down.
    pub(crate) fn is_judged(&self) -> bool {
        let health = *self.health.borrow();
        health.asked || !health.answers
    }

    /// Whether keys are routed to it: it answers pings steadily, and its requests are answered in
    /// time.
    pub(crate) fn is_usable(&self) -> bool {
        self.health.borrow().up && !self.standing.is_out()
    }

    /// The same, for one request that is about to be sent: a peer that was left out is tried by
    /// one request at a time.
    pub(crate) fn admits(&self) -> bool {
        self.health.borrow().up && self.standing.admits()
    }

    /// Whether it answered the last ping.
    pub(crate) fn answers(&self) -> bool {
        self.health.borrow().answers
    }

    /// Makes the monitor ping it, if it is up.
    pub(crate) fn check(&self) {
        self.check.notify_one();
    }

    /// Makes the monitor ping it now, if it is down, and greet it otherwise.
    pub(crate) fn probe(&self) {
        self.probe.notify_one();
    }

    /// Returns once it has been found down and then up again; pings it every `probe_every`.
    pub(crate) async fn came_back(&self) {
        let mut health = self.health.clone();
        let mut was_down = false;
        loop {
            tokio::select! {
                () = sleep(self.options.probe_every) => self.check(),
                changed = health.changed() => {
                    if changed.is_err() {
                        // Its monitor has ended, since the runtime is shutting down.
                        return std::future::pending().await;
                    }
                }
            }
            let answers = health.borrow_and_update().answers;
            if was_down && answers {
                return;
            }
            was_down |= !answers;
        }
    }

    pub(crate) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    pub(crate) fn requests(&self) -> PeerRequests {
        PeerRequests {
            ok: self.ok.load(Relaxed),
            not_found: self.not_found.load(Relaxed),
            error: self.error.load(Relaxed),
        }
    }

    fn no_sign_of_life(&self) -> PeerError {
        PeerError::Unavailable {
            peer: Arc::clone(&self.name),
            reason: format!("no sign of life within {:?}", self.options.ping_timeout).into(),
        }
    }

    /// Fetches, and makes the monitor check the peer while the answer is late.
    async fn fetch_watched(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let mut answer = pin!(self.peer.fetch(fetch));
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep(self.options.suspect_after) => {}
            }
            // The answer is late, because of a slow origin or a dead peer. The next ping to end
            // shows which; one ping serves all waiting requests.
            let mut health = self.health.clone();
            let Health {
                answers,
                checks: seen,
                ..
            } = *health.borrow_and_update();
            if !answers {
                // The peer was marked down after this request was sent. The next ping comes with
                // the next probe, which may take as long as everything before it.
                return Err(self.no_sign_of_life());
            }
            self.check();
            tokio::select! {
                answer = &mut answer => return answer,
                verdict = health.wait_for(|health| health.checks > seen) => {
                    if !verdict.is_ok_and(|health| health.answers) {
                        return Err(self.no_sign_of_life());
                    }
                }
            }
        }
    }

    /// Times a fetch, and judges the peer by its result.
    async fn fetch_timed(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let under_way = UnderWay {
            peer: self,
            began: Instant::now(),
            deadline: fetch.deadline,
            tries: self.standing.begins(fetch.deadline),
            ended: false,
        };
        let answer = self.fetch_watched(fetch).await;
        let is_late = under_way.began.elapsed() >= fetch.deadline.mul_f64(0.9);
        under_way.end(match &answer {
            Ok(_) => End::Answered,
            Err(PeerError::Verdict { .. }) => End::Other,
            // A golang/groupcache node answers the same for a load that failed.
            Err(PeerError::Refused { .. }) if !self.hedges => End::Other,
            // It cannot report that its origin is slow. Its pings show whether it is dead.
            Err(PeerError::Unavailable { .. }) if !self.hedges && is_late => End::Other,
            Err(_) => End::Failed,
        });
        match &answer {
            Ok(fetched) if fetched.entry.value.is_some() => self.ok.fetch_add(1, Relaxed),
            Ok(_) => self.not_found.fetch_add(1, Relaxed),
            Err(_) => self.error.fetch_add(1, Relaxed),
        };
        answer
    }
}

/// A fetch that has not ended.
struct UnderWay<'a> {
    peer: &'a Watched,
    began: Instant,
    deadline: Duration,
    /// Whether it tries a peer that was left out.
    tries: bool,
    ended: bool,
}

impl UnderWay<'_> {
    fn end(mut self, end: End) {
        self.ended = true;
        self.tell(end);
    }

    fn tell(&self, end: End) {
        // Pings detect a dead peer.
        if end == End::Failed && !self.peer.answers() {
            return;
        }
        let standing = &self.peer.standing;
        standing.ends(end, self.began.elapsed(), self.tries, &self.peer.fleet);
    }
}

impl Drop for UnderWay<'_> {
    /// It was dropped before its end: by an asker with an answer from another node, or at its
    /// deadline.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.began.elapsed() >= self.deadline.mul_f64(0.9) {
            self.tell(if self.peer.hedges {
                End::Failed
            } else {
                End::Other
            });
        } else if self.tries {
            self.peer.standing.given_up();
        }
    }
}

#[async_trait]
impl Peer for Watched {
    fn name(&self) -> &str {
        &self.name
    }

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let answer = if fetch.kept_only {
            // It asks only the peer's memory: neither its duration nor its "not kept" compares
            // with other requests.
            self.fetch_watched(fetch).await
        } else {
            self.fetch_timed(fetch).await
        };
        match &answer {
            Err(PeerError::Unavailable { .. }) => self.check(),
            _ => {
                self.answered.fetch_add(1, Relaxed);
            }
        }
        answer
    }

    async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError> {
        self.peer.remove(group, notice).await
    }

    async fn remove_traced(
        &self,
        group: &str,
        notice: &Notice,
        trace: Option<TraceParent>,
    ) -> Result<(), PeerError> {
        self.peer.remove_traced(group, notice, trace).await
    }

    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        self.peer.put(put).await
    }

    async fn news(
        &self,
        group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        self.peer.news(group, known, follower).await
    }

    async fn hand_over(&self, hand_over: HandOver<'_>) -> Result<u64, PeerError> {
        self.peer.hand_over(hand_over).await
    }

    async fn leaving(&self, word: &Word) -> Result<(), PeerError> {
        self.peer.leaving(word).await
    }

    async fn inspect(&self, question: Inspect<'_>) -> Result<Inspected, PeerError> {
        self.peer.inspect(question).await
    }

    async fn hello(&self, from: &Hello) -> Result<Greeting, PeerError> {
        self.peer.hello(from).await
    }

    fn says_when_late(&self) -> bool {
        self.hedges && self.peer.says_when_late()
    }

    fn hedge_after(&self) -> Option<Duration> {
        self.hedges.then(|| self.fleet.hedge_after()).flatten()
    }

    fn may_hedge(&self) -> bool {
        // One late answer of a peer that is otherwise quick is chance, or a busy machine: a second
        // load of the key at the origin would not help.
        let after = self.fleet.hedge_after();
        let is_slow = after.is_some_and(|after| self.standing.median() >= Some(after));
        self.hedges && is_slow && self.standing.pay_hedge()
    }

    /// By its pings alone: a peer that is left out, or held down for flapping, still gets
    /// removals.
    fn is_up(&self) -> bool {
        self.answers()
    }

    async fn ping(&self) -> Result<(), PeerError> {
        self.peer.ping().await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.monitor.abort();
    }
}
