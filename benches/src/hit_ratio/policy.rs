use super::{Access, Trace};

/// A cache that is asked for one key after another.
pub trait Policy {
    /// Whether the key was held; if it was not, the cache is given its value.
    fn access(&mut self, access: Access) -> bool;
}

/// How many accesses were hits, and how many bytes they had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    hits: u64,
    accesses: u64,
    hit_bytes: u64,
    bytes: u64,
}

impl Tally {
    /// Counts one access.
    pub fn count(&mut self, access: Access, hit: bool) {
        self.accesses += 1;
        self.bytes += u64::from(access.size);
        if hit {
            self.hits += 1;
            self.hit_bytes += u64::from(access.size);
        }
    }

    /// How many accesses were hits.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// Hits among all accesses, in percent.
    #[must_use]
    pub fn objects(&self) -> f64 {
        percent(self.hits, self.accesses)
    }

    /// The bytes of hits among those of all accesses, in percent.
    #[must_use]
    pub fn bytes(&self) -> f64 {
        percent(self.hit_bytes, self.bytes)
    }
}

/// Every access counts, those of the beginning too, when the cache is cold.
pub fn replay(trace: &Trace, policy: &mut dyn Policy) -> Tally {
    let mut tally = Tally::default();
    for &access in trace.accesses() {
        tally.count(access, policy.access(access));
    }
    tally
}

#[expect(
    clippy::cast_precision_loss,
    reason = "traces have less than 2^53 bytes"
)]
fn percent(part: u64, all: u64) -> f64 {
    part as f64 * 100.0 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OnlyKey(u64);

    impl Policy for OnlyKey {
        fn access(&mut self, access: Access) -> bool {
            access.key == self.0
        }
    }

    #[test]
    fn objects_and_bytes_are_counted_apart() {
        let trace = Trace::of([(0, 30), (1, 10), (1, 10), (1, 10)]);
        let tally = replay(&trace, &mut OnlyKey(1));
        assert_eq!(
            (tally.hits(), tally.objects(), tally.bytes()),
            (3, 75.0, 50.0)
        );
    }

    #[test]
    fn nothing_of_nothing_is_zero() {
        assert_eq!(Tally::default().objects().to_bits(), 0.0_f64.to_bits());
    }
}
