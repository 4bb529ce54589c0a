//! More nodes, fewer nodes, each node restarted: no client sees a failure.

use crate::FOLLOWS;
use crate::engine::run;
use crate::load::Load;
use crate::stack::{GATEWAY, Stack};

const KEYS: usize = 200;

async fn origin_loads(stack: &Stack) -> u64 {
    let mut sum = 0;
    for node in stack.nodes().await {
        sum += node.origin_loads().await;
    }
    sum
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn to_five_and_back_to_two_no_request_fails() {
    let stack = Stack::with_keys(KEYS).await;
    let load = Load::start(vec![GATEWAY.into()], KEYS);
    stack.scale(5).await;
    println!(
        "loads from the origin: {} for {KEYS} keys",
        origin_loads(&stack).await
    );
    stack.scale(2).await;
    load.end()
        .await
        .assert_unharmed("scaled from three nodes to five and to two");
    println!(
        "loads from the origin by the two that are left: {}",
        origin_loads(&stack).await
    );
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn a_rolling_restart_fails_no_request() {
    let stack = Stack::with_keys(KEYS).await;
    let load = Load::start(vec![GATEWAY.into()], KEYS);
    for (n, node) in stack.nodes().await.into_iter().enumerate() {
        let begun = std::time::Instant::now();
        run(&["docker", "restart", "--time", "20", &node.id]).await;
        let restarted = begun.elapsed();
        let ring = stack.until_ring(3, FOLLOWS).await;
        println!("node {n} restarted in {restarted:.1?}, a ring of three again {ring:.1?} later");
    }
    // Each node was emptied once, and its counters restarted.
    println!(
        "loads from the origin since the restarts: {} for {KEYS} keys",
        origin_loads(&stack).await
    );
    load.end()
        .await
        .assert_unharmed("three nodes were restarted, one after another");
}
