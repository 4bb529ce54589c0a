//! What a time to live costs in hits or in age, and what following costs instead.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use sqlx::postgres::PgPool;
use tokio::time::{MissedTickBehavior, interval};

use crate::ages::{Ages, build};
use crate::reader::Reader;
use crate::traffic::seed;
use crate::world::{Follow, Plan, World, keys};

const KEYS: usize = 2_000;
const READERS: usize = 12;
const READS_PER_SECOND: u64 = 2_000;
const WRITES_PER_SECOND: u64 = 50;
const LASTS: Duration = Duration::from_secs(18);

/// Keys by popularity: the n-th is asked for 1/n as often as the first.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let shares = (1..=count).map(|n| {
            sum += 1.0 / n as f64;
            sum
        });
        Self(shares.collect())
    }

    fn pick(&self, random: &mut fastrand::Rng) -> usize {
        let all = self.0[self.0.len() - 1];
        let at = random.f64() * all;
        self.0
            .partition_point(|sum| *sum < at)
            .min(self.0.len() - 1)
    }
}

/// What was committed: the latest version of each row, and when each version was committed.
struct Ledger {
    latest: Vec<AtomicU64>,
    when: Vec<Mutex<Vec<Instant>>>,
}

impl Ledger {
    fn new() -> Self {
        let began = Instant::now();
        Self {
            latest: (0..KEYS).map(|_| AtomicU64::new(0)).collect(),
            when: (0..KEYS).map(|_| Mutex::new(vec![began])).collect(),
        }
    }

    fn committed(&self, key: usize, version: u64) {
        let now = Instant::now();
        let mut when = self.when[key].lock().unwrap();
        assert_eq!(when.len() as u64, version);
        when.push(now);
        self.latest[key].store(version, SeqCst);
    }

    /// How long that version had been outdated at that moment.
    fn age(&self, key: usize, version: u64, at: Instant) -> Duration {
        let when = self.when[key].lock().unwrap();
        at.saturating_duration_since(when[version as usize + 1])
    }
}

/// What readers have seen.
#[derive(Default)]
struct Seen {
    reads: u64,
    hits: u64,
    stale: Ages,
}

async fn read(mut reader: Reader, ledger: Arc<Ledger>, zipf: Arc<Zipf>, seed: u64) -> Seen {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tick = interval(Duration::from_secs(1) * READERS as u32 / READS_PER_SECOND as u32);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, end) = (Seen::default(), Instant::now() + LASTS);
    while Instant::now() < end {
        tick.tick().await;
        let key = zipf.pick(&mut random);
        let latest = ledger.latest[key].load(SeqCst);
        let began = Instant::now();
        let read = reader.get(&format!("k{key}")).await.unwrap();
        assert_eq!(read.status, 200, "{}", read.value);
        let version: u64 = read.value.parse().unwrap();
        seen.reads += 1;
        seen.hits += u64::from(read.hit);
        if version < latest {
            seen.stale.push(ledger.age(key, version, began));
        }
    }
    seen
}

async fn write(pool: PgPool, ledger: Arc<Ledger>, zipf: Arc<Zipf>, seed: u64) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tick = interval(Duration::from_secs(1) / WRITES_PER_SECOND as u32);
    let (mut writes, end) = (0, Instant::now() + LASTS);
    while Instant::now() < end {
        tick.tick().await;
        let key = zipf.pick(&mut random);
        let version = ledger.latest[key].load(SeqCst) + 1;
        let update = sqlx::query("UPDATE scores SET value = $2 WHERE key = $1");
        let update = update.bind(format!("k{key}")).bind(version.to_string());
        update.execute(&pool).await.unwrap();
        ledger.committed(key, version);
        writes += 1;
    }
    writes
}

/// Prints a row of the table, and says which share of the reads was stale.
async fn measure(name: &str, plan: &Plan, seed: u64) -> f64 {
    let world = World::start(plan).await;
    // The caches are warm: every key has been asked for.
    let all = keys(KEYS);
    for reader in &mut world.readers() {
        reader.batch(&all[..1_000]).await.unwrap();
        reader.batch(&all[1_000..]).await.unwrap();
    }
    world.forget().await;
    let (ledger, zipf) = (Arc::new(Ledger::new()), Arc::new(Zipf::new(KEYS)));
    let began = Instant::now();
    let readers: Vec<_> = (0..READERS)
        .map(|n| {
            let reader = Reader::new(world.cluster.nodes[n % 3].api);
            let (ledger, zipf) = (Arc::clone(&ledger), Arc::clone(&zipf));
            tokio::spawn(read(reader, ledger, zipf, seed ^ (n as u64 + 1)))
        })
        .collect();
    let writer = write(world.pool.clone(), Arc::clone(&ledger), zipf, seed);
    let writes = tokio::spawn(writer);
    let mut seen = Seen::default();
    for reader in readers {
        let other = reader.await.unwrap();
        seen.reads += other.reads;
        seen.hits += other.hits;
        seen.stale.extend(other.stale);
    }
    let writes = writes.await.unwrap();
    let lasted = began.elapsed().as_secs_f64();
    let loads = world.loads().await;
    let reads = seen.reads as f64;
    let stale = seen.stale.len() as f64 / reads;
    let [p50, p99] = [0.5, 0.99].map(|share| seen.stale.quantile(share));
    println!(
        "| {name} | {:.0} | {:.0} | {:.1} % | {:.1} | {:.2} % | {:.3} % | {p50:.1} ms | {p99:.1} ms |",
        reads / lasted,
        writes as f64 / lasted,
        100.0 * seen.hits as f64 / reads,
        loads as f64 / lasted,
        100.0 * (1.0 - loads as f64 / reads),
        100.0 * stale,
    );
    world.assert_silent();
    stale
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn following_is_fresher_than_any_time_to_live() {
    let seed = seed();
    println!(
        "\n{KEYS} rows, three nodes, reads and writes by Zipf's law, {} s each ({}); old: a newer row was committed before the \
         read began\n\n\
         | | reads/s | writes/s | from the asked node's memory | statements/s | reads without a statement | old reads | \
         their age p50 | p99 |\n|---|---|---|---|---|---|---|---|---|",
        LASTS.as_secs(),
        build()
    );
    let following = measure("follow", &Plan::following(KEYS), seed).await;
    for ttl in ["1s", "10s", "60s"] {
        let plan = Plan {
            follow: Follow::No,
            group: format!("ttl = \"{ttl}\""),
            settings: Vec::new(),
            rows: KEYS,
        };
        let stale = measure(&format!("ttl = \"{ttl}\""), &plan, seed).await;
        assert!(
            following < stale,
            "{following} of the reads, and {stale} with {ttl}"
        );
    }
    println!();
}
