//! The run: rounds of faults, and what is checked meanwhile.

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::faults::{self, Befalls};
use crate::ledger::Ledger;
use crate::scene::{CAPACITY, NODES, Scene};
use crate::summary::{Round, Summary};
use crate::support::{DISTURBED, Used};
use crate::traffic::{Promise, Seen, Traffic, WINDOW};

/// Within which goodput must be normal again.
const RECOVERS_WITHIN: Duration = Duration::from_secs(10);

/// How often processes, memory and goodput are checked.
const LOOK: Duration = Duration::from_millis(100);

/// A node's memory beyond what it takes when it is empty: 1.2 times its capacity and what may be
/// in flight.
const IN_FLIGHT: u64 = 32 << 20;
pub(crate) const MEMORY: u64 = (CAPACITY + IN_FLIGHT) * 6 / 5;

struct Run {
    scene: Scene,
    traffic: Traffic,
    began: Instant,
    lasts: Duration,
    bar: ProgressBar,
    /// The largest growth of each node's memory.
    peak: Vec<u64>,
    was_seen_dead: Vec<bool>,
}

/// Whether every promise held.
pub(crate) async fn run(lasts: Duration, seed: u64) -> bool {
    let ledger = Arc::new(Ledger::new());
    let scene = Scene::set(&ledger).await;
    let traffic = Traffic::new(scene.front_doors.clone(), ledger);
    traffic.fill().await;
    // Ended as this ends.
    let mut loading = JoinSet::new();
    loading.spawn(traffic.clone().run(seed));
    let mut run = Run {
        scene,
        traffic,
        began: Instant::now(),
        lasts,
        bar: bar(lasts),
        peak: vec![0; NODES],
        was_seen_dead: vec![false; NODES],
    };
    let rounds = run.rounds(seed).await;
    run.bar.finish_and_clear();
    let ended = loading.try_join_next();
    assert!(ended.is_none(), "the load ended: {ended:?}");
    loading.shutdown().await;
    run.seen(|seen| seen.settle(false));
    let summary = Summary {
        lasted: run.began.elapsed(),
        rounds,
        peak: run.peak,
        asked: run.scene.origin.asked(),
    };
    let seen = run.traffic.seen.lock().unwrap();
    summary.print(&seen);
    seen.broken.is_empty()
}

fn bar(lasts: Duration) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(lasts.as_secs());
    if let Ok(style) = ProgressStyle::with_template("soak [{bar:30}] {percent:>3}%  {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

impl Run {
    async fn rounds(&mut self, seed: u64) -> Vec<Round> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut used = Used::now();
        if self.recovery().await.is_none() {
            let promise = Promise::NormalGoodputWithinTenSeconds;
            self.fail(promise, "before the first fault".into());
        }
        self.settle(&mut used);
        let mut rounds = Vec::new();
        while self.began.elapsed() < self.lasts {
            let mut together = vec![Befalls::draw(&mut random)];
            let other = Befalls::draw(&mut random);
            if random.u8(..3) == 0 && together[0].goes_with(other) {
                together.push(other);
            }
            let lasts = Duration::from_millis(random.u64(1_500..6_000));
            let mut round = self.round(together, lasts).await;
            self.watch(Duration::from_secs(1)).await;
            round.others = self.settle(&mut used);
            self.say(&round.to_string());
            rounds.push(round);
        }
        rounds
    }

    async fn round(&mut self, together: Vec<Befalls>, lasts: Duration) -> Round {
        let (errors, gets) = self.errors();
        let mut begun = Vec::new();
        for what in &together {
            begun.push(faults::begin(*what, &self.scene, &self.traffic.burst).await);
        }
        self.watch(lasts).await;
        for fault in begun {
            let burst = self.traffic.burst.clone();
            if let Err(broken) = faults::lift(fault, &mut self.scene, &burst).await {
                self.fail(Promise::NodesEndWhenTold, broken);
            }
        }
        let recovery = self.recovery().await;
        if recovery.is_none() {
            let kinds: Vec<_> = together.iter().map(|what| what.kind()).collect();
            let promise = Promise::NormalGoodputWithinTenSeconds;
            self.fail(promise, format!("after {kinds:?}"));
        }
        let (errors_after, gets_after) = self.errors();
        Round {
            at: self.began.elapsed(),
            together,
            lasts,
            errors: errors_after - errors,
            gets: gets_after - gets,
            recovery,
            others: 0.0,
        }
    }

    /// Settles the complaints of a round. Returns the share of the machine that other programs
    /// took meanwhile.
    fn settle(&self, used: &mut Used) -> f64 {
        let others = used.others_since();
        *used = Used::now();
        self.seen(|seen| seen.settle(others >= DISTURBED));
        others
    }

    /// How long it takes until a window begins in which goodput is normal.
    async fn recovery(&mut self) -> Option<Duration> {
        let lifted = Instant::now();
        while lifted.elapsed() <= RECOVERS_WITHIN + WINDOW {
            self.watch(LOOK).await;
            let since = lifted.elapsed();
            if since >= WINDOW && self.seen(Seen::is_normal) {
                return Some(since - WINDOW);
            }
        }
        None
    }

    /// Lets time pass, and checks the processes.
    async fn watch(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            self.look();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(LOOK)).await;
        }
    }

    fn look(&mut self) {
        for at in 0..NODES {
            if !self.scene.front_doors.is_open(at) {
                continue;
            }
            if !self.scene.nodes[at].process.is_running() {
                if !std::mem::replace(&mut self.was_seen_dead[at], true) {
                    self.fail(Promise::NoNodeEndsByItself, format!("node {at}"));
                }
                continue;
            }
            let now = self.scene.nodes[at].process.resident();
            let grown = now.saturating_sub(self.scene.empty[at]);
            if grown > MEMORY && self.peak[at] <= MEMORY {
                let case = format!("node {at} has grown by {} MiB", grown >> 20);
                self.fail(Promise::MemoryWithinItsBound, case);
            }
            self.peak[at] = self.peak[at].max(grown);
        }
        let (errors, gets) = self.errors();
        self.bar.set_position(self.began.elapsed().as_secs());
        self.bar
            .set_message(format!("{gets} gets, {errors} errors"));
    }

    fn errors(&self) -> (u64, u64) {
        self.seen(|seen| (seen.errors(), seen.gets()))
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.traffic.seen.lock().unwrap())
    }

    fn fail(&self, promise: Promise, case: String) {
        self.say(&format!("complaint: {promise:?}: {case}"));
        self.seen(|seen| seen.break_promise(promise, case));
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }
}
