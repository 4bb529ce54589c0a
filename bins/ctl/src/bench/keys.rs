//! The choice of the next key.

use rand::distr::{Distribution as _, Uniform};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng as _};
use rand_distr::Zipf;

use crate::cli::BenchKeyArgs;
use crate::key::escaped;
use crate::outcome::Failure;

/// Nodes do not accept longer keys either.
const MAX_PREFIX: usize = 16 << 10;

/// The keys `{prefix}0` to `{prefix}{count - 1}`, and how often each is asked for.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
    /// The parts of the request before and after a key's number.
    head: String,
    tail: String,
    popularity: Popularity,
    rng: SmallRng,
}

#[derive(Debug, Clone, Copy)]
enum Popularity {
    Uniform(Uniform<u32>),
    Zipf(Zipf<f64>),
}

impl Keys {
    pub(super) fn new(args: &BenchKeyArgs, group: Option<&str>) -> Result<Self, Failure> {
        let bad = |error: &dyn std::fmt::Display| Failure::Usage(format!("the keys: {error}"));
        if args.prefix.len() > MAX_PREFIX {
            let length = args.prefix.len();
            return Err(bad(&format!(
                "a prefix of {length} bytes is over the limit of {MAX_PREFIX}"
            )));
        }
        let popularity = match args.zipf {
            Some(exponent) => Popularity::Zipf(
                Zipf::new(f64::from(args.count), exponent).map_err(|error| bad(&error))?,
            ),
            None => Popularity::Uniform(Uniform::new(0, args.count).map_err(|error| bad(&error))?),
        };
        let group = group.map(|group| format!("&group={}", escaped(group.as_bytes())));
        Ok(Self {
            head: format!("/api?key={}", escaped(args.prefix.as_bytes())),
            tail: group.unwrap_or_default(),
            prefix: args.prefix.clone(),
            popularity,
            rng: SmallRng::seed_from_u64(args.seed),
        })
    }

    /// The same keys with the same frequencies, in a separate order.
    pub(super) fn fork(&mut self) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(self.rng.next_u64()),
            ..self.clone()
        }
    }

    /// A key's number.
    pub(super) fn draw(&mut self) -> u32 {
        match self.popularity {
            Popularity::Uniform(uniform) => uniform.sample(&mut self.rng),
            // A rank: a whole number from 1 to the count, which fits.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Popularity::Zipf(zipf) => (zipf.sample(&mut self.rng) as u32).saturating_sub(1),
        }
    }

    pub(super) fn key(&self, number: u32) -> String {
        format!("{}{number}", self.prefix)
    }

    /// By `/api?key=`, as `get` asks.
    pub(super) fn target(&self, number: u32) -> String {
        let Self { head, tail, .. } = self;
        format!("{head}{number}{tail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: u32, zipf: Option<f64>) -> Keys {
        let args = BenchKeyArgs {
            count,
            prefix: "a/ ".to_owned(),
            zipf,
            seed: 1,
        };
        Keys::new(&args, Some("b&c")).unwrap()
    }

    fn counts(keys: &mut Keys, count: usize) -> Vec<u32> {
        let mut counts = vec![0; count];
        for _ in 0..100_000 {
            counts[keys.draw() as usize] += 1;
        }
        counts
    }

    #[test]
    fn zipf_keys_are_asked_for_by_the_power_of_their_rank() {
        let counts = counts(&mut keys(1000, Some(1.0)), 1000);
        // 1/1 of the sum of 1/1 to 1/1000, which is 7.485.
        assert!((13_000..13_700).contains(&counts[0]), "{}", counts[0]);
        assert!((6_400..6_950).contains(&counts[1]), "{}", counts[1]);
        assert!((1_200..1_480).contains(&counts[9]), "{}", counts[9]);
    }

    #[test]
    fn uniform_keys_are_asked_for_alike_and_none_is_left_out() {
        for zipf in [None, Some(0.0)] {
            let counts = counts(&mut keys(10, zipf), 10);
            assert!(counts.iter().all(|count| (9_500..10_500).contains(count)));
        }
        assert_eq!(keys(1, None).draw(), 0);
        assert_eq!(keys(1, Some(0.99)).draw(), 0);
    }

    #[test]
    fn callers_draw_each_their_own_keys_and_a_seed_the_same_again() {
        let draw = |keys: &mut Keys| (0..8).map(|_| keys.draw()).collect::<Vec<_>>();
        let mut all = keys(1_000_000, None);
        let (first, second) = (draw(&mut all.fork()), draw(&mut all.fork()));
        assert_ne!(first, second);
        assert_eq!(draw(&mut keys(1_000_000, None).fork()), first);
    }

    #[test]
    fn targets_carry_prefix_and_group_as_bytes() {
        let keys = keys(10, None);
        assert_eq!(keys.target(7), "/api?key=a%2F%207&group=b%26c");
        assert_eq!(keys.key(7), "a/ 7");
    }
}
