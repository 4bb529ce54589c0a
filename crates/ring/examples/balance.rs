//! Prints, for each profile and number of members: the largest and the least load over the mean,
//! the share of keys that a join moves (times the number of members it makes, so that 1 is the
//! least possible), and the time of a lookup, of a join and of building from scratch.
//!
//! `cargo run --release -p gaggle-ring --example balance [KEYS]` (20,000,000 by default: fewer
//! keys add their own unevenness, √(members / keys)).
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use gaggle_ring::{Profile, Ring};

fn main() -> Result<(), Box<dyn Error>> {
    let keys: u32 = std::env::args()
        .nth(1)
        .map_or(Ok(20_000_000), |text| text.parse())?;
    println!("{keys} keys of 16 bytes");
    println!(
        "profile     members  max/mean  min/mean  moved*N  look-up ns  join ms  leave ms  new ms"
    );
    for profile in [Profile::Gaggle, Profile::GROUPCACHE] {
        for members in [3, 8, 16, 24, 25, 100, 1_000] {
            row(profile, members, keys)?;
        }
    }
    Ok(())
}

fn row(profile: Profile, members: u32, keys: u32) -> Result<(), Box<dyn Error>> {
    let name = |i: u32| format!("http://10.0.{}.{}:8001", i / 250, i % 250);
    let start = Instant::now();
    let ring = Ring::new(profile, (0..members).map(name))?;
    let build = start.elapsed();
    let start = Instant::now();
    let grown = ring.with(name(members))?;
    let join = start.elapsed();
    let start = Instant::now();
    black_box(ring.without(&name(members / 2))?);
    let leave = start.elapsed();

    let mut loads = vec![0u32; ring.len()];
    let mut moved = 0u32;
    for n in 0..keys {
        let key = key(n);
        if let Some(owner) = ring.owner_index(&key) {
            loads[owner] += 1;
        }
        moved += u32::from(ring.owner(&key) != grown.owner(&key));
    }
    let mean = f64::from(keys) / f64::from(members);
    let over_mean = |load: Option<&u32>| load.map_or(0.0, |&load| f64::from(load) / mean);

    let sample: Vec<_> = (0..1 << 16).map(key).collect();
    let looked_up = (0..9)
        .map(|_| {
            let start = Instant::now();
            for key in &sample {
                black_box(ring.owner_index(black_box(key)));
            }
            start.elapsed().as_secs_f64() * 1e9 / 65_536.0
        })
        .fold(f64::INFINITY, f64::min);

    println!(
        "{:<11} {members:>7}  {:>8.4}  {:>8.4}  {:>7.4}  {looked_up:>10.1}  {:>7.2}  {:>8.2}  {:>6.1}",
        profile.to_string(),
        over_mean(loads.iter().max()),
        over_mean(loads.iter().min()),
        f64::from(moved) / f64::from(keys) * f64::from(members + 1),
        join.as_secs_f64() * 1e3,
        leave.as_secs_f64() * 1e3,
        build.as_secs_f64() * 1e3,
    );
    Ok(())
}

fn key(n: u32) -> [u8; 16] {
    let mut key = *b"user/00000000000";
    let mut n = n;
    for digit in key.iter_mut().rev().take(11) {
        *digit = b"0123456789"[(n % 10) as usize];
        n /= 10;
    }
    key
}
