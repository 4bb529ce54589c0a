//! How long after a commit every node has the new row.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::postgres::PgPool;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::ages::{Ages, build};
use crate::reader::Reader;
use crate::support::PATIENCE;
use crate::traffic::seed;
use crate::world::{Plan, World, keys};

const ROWS: usize = 3_000;
/// The rows whose changes are measured.
const SAMPLED: usize = 100;
const LASTS: Duration = Duration::from_secs(10);

/// Changes 1,000 rows a second, none of which is sampled: half of them in single transactions,
/// half in transactions of five.
async fn change(pool: PgPool, seed: u64, stop: Arc<AtomicBool>, changed: Arc<AtomicU64>) {
    let mut random = fastrand::Rng::with_seed(seed);
    // Two of these tasks do ten rows each, every 20 ms.
    let mut tick = interval(Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !stop.load(Relaxed) {
        tick.tick().await;
        for rows in [1, 1, 1, 1, 1, 5] {
            let mut transaction = pool.begin().await.unwrap();
            for _ in 0..rows {
                let key = format!("k{}", random.usize(SAMPLED..ROWS));
                let update = sqlx::query("UPDATE scores SET value = $2 WHERE key = $1");
                let update = update.bind(key).bind(random.u32(..).to_string());
                update.execute(&mut *transaction).await.unwrap();
            }
            transaction.commit().await.unwrap();
            changed.fetch_add(rows, Relaxed);
        }
    }
}

/// Asks until the answer is the new value, and returns when it arrived.
async fn until_new(reader: &mut Reader, key: &str, value: &str) -> Instant {
    let end = Instant::now() + PATIENCE;
    loop {
        let read = reader.get(key).await.unwrap();
        let now = Instant::now();
        if read.is(value) {
            return now;
        }
        assert!(now < end, "{key} is {read:?} still, and not {value}");
        sleep(Duration::from_micros(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_change_is_seen_on_every_node_within_milliseconds() {
    let seed = seed();
    let world = World::start(&Plan::following(ROWS)).await;
    let sampled = keys(SAMPLED);
    world.warm(&sampled).await;
    let all = keys(ROWS);
    for reader in &mut world.readers() {
        for keys in all.chunks(500) {
            assert_eq!(reader.batch(keys).await.unwrap(), keys.len());
        }
    }
    println!(
        "\ncommit to the first get of the new row ({}):\n\n\
         | | samples | p50 | p90 | p99 | max |\n|---|---|---|---|---|---|",
        build()
    );
    sample(&world, &sampled, "no other changes", LASTS / 3).await;

    let (stop, changed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let writers: Vec<_> = (0..2)
        .map(|n| {
            let (stop, changed) = (Arc::clone(&stop), Arc::clone(&changed));
            tokio::spawn(change(world.pool.clone(), seed ^ n, stop, changed))
        })
        .collect();
    let began = Instant::now();
    sample(&world, &sampled, "1,000 changes a second", LASTS).await;
    stop.store(true, Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let rate = changed.load(Relaxed) as f64 / began.elapsed().as_secs_f64();
    world.confirmed().await;
    let hits = world.compare(&all, "after the changes").await;
    println!(
        "\n{rate:.0} other changes a second; all {} answers are the rows' in the end, {hits} of them from memory\n",
        3 * ROWS
    );
    world.assert_silent();
}

/// Changes one row after another and prints how long it takes until the nodes have the new one.
async fn sample(world: &World, keys: &[String], meanwhile: &str, lasts: Duration) {
    let began = Instant::now();
    let mut readers = world.readers();
    let (mut one, mut every) = (Ages::default(), Ages::default());
    for (n, key) in keys.iter().cycle().take(20 * SAMPLED).enumerate() {
        if began.elapsed() > lasts {
            break;
        }
        // Every node holds it, since the start or since its last change.
        world.warm(std::slice::from_ref(key)).await;
        let value = format!("sample {n} with {meanwhile}");
        world.write(key, &value).await;
        let committed = Instant::now();
        let seen = readers
            .iter_mut()
            .map(|reader| until_new(reader, key, &value));
        let seen = join_all(seen).await;
        for at in &seen {
            one.push(at.duration_since(committed));
        }
        let last = seen.into_iter().max().unwrap();
        every.push(last.duration_since(committed));
    }
    for (name, ages) in [("one node", &mut one), ("every node", &mut every)] {
        let [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1.0].map(|share| ages.quantile(share));
        println!(
            "| {name}, {meanwhile} | {} | {p50:.1} ms | {p90:.1} ms | {p99:.1} ms | {max:.1} ms |",
            ages.len()
        );
    }
    assert!(every.len() >= 10, "{} samples", every.len());
}
