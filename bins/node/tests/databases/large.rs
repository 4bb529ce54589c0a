//! One transaction that changes 100,000 rows.

use std::time::{Duration, Instant};

use crate::ages::build;
use crate::support::until;
use crate::traffic::{Traffic, seed};
use crate::world::{Plan, World, keys};

const ROWS: usize = 100_000;
/// How much more memory the node that follows may need meanwhile.
const GROWS_BY: u64 = 128 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_hundred_thousand_rows_in_one_transaction_take_little_memory_and_stop_nobody() {
    let seed = seed();
    let world = World::start(&Plan::following(ROWS)).await;
    world
        .db
        .psql("INSERT INTO scores SELECT 'other' || n, 'as ever' FROM generate_series(0, 99) n");
    world.confirmed().await;
    let all = keys(ROWS);
    let sampled: Vec<String> = all.iter().step_by(500).cloned().collect();
    world.warm(&sampled).await;
    for keys in all.chunks(1_000) {
        world.readers()[0].batch(keys).await.unwrap();
    }
    let others: Vec<String> = (0..100).map(|n| format!("other{n}")).collect();
    world.warm(&others).await;
    let front_doors: Vec<_> = world.cluster.nodes.iter().map(|node| node.api).collect();
    let readers = Traffic::readers(&front_doors, &others, seed, Duration::from_millis(2));
    readers.goes_on(100).await;

    let follower = world.followed().await;
    let process = &world.cluster.nodes[follower].process;
    let before = process.resident();
    let removed = world.followed_so_far("scores", "keys_removed").await;
    let began = Instant::now();
    let update = sqlx::query("UPDATE scores SET value = 'new' WHERE key LIKE 'k%'");
    let rows = update.execute(&world.pool).await.unwrap().rows_affected();
    let committed = Instant::now();
    assert_eq!(rows, ROWS as u64);
    let mut most = before;
    until("the removal of every key", async || {
        most = most.max(process.resident());
        world.followed_so_far("scores", "keys_removed").await >= removed + ROWS as u64
    })
    .await;
    let took = committed.elapsed();
    world.confirmed().await;
    most = most.max(process.resident());
    readers.goes_on(100).await;
    let (answered, failures) = readers.stop().await;
    println!(
        "{ROWS} rows in one transaction ({}): {:.2} s to commit, all removed {:.2} s later; the node that follows grew by \
         {:.1} MiB; {answered} gets of other keys meanwhile, failures: {failures:?}",
        build(),
        committed.duration_since(began).as_secs_f64(),
        took.as_secs_f64(),
        most.saturating_sub(before) as f64 / f64::from(1 << 20),
    );
    assert!(failures.is_empty(), "{failures:?}");
    assert!(most - before < GROWS_BY, "from {before} to {most} bytes");
    world.compare(&sampled, "after the transaction").await;
    world.compare(&others, "of other keys").await;
    world.assert_silent();
}
