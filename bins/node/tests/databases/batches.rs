//! What it saves to ask for several keys together.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::ages::build;
use crate::reader::Reader;
use crate::world::{Follow, Plan, World, keys};

const KEYS: usize = 10_000;
const CONNECTIONS: usize = 8;
const TOGETHER: usize = 128;

/// Asks for all keys on so many connections. Returns how many have a value, and how long it took.
async fn ask(world: &World, keys: &[String], together: usize) -> (usize, Duration) {
    let share = keys.len().div_ceil(CONNECTIONS);
    let nodes = &world.cluster.nodes;
    let began = Instant::now();
    let connections = keys.chunks(share).enumerate().map(async |(n, keys)| {
        let mut reader = Reader::new(nodes[n % nodes.len()].api);
        let mut found = 0;
        for keys in keys.chunks(together) {
            found += match keys {
                [key] => usize::from(reader.get(key).await.unwrap().status == 200),
                keys => reader.batch(keys).await.unwrap(),
            };
        }
        found
    });
    let found = join_all(connections).await.into_iter().sum();
    (found, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn keys_that_are_asked_for_together_are_looked_up_together() {
    println!(
        "\n{KEYS} cold keys through three nodes, {CONNECTIONS} connections ({}):\n\n\
         | keys in a request | `max-value` | statements | keys in a statement | time |\n|---|---|---|---|---|",
        build()
    );
    // The number of keys that a node loads before it knows the length of values depends on their
    // limit.
    measure("8MiB", &[TOGETHER]).await;
    let measured = measure("64KiB", &[1, TOGETHER, 1_000]).await;
    let [(single, slow), (batched, fast), (many, _)] = measured[..] else {
        panic!("{measured:?}");
    };
    println!(
        "\n{TOGETHER} together: {:.1} times fewer statements, {:.1} times as fast\n",
        single as f64 / batched as f64,
        slow.as_secs_f64() / fast.as_secs_f64()
    );
    // Requests that reach a node at the same time may share a statement even so.
    assert!(single > KEYS as i64 / 2, "{single} statements one by one");
    // At best one statement of each owner for each window of 128 keys.
    for (together, statements) in [(TOGETHER, batched), (1_000, many)] {
        assert!(
            20 * statements <= KEYS as i64,
            "{statements} statements for {KEYS} keys, {together} in a request"
        );
    }
}

/// How many statements it takes, and how long, with so many keys in a request.
async fn measure(max_value: &str, together: &[usize]) -> Vec<(i64, Duration)> {
    let world = World::start(&Plan {
        follow: Follow::No,
        group: format!("max-value = \"{max_value}\""),
        settings: Vec::new(),
        rows: KEYS,
    })
    .await;
    let keys = keys(KEYS);
    // Connections between the nodes and to the server exist by now, as after some time in use.
    ask(&world, &keys, TOGETHER).await;
    let mut measured = Vec::new();
    for &together in together {
        world.drop_all().await;
        world.forget().await;
        let (found, took) = ask(&world, &keys, together).await;
        assert_eq!(found, KEYS);
        let statements = world.loads().await;
        println!(
            "| {together} | {max_value} | {statements} | {:.1} | {:.2} s |",
            KEYS as f64 / statements as f64,
            took.as_secs_f64()
        );
        measured.push((statements, took));
    }
    world.assert_silent();
    measured
}
