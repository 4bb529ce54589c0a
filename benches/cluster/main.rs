//! Whole systems as processes, beside each other: Gaggle nodes as they are released,
//! golang/groupcache nodes, a bare axum handler, and axum with one reqwest request for each key.
//! One driver asks all of them, over loopback.
//!
//! ```sh
//! just bench-cluster        # builds gaggle-node, and runs this: about three minutes
//! ```
//!
//! The sides take turns in short rounds; what is printed are medians over the rounds, and ratios
//! of medians. The driver has one of the cores mostly to itself, so that a side's requests per
//! second on two cores are close to what it answers with one. CPU time is that of all processes of
//! a side, from `/proc`, and leaves the driver out.

#![allow(clippy::print_stdout, reason = "this is what it is for")]
#![expect(
    clippy::cast_precision_loss,
    reason = "microseconds and counts far below 2^53"
)]

use std::env;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gaggle_ring::Profile;

mod driver;
mod process;
mod serve;
mod sides;
mod start;
mod table;

use driver::{Order, Requests};
use serve::Role;
use sides::{Settings, Side};
use table::{Figures, Target};

/// Callers at once, each with a connection of its own.
const CALLERS: usize = 64;

/// How long, how often, over how many keys.
#[derive(Clone, Copy)]
struct Scale {
    rounds: usize,
    round: Duration,
    /// Before the first round of a scene, so that copies are where they will be.
    settle: Duration,
    keys: usize,
    cluster_keys: usize,
    starts: usize,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(role) = Role::ALL
        .into_iter()
        .find(|role| arguments.first().is_some_and(|name| name == role.name()))
    {
        let addr = arguments.get(1).and_then(|addr| addr.parse().ok());
        let addr = addr.ok_or_else(|| io::Error::other("expected an address"))?;
        return role.serve(addr, arguments.get(2).cloned());
    }
    // Without `--bench`, as `cargo test` runs it: the driver and the bare handler only, as nothing
    // else is built then.
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    if !asked("--bench") || asked("--test") {
        return smoke();
    }
    let scale = Scale {
        rounds: 7,
        round: Duration::from_secs(2),
        settle: Duration::from_secs(4),
        keys: 100_000,
        cluster_keys: 10_000,
        starts: 21,
    };
    let only = arguments
        .iter()
        .find(|argument| !argument.starts_with("--"))
        .map(String::as_str);
    let wanted = |scene: &str| only.is_none_or(|only| scene.contains(only));
    let mut targets = Vec::new();
    println!(
        "{CALLERS} callers with a connection each, 100-byte values; medians of {} rounds by turns",
        scale.rounds
    );
    if wanted("front") {
        targets.extend(front_door(scale)?);
    }
    if wanted("cluster") {
        targets.extend(cluster(scale)?);
    }
    if wanted("hop") {
        targets.extend(hop(scale)?);
    }
    if wanted("start") {
        targets.extend(start::targets(scale.starts)?);
    }
    table::targets(&targets);
    Ok(())
}

fn smoke() -> io::Result<()> {
    let side = sides::own(Role::Bare, None)?;
    let keys = keys(100);
    let requests = Arc::new(requests(&keys, Some("constant")));
    for order in [Order::Once, Order::Zipf(Duration::from_millis(50))] {
        let outcome = driver::run(side.front, 4, &requests, order)?;
        assert!(outcome.answers > 0);
    }
    side.cpu().map(drop)
}

/// The value of a key: 100 bytes that no other key has.
pub(crate) fn value_of(key: &str) -> Vec<u8> {
    format!("{key:.>100}").into_bytes()
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("key-{n:06}")).collect()
}

/// `GET /api?key=` of each key. Every answer has to be the key's value, or the one that a constant
/// handler gives.
fn requests(keys: &[String], constant: Option<&str>) -> Requests {
    Requests::new(
        keys.iter().map(String::as_str),
        |key| format!("/api?key={key}"),
        |key| value_of(constant.unwrap_or(key)),
    )
}

/// A hit on one node, through its front door.
fn front_door(scale: Scale) -> io::Result<Vec<Target>> {
    let keys = keys(scale.keys);
    let origin = sides::own(Role::Origin, None)?;
    let (gaggle, _) = sides::gaggle::<1>(origin.front, Settings { copies: true })?;
    let bare = sides::own(Role::Bare, None)?;
    let mut contest = Contest::new(scale, CALLERS);
    contest.add(gaggle, Arc::new(requests(&keys, None)));
    contest.add(bare, Arc::new(requests(&keys, Some("constant"))));
    let figures = contest.run(&format!(
        "Front door: one node, {} keys by zipf 0.99, all in memory",
        scale.keys
    ))?;
    let [gaggle, bare] = &figures[..] else {
        return Ok(Vec::new());
    };
    Ok(vec![Target::at_least(
        "front door, hit: throughput of the bare handler",
        0.9,
        gaggle.per_second / bare.per_second,
    )])
}

/// Three nodes, asked through the front door of one.
fn cluster(scale: Scale) -> io::Result<Vec<Target>> {
    let keys = keys(scale.cluster_keys);
    let right = Arc::new(requests(&keys, None));
    let origin = sides::own(Role::Origin, None)?;
    let settings = Settings { copies: true };
    let (gaggle, _) = sides::gaggle::<3>(origin.front, settings)?;
    let groupcache = sides::groupcache::<3>(origin.front, settings)?;
    let mut contest = Contest::new(scale, CALLERS);
    contest.add(gaggle, Arc::clone(&right));
    contest.add(
        sides::own(Role::Bare, None)?,
        Arc::new(requests(&keys, Some("constant"))),
    );
    if let Some((groupcache, _)) = groupcache {
        contest.add(groupcache, right);
    }
    let figures = contest.run(&format!(
        "Cluster: three nodes, {} keys by zipf 0.99, through one node",
        scale.cluster_keys
    ))?;
    let [gaggle, bare, rest @ ..] = &figures[..] else {
        return Ok(Vec::new());
    };
    let mut targets = vec![Target::at_least(
        "cluster: throughput of the bare handler",
        0.9,
        gaggle.per_second / bare.per_second,
    )];
    if let [go] = rest {
        targets.extend([
            Target::at_most(
                "cluster: p99 of golang/groupcache's",
                1.0 / 3.0,
                gaggle.p99 / go.p99,
            ),
            Target::at_most(
                "cluster: CPU time per request of golang/groupcache's",
                1.0 / 3.0,
                gaggle.cpu / go.cpu,
            ),
        ]);
    }
    Ok(targets)
}

/// Keys that other nodes own, of which the node that is asked keeps no copies.
fn hop(scale: Scale) -> io::Result<Vec<Target>> {
    let origin = sides::own(Role::Origin, None)?;
    let settings = Settings { copies: false };
    let mut targets = Vec::new();
    for callers in [CALLERS, 1] {
        let keys = keys(scale.keys);
        let (gaggle, members) = sides::gaggle::<3>(origin.front, settings)?;
        let elsewhere = sides::owned_elsewhere(&members, Profile::Gaggle)?;
        let mut contest = Contest::new(scale, callers);
        let wanted = keys.iter().filter(|key| elsewhere(key)).cloned();
        contest.add(
            gaggle,
            Arc::new(requests(&wanted.collect::<Vec<_>>(), None)),
        );
        let upstream = sides::own(Role::Bare, None)?;
        let proxy = sides::own(Role::Proxy, Some(upstream.front))?;
        contest.add(
            proxy.with(upstream),
            Arc::new(requests(&keys, Some("constant"))),
        );
        // What is left where a hop costs nothing: no side can be faster.
        let constant = Arc::new(requests(&keys, Some("constant")));
        contest.add(sides::own(Role::Bare, None)?, constant);
        if let Some((groupcache, members)) = sides::groupcache::<3>(origin.front, settings)? {
            let elsewhere = sides::owned_elsewhere(&members, Profile::GROUPCACHE)?;
            let wanted = keys.iter().filter(|key| elsewhere(key)).cloned();
            contest.add(
                groupcache,
                Arc::new(requests(&wanted.collect::<Vec<_>>(), None)),
            );
        }
        let who = if callers == 1 {
            "a lone caller".to_owned()
        } else {
            format!("{callers} callers")
        };
        let figures = contest.run(&format!(
            "Hop: keys that two other nodes own, no copies, {who}"
        ))?;
        let [gaggle, proxy, bare, rest @ ..] = &figures[..] else {
            continue;
        };
        if callers == 1 {
            targets.push(Target::at_most(
                "hop, a lone caller: median latency of one request per key",
                1.1,
                gaggle.p50 / proxy.p50,
            ));
        } else {
            targets.push(Target::at_least(
                "hop: throughput of one request per key",
                3.0,
                gaggle.per_second / proxy.per_second,
            ));
            println!(
                "A hop that costs nothing would come to {:.1} of one request per key.\n",
                bare.per_second / proxy.per_second
            );
            targets.extend(rest.iter().map(|go| {
                Target::at_least(
                    "hop: throughput of golang/groupcache",
                    4.0,
                    gaggle.per_second / go.per_second,
                )
            }));
        }
    }
    Ok(targets)
}

/// Sides that answer the same load by turns.
struct Contest {
    scale: Scale,
    callers: usize,
    sides: Vec<(Side, Arc<Requests>)>,
}

impl Contest {
    fn new(scale: Scale, callers: usize) -> Self {
        Self {
            scale,
            callers,
            sides: Vec::new(),
        }
    }

    fn add(&mut self, side: Side, requests: Arc<Requests>) {
        // For a profiler, which wants one side alone.
        let only = env::var("GAGGLE_SIDE").ok();
        if only.is_none_or(|only| side.name == only) {
            self.sides.push((side, requests));
        }
    }

    /// Fills every side, runs the rounds, prints a table, and returns the medians in the order of
    /// the sides.
    fn run(self, title: &str) -> io::Result<Vec<Figures>> {
        for (side, requests) in &self.sides {
            driver::run(side.front, CALLERS, requests, Order::Once)?;
            let settling = Order::Zipf(self.scale.settle);
            driver::run(side.front, self.callers, requests, settling)?;
        }
        let mut rounds = vec![Vec::new(); self.sides.len()];
        for _ in 0..self.scale.rounds {
            for ((side, requests), figures) in self.sides.iter().zip(&mut rounds) {
                figures.push(self.round(side, requests)?);
            }
        }
        let medians: Vec<Figures> = rounds
            .iter()
            .map(|rounds| {
                let of = |figure: fn(&Figures) -> f64| median(rounds.iter().map(figure).collect());
                Figures {
                    per_second: of(|f| f.per_second),
                    p50: of(|f| f.p50),
                    p99: of(|f| f.p99),
                    cpu: of(|f| f.cpu),
                }
            })
            .collect();
        let names = self.sides.iter().map(|(side, _)| side.name);
        table::scene(title, names.zip(&medians));
        Ok(medians)
    }

    fn round(&self, side: &Side, requests: &Arc<Requests>) -> io::Result<Figures> {
        let before = side.cpu()?;
        let order = Order::Zipf(self.scale.round);
        let outcome = driver::run(side.front, self.callers, requests, order)?;
        let used = side.cpu()?.saturating_sub(before);
        Ok(Figures {
            per_second: outcome.per_second,
            p50: outcome.latency.value_at_quantile(0.5) as f64,
            p99: outcome.latency.value_at_quantile(0.99) as f64,
            cpu: used.as_secs_f64() * 1e6 / outcome.answers as f64,
        })
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The time until `addr` answers the request, asked again and again from now on.
pub(crate) fn until_answered(addr: SocketAddr, request: &Arc<Requests>) -> io::Result<Duration> {
    let began = Instant::now();
    loop {
        match driver::run(addr, 1, request, Order::Once) {
            Ok(_) => return Ok(began.elapsed()),
            Err(failure) if began.elapsed() > Duration::from_secs(10) => return Err(failure),
            Err(_) => {}
        }
    }
}
