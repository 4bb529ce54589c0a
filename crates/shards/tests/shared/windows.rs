//! Hits, window by window, over a long run.

use gaggle_shards::Clock;

use crate::subject::{Subject, Value};

const KEYS: f64 = 30_000.0;
pub(crate) const CAPACITY: u64 = 256 << 10;
const WINDOW: usize = 80_000;
pub(crate) const WINDOWS: usize = 8;

/// Draws keys by a power law, as Zipf's with the exponent 0.8.
struct Draws(u64);

impl Draws {
    fn key(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        #[expect(clippy::cast_precision_loss, reason = "53 bits of it")]
        let share = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below KEYS"
        )]
        let rank = (KEYS * share.powi(5)) as u64;
        rank
    }
}

fn size(key: u64, mixed: bool) -> u64 {
    if mixed { 16 << (key % 6) } else { 40 }
}

/// The hits of each window. `room` is called after each insertion.
pub(crate) fn run<S: Subject>(cache: &S, mixed: bool, seed: u64, room: impl Fn()) -> Vec<usize> {
    let mut draws = Draws(seed);
    (0..WINDOWS)
        .map(|_| {
            (0..WINDOW)
                .filter(|_| {
                    let key = draws.key();
                    let hit = cache.get(key).is_some();
                    if !hit {
                        let size = size(key, mixed);
                        let version = 0;
                        cache.insert(Value { key, version, size }, None);
                        room();
                    }
                    hit
                })
                .count()
        })
        .collect()
}

/// The second window, once full, compared with the last.
pub(crate) fn assert_flat(windows: &[usize], what: &str) {
    let (early, late) = (windows[1], windows[WINDOWS - 1]);
    assert!(
        late * 100 > early * 97,
        "{what}: {windows:?} hits of {WINDOW}"
    );
}

pub(crate) fn hits_do_not_decay<S: Subject>(name: &str) {
    for shards in [2, 8] {
        for mixed in [false, true] {
            let cache = S::new(CAPACITY, shards, &Clock::manual());
            let windows = run(&cache, mixed, 1, || ());
            assert_flat(
                &windows,
                &format!("{name}, {shards} shards, mixed: {mixed}"),
            );
        }
    }
}
