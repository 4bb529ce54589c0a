//! From the start of a node's process to its first answer.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::serve::Role;
use crate::sides::{self, Settings};
use crate::table::Target;
use crate::{keys, median, requests, until_answered};

/// The time that a released node takes, its first load from the origin included, and the size of
/// the program.
pub(crate) fn targets(starts: usize) -> io::Result<Vec<Target>> {
    let origin = sides::own(Role::Origin, None)?;
    let request = Arc::new(requests(&keys(1), None));
    let mut times = Vec::new();
    for _ in 0..starts {
        let began = Instant::now();
        // Polls until it listens, every half millisecond.
        let (node, _) = sides::gaggle::<1>(origin.front, Settings { copies: true })?;
        until_answered(node.front, &request)?;
        times.push(ms(began.elapsed()));
    }
    let size = fs::metadata(sides::node_binary()?)?.len();
    Ok(vec![
        Target::at_most(
            "start of a node to its first answer, in ms",
            50.0,
            median(times),
        ),
        Target::at_most("gaggle-node, in MB", 15.0, size as f64 / 1e6),
    ])
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
