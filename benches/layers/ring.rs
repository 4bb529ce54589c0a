//! Placement: finding an owner, making a ring, following a change of members.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot run says so and ends"
)]

use std::hint::black_box;

use criterion::{Criterion, SamplingMode};
use gaggle_benches::criterion;
use gaggle_ring::{Profile, Ring};

const PROFILES: [Profile; 2] = [Profile::Gaggle, Profile::GROUPCACHE];

fn main() {
    let mut criterion = criterion();
    look_ups(&mut criterion);
    changes(&mut criterion);
    criterion.final_summary();
}

fn members(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("http://10.0.{}.{}:8001", n / 256, n % 256))
        .collect()
}

fn ring(profile: Profile, count: usize) -> Ring {
    Ring::new(profile, members(count)).expect("members that differ")
}

/// 100,000 keys come round in order. They lie side by side, so that what is measured is the ring
/// and not the keys; and there are enough of them to go all over the ring.
fn look_ups(criterion: &mut Criterion) {
    let keys: Vec<[u8; 10]> = (0..100_000)
        .map(|n| {
            let key = format!("key-{n:06}").into_bytes();
            key.try_into().expect("ten bytes")
        })
        .collect();
    let mut group = criterion.benchmark_group("ring");
    for profile in PROFILES {
        for count in [3, 16, 100, 1_000] {
            let ring = ring(profile, count);
            let mut keys = keys.iter().cycle();
            group.bench_function(format!("owner, {profile} profile, {count} members"), |b| {
                b.iter(|| {
                    ring.owner(black_box(keys.next().expect("a cycle has no end")))
                        .map(str::len)
                });
            });
        }
    }
    group.finish();
}

/// The ring that is dropped again is not timed.
fn changes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for profile in PROFILES {
        for count in [16, 1_000] {
            let names = members(count);
            group.bench_function(format!("build, {profile} profile, {count} members"), |b| {
                b.iter_with_large_drop(|| Ring::new(profile, names.iter().map(String::as_str)));
            });
            let ring = ring(profile, count);
            group.bench_function(
                format!("a member joins, {profile} profile, {count} members"),
                |b| {
                    b.iter_with_large_drop(|| {
                        ring.with("http://10.1.0.1:8001").expect("a new one")
                    });
                },
            );
            let leaving = &names[count / 2];
            group.bench_function(
                format!("a member leaves, {profile} profile, {count} members"),
                |b| b.iter_with_large_drop(|| ring.without(leaving).expect("one of them")),
            );
        }
    }
    group.finish();
}
