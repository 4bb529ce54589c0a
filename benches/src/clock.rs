//! How time is taken.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::Criterion;

/// Criterion with times so short that all benches together end within minutes, and with the
/// command line's arguments. Prints text only, draws no plots.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .nresamples(10_000)
        .without_plots()
        .configure_from_args()
}

/// Runs `work` in several threads at once, each with the element of `states` that is its own, and
/// returns the time from the first one's start to the last one's end. Making the threads is not
/// timed.
///
/// # Panics
///
/// If `work` does.
pub fn on_threads<S: Send>(states: &mut [S], work: impl Fn(&mut S) + Sync) -> Duration {
    let (start, work) = (Barrier::new(states.len()), &work);
    let start = &start;
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let threads: Vec<_> = states
            .iter_mut()
            .map(|state| {
                scope.spawn(move || {
                    start.wait();
                    // Taken here and not by whoever waits for the threads: with as many threads as
                    // cores, that one may be woken when much of the work is done.
                    let began = Instant::now();
                    work(state);
                    (began, Instant::now())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let began = spans.iter().map(|(began, _)| *began).min();
    let ended = spans.iter().map(|(_, ended)| *ended).max();
    match (began, ended) {
        (Some(began), Some(ended)) => ended - began,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_works_once_on_what_is_its_own_and_all_at_the_same_time() {
        let mut states = [1, 2, 3];
        // Would never end if they ran one after the other.
        let together = Barrier::new(3);
        on_threads(&mut states, |state| {
            together.wait();
            *state *= 10;
        });
        assert_eq!(states, [10, 20, 30]);
    }
}
