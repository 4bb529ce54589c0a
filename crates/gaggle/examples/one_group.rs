//! One group in one process: a cache in front of a slow database, with singleflight.
//!
//! `cargo run -p gaggle --example one_group`

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use bytes::Bytes;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let scores = gaggle::Group::builder("scores")
        .capacity(64 << 20)
        .origin_fn(move |key: Bytes| {
            count.fetch_add(1, SeqCst);
            async move {
                println!("[SlowDB] search key {}", key.escape_ascii());
                Ok::<_, std::io::Error>(match key.as_ref() {
                    b"Tom" => Some("630"),
                    b"Jack" => Some("589"),
                    b"Sam" => Some("567"),
                    _ => None,
                })
            }
        })
        .build()?;

    let herd = (0..1_000).map(|_| {
        let scores = scores.clone();
        tokio::spawn(async move { scores.get("Tom").await })
    });
    for caller in herd.collect::<Vec<_>>() {
        anyhow::ensure!(caller.await?? == "630", "a wrong value");
    }
    println!(
        "1000 callers of Tom got 630; the database was asked {} time(s)",
        asked.load(SeqCst)
    );

    match scores.get("Kesa").await {
        Err(error) if error.is_not_found() => println!("Kesa: {error}"),
        other => anyhow::bail!("unexpected: {other:?}"),
    }
    let stats = scores.stats();
    println!(
        "gets {}, hits {}, loads {}",
        stats.gets, stats.main.store.hits, stats.origin.ok
    );
    Ok(())
}
