//! A schedule that is drawn from a seed and executed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle_follow::Change;
use gaggle_testkit::{Link, Mutant};
use tokio::time::{Instant, sleep, timeout};

use super::Defect;
use super::facts::Facts;
use super::random::Random;
use crate::source::Trouble;
use crate::world::{SECOND, World};

const NODES: usize = 3;
const STEPS: usize = 120;
const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

pub(crate) struct Play {
    random: Random,
    world: World,
    facts: Arc<Mutex<Facts>>,
    /// Nodes that do not run, and since when.
    dead: BTreeMap<usize, Instant>,
    version: u64,
    puts: bool,
    started: Instant,
    verbose: bool,
}

impl Play {
    pub(crate) fn new(seed: u64, defect: Defect, verbose: bool) -> Self {
        let mut random = Random(seed);
        let world = World::new(NODES);
        let facts = Arc::new(Mutex::new(Facts::default()));
        let puts = random.below(2) == 0;
        let network = world.cluster.network();
        network.delay(Duration::from_millis(1 << random.below(6)), random.next());
        if defect == Defect::Deaf {
            network.mutate(Mutant::DeafNow);
        }
        {
            let mut state = world.source.state();
            state.most = random.of(&[1, 2, 5, 1_024]);
            state.delay = Duration::from_millis(random.below(50));
            state.forgets_unconfirmed = defect == Defect::Forgetful;
            if !puts {
                // A value that a node puts a moment after it has lost the source is wrong for a
                // second or two, as documented; the end has to be right.
                let facts = Arc::clone(&facts);
                let check = move |position| facts.lock().unwrap().confirmed(position);
                state.on_confirm = Some(Arc::new(check));
            }
        }
        for node in 0..NODES {
            facts
                .lock()
                .unwrap()
                .running
                .insert(node, world.group(node));
        }
        Self {
            random,
            world,
            facts,
            dead: BTreeMap::new(),
            version: 0,
            puts,
            started: Instant::now(),
            verbose,
        }
    }

    pub(crate) async fn run(mut self) -> Option<String> {
        for _ in 0..STEPS {
            self.step().await;
            let pause = match self.random.below(20) {
                0..11 => self.random.below(20),
                11..17 => self.random.below(500),
                17..19 => self.random.below(4_000),
                _ => self.random.below(15_000),
            };
            sleep(Duration::from_millis(pause)).await;
            if let Some(violation) = self.violation() {
                return Some(violation);
            }
        }
        self.heal().await;
        let end = self.world.source.end();
        let until = Instant::now() + 90 * SECOND;
        while self.world.source.confirmed() < end && Instant::now() < until {
            sleep(Duration::from_millis(50)).await;
        }
        self.say(&format!(
            "confirmed {} of {end}",
            self.world.source.confirmed()
        ));
        if self.world.source.confirmed() < end {
            let states: Vec<_> = (0..NODES).map(|node| self.world.stats(node)).collect();
            return Some(format!(
                "{} of {end} confirmed: {states:?}",
                self.world.source.confirmed()
            ));
        }
        // Values that were put by nodes that have lost the source are removed after a second.
        let settled = if self.puts {
            4 * SECOND
        } else {
            Duration::ZERO
        };
        sleep(settled).await;
        let wrong = self.compare().await;
        self.violation().or(wrong)
    }

    fn violation(&self) -> Option<String> {
        self.facts.lock().unwrap().violation.clone()
    }

    async fn compare(&self) -> Option<String> {
        for key in KEYS {
            let value = self
                .world
                .source
                .state()
                .values
                .get(key.as_bytes())
                .cloned();
            for node in 0..NODES {
                let found = self.world.group(node).find(key).await;
                if !found.as_ref().is_ok_and(|found| *found == value) {
                    return Some(format!(
                        "node {node} has {found:?} of {key}, the source {value:?}"
                    ));
                }
            }
        }
        None
    }

    fn say(&self, what: &str) {
        if self.verbose {
            println!("{:>10.3?} {what}", self.started.elapsed());
        }
    }

    async fn step(&mut self) {
        let node = self.random.index(NODES);
        match self.random.below(100) {
            0..34 => self.get(node),
            34..62 => self.write(),
            62..72 => {
                let other = (node + 1 + self.random.index(NODES - 1)) % NODES;
                let link =
                    self.random
                        .of(&[Link::Up, Link::Up, Link::Refused, Link::Lost, Link::Stuck]);
                self.say(&format!("{node} to {other}: {link:?}"));
                if !self.dead.contains_key(&node) && !self.dead.contains_key(&other) {
                    self.world.link(node, other, link);
                }
            }
            72..76 => {
                let link = self.random.of(&[Link::Refused, Link::Lost]);
                self.say(&format!("{node} is cut off: {link:?}"));
                self.world.isolate(node, link);
            }
            76..80 => self.join_links(),
            80..83 => self.kill(node),
            83..87 => self.restart(node),
            87..90 => {
                let cut = self.random.below(2) == 0;
                self.say(&format!("{node} is cut off from the source: {cut}"));
                if !self.dead.contains_key(&node) {
                    self.world.source.set_cut(node, cut);
                }
            }
            90..92 => {
                self.say("the source is lost");
                self.world.source.kick();
            }
            92..94 => {
                self.say("changes are lost");
                self.world.source.state().missed = Some("the slot is gone".into());
                self.world.source.kick();
            }
            94..95 => self.truncate(),
            95..97 => {
                self.say(&format!("{node} stops and starts to follow"));
                if let Some(running) = self.world.followers[node].take() {
                    running.follower.stop().await;
                    self.world.follow(node);
                }
            }
            _ => {
                let trouble = self.random.of(&[
                    Trouble::OpenFails,
                    Trouble::OpenPanics,
                    Trouble::NextFails,
                    Trouble::NextPanics,
                    Trouble::ConfirmFails,
                    Trouble::ClosePanics,
                ]);
                let on = self.random.below(3) == 0;
                self.say(&format!("{trouble:?}: {on}"));
                self.world.source.set(trouble, on);
            }
        }
    }

    fn get(&mut self, node: usize) {
        if self.dead.contains_key(&node) {
            return;
        }
        let (group, key) = (self.world.group(node), self.random.of(&KEYS));
        tokio::spawn(async move {
            // A missing answer is not a wrong one: other tests check whether there should be one.
            let _ = timeout(20 * SECOND, group.find(key)).await;
        });
    }

    fn write(&mut self) {
        let mut values = Vec::new();
        for _ in 0..=self.random.below(4) {
            self.version += 1;
            let gone = self.random.below(6) == 0;
            let key = self.random.of(&KEYS);
            values.push((key, (!gone).then(|| self.version.to_string())));
        }
        let changes: Vec<_> = values
            .iter()
            .map(|(key, value)| (*key, value.as_deref()))
            .collect();
        let end = self.world.source.write(&changes, self.puts);
        self.say(&format!("{end}: {changes:?}"));
        let first = self.version - values.len() as u64 + 1;
        let mut facts = self.facts.lock().unwrap();
        for (at, (key, _)) in values.iter().enumerate() {
            facts
                .versions
                .entry(key)
                .or_default()
                .push((end, first + at as u64));
        }
    }

    fn truncate(&mut self) {
        self.say("everything is removed");
        self.version += 1;
        self.world.source.state().values.clear();
        let end = self.world.source.append(vec![Change::All]);
        let mut facts = self.facts.lock().unwrap();
        for key in KEYS {
            facts
                .versions
                .entry(key)
                .or_default()
                .push((end, self.version));
        }
    }

    /// Links of nodes that do not run stay cut.
    fn join_links(&self) {
        self.say("all links are up");
        for a in 0..NODES {
            for b in a + 1..NODES {
                if !self.dead.contains_key(&a) && !self.dead.contains_key(&b) {
                    self.world.link(a, b, Link::Up);
                }
            }
        }
    }

    fn kill(&mut self, node: usize) {
        if self.dead.is_empty() {
            self.say(&format!("{node} is killed"));
            self.world.kill(node);
            self.facts.lock().unwrap().running.remove(&node);
            self.dead.insert(node, Instant::now());
        }
    }

    fn restart(&mut self, node: usize) {
        // Its last messages have arrived or are lost by then.
        let long_ago = |since: &Instant| since.elapsed() > 4 * SECOND;
        if self.dead.get(&node).is_some_and(long_ago) {
            self.say(&format!("{node} starts"));
            self.dead.remove(&node);
            self.world.restart(node);
            for other in self.world.others(node) {
                self.world.link(node, other, Link::Up);
            }
            let group = self.world.group(node);
            self.facts.lock().unwrap().running.insert(node, group);
        }
    }

    async fn heal(&mut self) {
        self.world.source.state().trouble.clear();
        if !self.dead.is_empty() {
            sleep(5 * SECOND).await;
        }
        for node in 0..NODES {
            self.restart(node);
            self.world.source.set_cut(node, false);
        }
        self.join_links();
    }
}
