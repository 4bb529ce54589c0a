//! What a join and a leave cost: keys that move, loads that follow, time on a node.

use std::sync::Arc;

use gaggle_ring::{Ring, RingError};
use rustix::time::{ClockId, clock_gettime};

use super::doors::Doors;
use super::traffic::Traffic;

/// Averages over several joins, and as many leaves, of one member each; medians of the times.
#[derive(Default)]
pub(crate) struct Changes {
    /// Keys moved by a join, times the members after it, over all keys: 1 is the least possible.
    pub(crate) joined: f64,
    /// Keys moved by a leave, times the members before it, over all keys.
    pub(crate) left: f64,
    /// Loads after a join, over all keys.
    pub(crate) loads: f64,
    /// CPU time of one node that follows, in milliseconds.
    pub(crate) join_ms: f64,
    pub(crate) leave_ms: f64,
}

impl Changes {
    /// Each change is one of the ring as it is. After a join the cluster gets `gets` more gets; a
    /// key that has moved is loaded by the first of them that comes to the newcomer.
    pub(crate) fn measure(
        ring: &Ring,
        owners: &[usize],
        traffic: &Traffic,
        doors: &Doors,
        turns: usize,
        gets: f64,
    ) -> Result<Self, RingError> {
        let members = ring.len();
        let turns = turns.min(members);
        let mut sums = Self::default();
        let (mut joins, mut leaves) = (Vec::new(), Vec::new());
        for turn in 0..turns {
            let mut list = ring.members().to_vec();
            list.push(super::member(members + turn));
            let grown = timed(&mut joins, || ring.with_members(list))?;
            for at in moved(ring, owners, traffic, &grown) {
                sums.joined += 1.0;
                let reaching = gets * traffic.share(at) * doors.forwarded(at);
                // The odds that there is at least one.
                sums.loads += 1.0 - (-reaching).exp();
            }

            let mut list = ring.members().to_vec();
            list.remove(turn * members / turns);
            let shrunk = timed(&mut leaves, || ring.with_members(list))?;
            sums.left += moved(ring, owners, traffic, &shrunk).count() as f64;
        }
        let each = turns as f64 * traffic.len() as f64;
        Ok(Self {
            joined: sums.joined / each * (members + 1) as f64,
            left: sums.left / each * members as f64,
            loads: sums.loads / each,
            join_ms: median(joins),
            leave_ms: median(leaves),
        })
    }
}

/// Positions of the keys whose owner is another one in `changed`. Indexes of members shift with a
/// change, so members are compared: they share their names.
fn moved<'a>(
    ring: &'a Ring,
    owners: &'a [usize],
    traffic: &'a Traffic,
    changed: &'a Ring,
) -> impl Iterator<Item = usize> {
    let (before, after) = (ring.members(), changed.members());
    traffic
        .keys()
        .zip(owners)
        .enumerate()
        .filter_map(move |(at, (key, &owner))| {
            let now = changed.owner_index(key)?;
            (!Arc::ptr_eq(&before[owner], &after[now])).then_some(at)
        })
}

fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let began = cpu_ms();
    let done = work();
    times.push(cpu_ms() - began);
    done
}

#[expect(clippy::cast_precision_loss, reason = "hours of nanoseconds fit")]
pub(crate) fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
