//! What a hit costs: a struct of 1 KB in JSON that is decoded with each hit, and one that is kept
//! decoded.
//!
//! `cargo run --release -p gaggle-typed --example hits`

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use gaggle_typed::TypedGroup;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    lines: Vec<Line>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Line {
    article: String,
    count: u32,
    price: f64,
}

fn order(id: u64) -> Order {
    let line = |number: u32| Line {
        article: format!("an article with a longer name, {number}"),
        count: number,
        price: f64::from(number) * 1.25,
    };
    Order {
        id,
        customer: "Tom".into(),
        lines: (0..12).map(line).collect(),
    }
}

/// The fastest of five rounds, for one hit.
async fn measure(orders: &TypedGroup<u64, Order>) -> Result<Duration, gaggle_typed::TypedError> {
    const HITS: u32 = 100_000;
    for id in 0..1_000 {
        // Loaded, decoded, and kept where that is asked for.
        orders.get(&id).await?;
        orders.get(&id).await?;
    }
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for hit in 0..HITS {
            black_box(orders.get(&u64::from(hit % 1_000)).await?);
        }
        best = best.min(start.elapsed() / HITS);
    }
    Ok(best)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for keep in [0, 16 << 20] {
        let orders: TypedGroup<u64, Order> = TypedGroup::builder("orders")
            .keep_decoded(keep)
            .origin_fn(|id: u64| async move { Ok::<_, std::io::Error>(Some(order(id))) })
            .build()?;
        let hit = measure(&orders).await?;
        let bytes = orders.group().get("7").await?.len();
        println!("{bytes} bytes of JSON, keep_decoded {keep}: {hit:?} for a hit");
    }
    Ok(())
}
