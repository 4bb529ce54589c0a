//! A schedule that is drawn from a seed and executed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use gaggle_group::{Entry, Freshness, FreshnessPolicy, Group, Removal, Sampled};
use gaggle_testkit::{Cluster, Link, Mutant};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep};

use crate::random::Random;
use crate::world::{MEMBERS, World, hint};

const GATEWAYS: usize = 2;
const NODES: usize = MEMBERS + GATEWAYS;
const STEPS: usize = 120;
const KEYS: [&str; 6] = ["a1", "a2", "a3", "b1", "b2", "c1"];

/// A wrong answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) node: usize,
    pub(crate) key: &'static str,
    pub(crate) what: String,
}

struct Play {
    random: Random,
    cluster: RefCell<Cluster>,
    world: World,
    violation: RefCell<Option<Violation>>,
    started: Instant,
    verbose: bool,
}

pub(crate) async fn play(seed: u64, mutant: Option<Mutant>, verbose: bool) -> Option<Violation> {
    let random = Random::new(seed);
    let world = World::default();
    let origin = world.clone();
    let cluster = Cluster::with_gateways(MEMBERS, GATEWAYS, move |builder| {
        builder
            .origin(origin.clone())
            .hot_copies(Sampled { one_in: 2 })
            .freshness(FreshnessPolicy {
                refresh_ahead: 0.2,
                ..FreshnessPolicy::default()
            })
    });
    let network = cluster.network();
    network.delay(Duration::from_millis(1 << random.below(6)), random.next());
    if let Some(mutant) = mutant {
        network.mutate(mutant);
    }
    {
        let mut facts = world.facts();
        for a in 0..NODES {
            for b in a + 1..NODES {
                facts.set_contact(a, b, true);
            }
        }
    }
    let play = Rc::new(Play {
        random,
        cluster: RefCell::new(cluster),
        world,
        violation: RefCell::new(None),
        started: Instant::now(),
        verbose,
    });
    let local = LocalSet::new();
    local.run_until(Rc::clone(&play).steps()).await;
    play.violation.borrow().clone()
}

impl Play {
    async fn steps(self: Rc<Self>) {
        let mut tasks = JoinSet::new();
        for _ in 0..STEPS {
            self.step(&mut tasks);
            // Mostly without a pause, so that events coincide; sometimes long enough for
            // everything to settle.
            let pause = match self.random.below(10) {
                0..6 => self.random.below(20),
                6..9 => self.random.below(300),
                _ => self.random.below(2_500),
            };
            sleep(Duration::from_millis(pause)).await;
            if self.violation.borrow().is_some() {
                return;
            }
        }
        // All nodes are in contact again; after that no old value may be left.
        for a in 0..NODES {
            for b in a + 1..NODES {
                self.link(a, b, Link::Up);
            }
        }
        self.world.facts().failing = false;
        sleep(Duration::from_secs(2)).await;
        for node in 0..NODES {
            for key in KEYS {
                self.get(node, key, &mut tasks);
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    fn step(self: &Rc<Self>, tasks: &mut JoinSet<()>) {
        let random = &self.random;
        let node = random.index(NODES);
        let key = KEYS[random.index(KEYS.len())];
        match random.below(100) {
            0..50 => self.get(node, key, tasks),
            50..66 => self.remove(node, &[key], tasks),
            66..69 => self.remove(node, &[key, KEYS[random.index(KEYS.len())]], tasks),
            69..71 => self.remove(node, &[], tasks),
            71..78 => self.put(node, key, tasks),
            78..86 => {
                let other = (node + 1 + random.index(NODES - 1)) % NODES;
                let link = [Link::Up, Link::Refused, Link::Lost][random.index(3)];
                self.link(node, other, link);
            }
            86..90 => {
                let link = [Link::Refused, Link::Lost][random.index(2)];
                for other in (0..NODES).filter(|other| *other != node) {
                    self.link(node, other, link);
                }
            }
            90..93 => {
                for a in 0..NODES {
                    for b in a + 1..NODES {
                        self.link(a, b, Link::Up);
                    }
                }
            }
            93..95 => {
                self.say(|| format!("node {node} restarts"));
                self.cluster.borrow_mut().restart(node);
                self.world.facts().restarted(node);
            }
            95..98 => self.ring(node),
            _ => {
                let mut facts = self.world.facts();
                facts.failing = !facts.failing;
                let failing = facts.failing;
                self.say(|| format!("the origin fails: {failing}"));
            }
        }
    }

    fn group(&self, node: usize) -> Group {
        self.cluster.borrow().nodes()[node].group.clone()
    }

    fn get(self: &Rc<Self>, node: usize, key: &'static str, tasks: &mut JoinSet<()>) {
        let (play, group) = (Rc::clone(self), self.group(node));
        let (began, bound) = (Instant::now(), self.world.facts().bound(node, key));
        tasks.spawn_local(async move {
            let found = group.find(key).await;
            play.say(|| {
                format!(
                    "node {node} has {found:?} of {key}, asked at {:?}",
                    began - play.started
                )
            });
            // A missing answer is not a wrong one: other tests check whether there should be one.
            let Ok(Some(value)) = found else { return };
            let wrong = play.world.facts().judge(key, &value, bound, began);
            if let Some(what) = wrong {
                play.violation
                    .borrow_mut()
                    .get_or_insert(Violation { node, key, what });
            }
        });
    }

    /// Removes those keys, or all if there are none.
    fn remove(self: &Rc<Self>, node: usize, keys: &[&'static str], tasks: &mut JoinSet<()>) {
        let (play, group) = (Rc::clone(self), self.group(node));
        let keys = keys.to_vec();
        let called = Instant::now();
        let me = self.world.facts().incarnation(node);
        self.say(|| format!("node {node} removes {keys:?}"));
        let impatient = self.random.one_in(8);
        tasks.spawn_local(async move {
            let removal = async {
                match &keys[..] {
                    [] => group.remove_group().await,
                    [one] => group.remove(one).await,
                    many => group.remove_many(many).await,
                }
            };
            if impatient {
                // The caller drops the get before its end: there is no answer, and so no promise.
                let some = Duration::from_millis(1);
                let _ = tokio::time::timeout(some, removal).await.map(drop);
                return;
            }
            let removal = removal.await;
            play.answered(&keys, called, me, &removal);
        });
    }

    fn put(self: &Rc<Self>, node: usize, key: &'static str, tasks: &mut JoinSet<()>) {
        let (play, group) = (Rc::clone(self), self.group(node));
        let called = Instant::now();
        let (value, me) = {
            let mut facts = self.world.facts();
            (facts.make_put(key), facts.incarnation(node))
        };
        self.say(|| format!("node {node} puts {value:?} of {key}"));
        tasks.spawn_local(async move {
            let hint = hint(key);
            let mut freshness = Freshness::default();
            freshness.ttl = hint.ttl;
            let entry = Entry::value(value.clone()).with_freshness(freshness);
            let done = group.put(key, entry).await;
            play.world.facts().was_put(&value);
            if let Ok(removal) = done {
                play.answered(&[key], called, me, &removal);
            }
        });
    }

    fn answered(&self, keys: &[&str], called: Instant, me: (usize, u32), removal: &Removal) {
        let mut facts = self.world.facts();
        let cluster = self.cluster.borrow();
        let nodes = cluster.nodes().iter().enumerate();
        // By name: a node that has restarted since does not know it.
        let mut knowing: BTreeSet<_> = nodes
            .filter(|(_, node)| removal.removed.iter().any(|name| **name == *node.name))
            .map(|(at, _)| facts.incarnation(at))
            .filter(|incarnation| facts.is_running_since(*incarnation, called))
            .collect();
        knowing.insert(me);
        self.say(|| {
            format!(
                "{keys:?} removed, known by {knowing:?}, missed {:?}",
                removal.missed
            )
        });
        let keys = (!keys.is_empty()).then(|| keys.iter().map(|&key| key.to_owned()).collect());
        facts.removed(keys, called, knowing);
    }

    fn link(&self, a: usize, b: usize, link: Link) {
        let cluster = self.cluster.borrow();
        let (a_name, b_name) = (&cluster.nodes()[a].name, &cluster.nodes()[b].name);
        if cluster.network().link(a_name, b_name) == link {
            return;
        }
        self.say(|| format!("{a} to {b}: {link:?}"));
        cluster.network().set(a_name, b_name, link);
        cluster.network().set(b_name, a_name, link);
        self.world.facts().set_contact(a, b, link == Link::Up);
    }

    /// Gives a node its own list, which lacks one member or none.
    fn ring(&self, node: usize) {
        let cluster = self.cluster.borrow();
        let missing = self.random.index(MEMBERS + 2);
        let names = cluster.nodes().iter().take(MEMBERS).enumerate();
        let names = names
            .filter(|(at, _)| *at != missing)
            .map(|(_, node)| node.name.clone());
        self.say(|| format!("node {node} is told that {missing} is no member"));
        cluster.nodes()[node].peers.update(names).unwrap();
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>10.3?} {}", self.started.elapsed(), what());
        }
    }
}
