//! Every interleaving of a few callers and one key, under loom:
//!
//! ```text
//! RUSTFLAGS="--cfg gaggle_loom" cargo test -p gaggle-singleflight --release --test loom
//! ```
//!
//! A lost wake-up is a deadlock to loom, and a leaked flight a leak; it reports both. Loads run
//! where they are started, or on a thread of their own if the model is about that.

#![cfg(gaggle_loom)]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::future::{Future, poll_fn, ready};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicBool as StdAtomicBool;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gaggle_singleflight::{FlightError, Flights, Options, Ticket, Waiter};
use loom::future::block_on;
use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

#[path = "loom/polling.rs"]
mod polling;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

fn flights(abandon_after: Option<Duration>) -> Arc<Flights<u8, usize>> {
    Arc::new(Flights::with_options(Options {
        abandon_after,
        count_waiters: false,
        shards: 1,
    }))
}

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// Runs a task where it is started.
fn here(task: Task) {
    block_on(task);
}

/// Runs a task on a thread of its own.
fn apart(task: Task) {
    thread::spawn(|| block_on(task));
}

/// Pending once, as a load that waits for its origin.
async fn turn() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Joins with a load that numbers itself.
fn numbered(
    flights: &Flights<u8, usize>,
    run: fn(Task),
    loads: &Arc<AtomicUsize>,
) -> Waiter<usize> {
    flights.join_modelled(run, &1, |_| {
        let loads = loads.clone();
        async move {
            turn().await;
            loads.fetch_add(1, Ordering::Relaxed) + 1
        }
    })
}

#[test]
fn two_joiners_share_one_load_or_load_in_turn() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let other = {
            let (flights, loads) = (flights.clone(), loads.clone());
            thread::spawn(move || {
                let waiter = numbered(&flights, here, &loads);
                (waiter.led(), block_on(waiter).unwrap())
            })
        };
        let waiter = numbered(&flights, here, &loads);
        let own = (waiter.led(), block_on(waiter).unwrap());
        let other = other.join().unwrap();

        let leaders = usize::from(own.0) + usize::from(other.0);
        assert_eq!(loads.load(Ordering::Relaxed), leaders);
        assert_eq!(own.1 == other.1, leaders == 1, "one load, one value");
        assert!(flights.is_empty());
    });
}

#[test]
fn two_waiters_of_a_load_apart_are_both_woken() {
    model(2, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let waiter = numbered(&flights, apart, &loads);
        let other = {
            let (flights, loads) = (flights.clone(), loads.clone());
            thread::spawn(move || block_on(numbered(&flights, here, &loads)).unwrap())
        };
        assert_eq!(block_on(waiter), Ok(1));
        let second = other.join().unwrap();
        assert_eq!(second, loads.load(Ordering::Relaxed));
        assert!(flights.is_empty());
    });
}

#[test]
fn a_waiter_may_leave_at_any_moment() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let staying = numbered(&flights, apart, &loads);
        let leaving = numbered(&flights, here, &loads);
        let leaver = thread::spawn(move || {
            // Registers, then leaves, while the load ends.
            let number = if leaving.led() { 2 } else { 1 };
            let polled = pin!(leaving).poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending() || polled == Poll::Ready(Ok(number)));
        });
        assert_eq!(block_on(staying), Ok(1));
        leaver.join().unwrap();
        assert!(flights.is_empty());
    });
}

#[test]
fn a_removed_value_never_stays_in_the_cache() {
    model(4, || {
        let flights = flights(None);
        let cache = Arc::new(Mutex::new(None));
        let remover = {
            let (flights, cache) = (flights.clone(), cache.clone());
            thread::spawn(move || {
                let found = flights.forget(&1);
                // Its value is dropped here; a value that a load has read before may not be seen
                // afterwards.
                *cache.lock().unwrap() = None;
                found
            })
        };
        let load = |ticket: Ticket<u8, usize>| {
            let cache = cache.clone();
            async move {
                turn().await;
                usize::from(
                    ticket
                        .if_current(|| *cache.lock().unwrap() = Some(1))
                        .is_some(),
                )
            }
        };
        let waiter = flights.join_modelled(here, &1, load);
        let committed = block_on(waiter).unwrap() == 1;
        let forgotten = remover.join().unwrap();

        let left = cache.lock().unwrap().is_some();
        assert!(
            !(forgotten && left),
            "the removal met the load, and its value came back"
        );
        assert!(
            committed || forgotten,
            "only a removal keeps a load from its commit"
        );
        assert!(flights.is_empty());
    });
}

#[test]
fn a_forgotten_flight_leaves_a_newer_one_alone() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let old = numbered(&flights, apart, &loads);
        flights.forget(&1);
        let new = numbered(&flights, apart, &loads);
        let joined = numbered(&flights, here, &loads);
        let led = joined.led();
        let (new, joined) = (block_on(new).unwrap(), block_on(joined).unwrap());
        if led {
            assert!(
                new < joined,
                "the newer flight lost its slot before its load was done"
            );
        } else {
            assert_eq!(new, joined);
        }
        assert_ne!(block_on(old).unwrap(), new);
        assert!(flights.is_empty());
    });
}

#[test]
fn a_panic_reaches_who_joined_and_spares_who_comes_after() {
    model(3, || {
        let flights = flights(None);
        let joiner = {
            let flights = flights.clone();
            thread::spawn(move || {
                let waiter = flights.join_modelled(here, &1, |_| ready(2));
                (waiter.led(), block_on(waiter))
            })
        };
        // Unwinds as `panic!` does, without a line on stderr for each interleaving.
        let leader = flights.join_modelled(here, &1, |_| async {
            turn().await;
            resume_unwind(Box::new("broken"))
        });
        let led = leader.led();
        let broken = Err(FlightError::Panicked {
            message: "broken".into(),
        });
        assert_eq!(block_on(leader), if led { broken.clone() } else { Ok(2) });
        let (other_led, other) = joiner.join().unwrap();
        assert_eq!(other, if other_led { Ok(2) } else { broken });
        assert!(flights.is_empty());
    });
}

#[test]
fn a_task_that_is_dropped_frees_its_slot() {
    model(3, || {
        let flights = flights(None);
        let joiner = {
            let flights = flights.clone();
            thread::spawn(move || {
                let waiter = flights.join_modelled(here, &1, |_| ready(2));
                (waiter.led(), block_on(waiter))
            })
        };
        let leader = flights.join_modelled(drop, &1, |_| ready(1));
        if leader.led() {
            assert_eq!(block_on(leader), Err(FlightError::Cancelled));
        } else {
            assert_eq!(block_on(leader), Ok(2));
        }
        let (led, answer) = joiner.join().unwrap();
        assert_eq!(
            answer,
            if led {
                Ok(2)
            } else {
                Err(FlightError::Cancelled)
            }
        );
        assert!(flights.is_empty());
    });
}

/// The grace period is over as soon as the task checks: the last waiter leaves, the task gives up,
/// and a caller joins, in every order. A caller that joins gets a value.
#[test]
fn a_joiner_is_never_abandoned() {
    model(3, || {
        let flights = flights(Some(Duration::ZERO));
        let loads = Arc::new(AtomicUsize::new(0));
        let first = numbered(&flights, apart, &loads);
        let joiner = {
            let (flights, loads) = (flights.clone(), loads.clone());
            thread::spawn(move || block_on(numbered(&flights, here, &loads)))
        };
        drop(first);
        let number = joiner.join().unwrap().unwrap();
        assert!(number == 1 || number == 2);
        // The first load may still be ending.
        while !flights.is_empty() {
            thread::yield_now();
        }
    });
}

/// A load that never ends by itself is ended when the last waiter leaves: no wake-up of the task
/// is lost, or the model would find its thread asleep forever.
#[test]
fn the_last_of_two_waiters_ends_the_load() {
    model(3, || {
        let flights = flights(Some(Duration::ZERO));
        let endless = || flights.join_modelled(apart, &1, |_| std::future::pending());
        let (first, second) = (endless(), endless());
        let other = thread::spawn(move || drop(first));
        drop(second);
        other.join().unwrap();
        while !flights.is_empty() {
            thread::yield_now();
        }
    });
}

/// The origin's answer before it changes, and after.
const OLD: u32 = 1;
const NEW: u32 = 2;

/// The parts of a group that a removal affects: its flights, and a cache and an origin for two
/// keys.
struct Node {
    flights: Flights<u8, (u32, Source), BuildHasherDefault<ByKey>>,
    cache: [Mutex<Option<u32>>; 2],
    origin: AtomicU32,
}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Cache,
    Origin,
}

/// The result of a get.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    value: u32,
    source: Source,
    /// By a flight that another get has started.
    joined: bool,
}

/// Puts each key into the shard of its number. A random hash would give loom another model each
/// time.
#[derive(Default)]
struct ByKey(u64);

impl Hasher for ByKey {
    fn finish(&self) -> u64 {
        self.0 << 32
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().copied().map(u64::from).sum();
    }
}

/// Both keys' values in the cache are `cached`, and the origin still has the old one.
fn node(cached: Option<u32>) -> Arc<Node> {
    let options = Options {
        abandon_after: None,
        count_waiters: false,
        shards: 2,
    };
    Arc::new(Node {
        flights: Flights::with_hasher(options, BuildHasherDefault::default()),
        cache: [Mutex::new(cached), Mutex::new(cached)],
        origin: AtomicU32::new(OLD),
    })
}

impl Node {
    fn cached(&self, key: u8) -> Option<u32> {
        *self.cache[usize::from(key)].lock().unwrap()
    }

    fn keep(&self, key: u8, value: Option<u32>) {
        *self.cache[usize::from(key)].lock().unwrap() = value;
    }

    /// The removal of one key.
    fn remove(&self, key: u8) {
        self.flights.forget(&key);
        self.keep(key, None);
        self.flights.forget(&key);
    }

    /// The removal of all keys. The cache is not emptied in one step.
    fn remove_all(&self) {
        self.flights.forget_all();
        self.keep(0, None);
        self.keep(1, None);
        self.flights.forget_all();
    }
}

fn get(node: &Arc<Node>, key: u8) -> Given {
    match node.cached(key) {
        Some(value) => Given {
            value,
            source: Source::Cache,
            joined: false,
        },
        None => get_after_a_miss(node, key),
    }
}

/// The rest of a get that has found nothing in the cache. It begins while the cache may hold a
/// value: another flight may have stored one since the lookup.
fn get_after_a_miss(node: &Arc<Node>, key: u8) -> Given {
    let waiter = node.flights.join_modelled(here, &key, |ticket| {
        let node = node.clone();
        async move {
            if let Some(found) = node.cached(key) {
                return (found, Source::Cache);
            }
            let loaded = node.origin.load(Ordering::Relaxed);
            ticket.if_current(|| node.keep(key, Some(loaded)));
            (loaded, Source::Origin)
        }
    });
    let joined = !waiter.led();
    let (value, source) = block_on(waiter).unwrap();
    Given {
        value,
        source,
        joined,
    }
}

/// Changes the origin, removes and then gets each of the keys, while another thread for each key
/// runs a get of it. Returns the values that are returned after the removal.
fn get_after_removal(
    node: &Arc<Node>,
    keys: &[u8],
    meanwhile: fn(&Arc<Node>, u8) -> Given,
    remove: impl FnOnce(&Node),
) -> Vec<Given> {
    let others = keys.iter().map(|&key| {
        let node = node.clone();
        thread::spawn(move || meanwhile(&node, key))
    });
    let others: Vec<_> = others.collect();
    node.origin.store(NEW, Ordering::Relaxed);
    remove(node);
    let given = keys.iter().map(|&key| get(node, key)).collect();
    for other in others {
        // Begun before the removal's end: either value is correct.
        other.join().unwrap();
    }
    for &key in keys {
        let left = node.cached(key);
        assert_ne!(left, Some(OLD), "the removed value is in the cache");
    }
    assert!(node.flights.is_empty());
    given
}

fn assert_new(given: &[Given]) {
    assert!(
        given.iter().all(|given| given.value == NEW),
        "the removed value was given to a get that began later: {given:?}"
    );
}

/// The removal meets the other get before its load, between load and commit, and after the commit.
/// The flight that has loaded the old value is detached before the cache is emptied: either it has
/// committed by then, and the value is dropped, or it never does.
#[test]
fn a_get_after_a_removal_is_not_given_what_was_loaded_before() {
    model(6, || {
        let node = node(None);
        assert_new(&get_after_removal(&node, &[0], get, |node| node.remove(0)));
    });
}

/// The other get's flight begins after the first detaching and finds the old value in the cache;
/// the cache is emptied; the flight has not ended yet. The second detaching prevents later gets
/// from joining it.
#[test]
fn a_get_after_a_removal_is_not_given_what_was_found_before() {
    model(6, || {
        let node = node(Some(OLD));
        let remove = |node: &Node| node.remove(0);
        assert_new(&get_after_removal(&node, &[0], get_after_a_miss, remove));
    });
}

/// The removal of the test above, without its second detaching: the flight has found the old value
/// and has not ended when the removal is over, and the next get joins it. The old value is
/// returned in this way only, and in this way it must be returned.
#[test]
fn one_detaching_is_too_few_for_a_removal() {
    let met = std::sync::Arc::new(StdAtomicBool::new(false));
    let seen = met.clone();
    model(6, move || {
        let node = node(Some(OLD));
        let given = get_after_removal(&node, &[0], get_after_a_miss, |node| {
            node.flights.forget(&0);
            node.keep(0, None);
        });
        let joined = Given {
            value: OLD,
            source: Source::Cache,
            joined: true,
        };
        if given == [joined] {
            seen.store(true, Ordering::Relaxed);
        } else {
            assert_new(&given);
        }
    });
    assert!(
        met.load(Ordering::Relaxed),
        "no get has joined the flight that had found the removed value"
    );
}

/// The shards' flights are detached in turn, and the keys' values are dropped in turn: a load of
/// the second key may begin, and may commit, after the first key's was detached.
#[test]
fn a_get_after_a_removal_of_all_keys_is_not_given_what_was_loaded_before() {
    model(3, || {
        let node = node(None);
        assert_new(&get_after_removal(&node, &[0, 1], get, Node::remove_all));
    });
}

/// A flight of either key begins between the first detaching of its shard and the drop of its
/// value, finds that value, and has not ended when the cache is empty.
#[test]
fn a_get_after_a_removal_of_all_keys_is_not_given_what_was_found_before() {
    model(3, || {
        let node = node(Some(OLD));
        let given = get_after_removal(&node, &[0, 1], get_after_a_miss, Node::remove_all);
        assert_new(&given);
    });
}

/// A fetch whose peer fails at once, and which joins the key's load: the group's two tables.
fn fetch(
    fetches: &Flights<u8, (u32, Source), BuildHasherDefault<ByKey>>,
    node: &Arc<Node>,
) -> Given {
    if let Some(value) = node.cached(0) {
        return Given {
            value,
            source: Source::Cache,
            joined: false,
        };
    }
    let waiter = fetches.join_modelled(here, &0, |_| {
        let node = node.clone();
        async move {
            if let Some(found) = node.cached(0) {
                return (found, Source::Cache);
            }
            let given = get_after_a_miss(&node, 0);
            (given.value, given.source)
        }
    });
    let joined = !waiter.led();
    let (value, source) = block_on(waiter).unwrap();
    Given {
        value,
        source,
        joined,
    }
}

/// A group has two tables: a fetch whose peer fails at once joins the key's load, which another
/// node's request may have started. Both are detached, the loads first. In the other order a fetch
/// that begins between the two joins a load that has found the removed value, and is itself still
/// attached when the removal is over.
#[test]
fn a_get_after_a_removal_is_not_given_what_a_fetch_took_from_a_load() {
    model(3, || {
        let node = node(Some(OLD));
        let options = Options {
            abandon_after: None,
            count_waiters: false,
            shards: 1,
        };
        let fetches = Arc::new(Flights::with_hasher(
            options,
            BuildHasherDefault::<ByKey>::default(),
        ));
        let load = {
            let node = node.clone();
            thread::spawn(move || {
                get_after_a_miss(&node, 0);
            })
        };
        let other = {
            let (node, fetches) = (node.clone(), fetches.clone());
            thread::spawn(move || {
                fetch(&fetches, &node);
            })
        };
        node.origin.store(NEW, Ordering::Relaxed);
        let detach = || {
            node.flights.forget(&0);
            fetches.forget(&0);
        };
        detach();
        node.keep(0, None);
        detach();
        let given = fetch(&fetches, &node);
        load.join().unwrap();
        other.join().unwrap();
        assert_ne!(
            node.cached(0),
            Some(OLD),
            "the removed value is in the cache"
        );
        assert_new(&[given]);
    });
}

/// A load without waiters gives up. A caller that arrives at that moment either prevents that, or
/// starts a load of its own: no caller gets the outcome of a load that gave up.
#[test]
fn no_caller_gets_the_result_of_an_abandoned_load() {
    const GIVEN_UP: usize = 0;
    model(3, || {
        let flights: Arc<Flights<u8, usize>> = Arc::new(Flights::with_options(Options {
            abandon_after: None,
            count_waiters: true,
            shards: 1,
        }));
        let first = {
            let flights = flights.clone();
            thread::spawn(move || {
                let mut task = None;
                let waiter = flights.join_modelled(
                    |load| task = Some(load),
                    &0,
                    |ticket| async move { if ticket.give_up() { GIVEN_UP } else { 1 } },
                );
                drop(waiter);
                // None where the other's load ran already.
                if let Some(task) = task {
                    here(task);
                }
            })
        };
        let waiter = flights.join_modelled(here, &0, |ticket| async move {
            assert!(!ticket.give_up(), "its leader waits");
            2
        });
        // Whether it led or joined.
        assert_ne!(block_on(waiter).unwrap(), GIVEN_UP);
        first.join().unwrap();
        assert!(flights.is_empty());
    });
}
