//! The runtimes that async layers are measured on.

use std::io;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

/// A runtime without workers: what a layer costs, without the cost of waking another thread.
///
/// # Errors
///
/// If the system has no means left for a runtime.
pub fn one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A runtime of two workers, as a node on two cores has.
///
/// # Errors
///
/// If the system has no means left for a runtime.
pub fn two_workers() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// Runs `work` as a task of its own and returns the time that it took. On a runtime with workers
/// it thus runs on one of them, as a request does; what `block_on` is given runs on the caller's
/// thread, beside them, and wakes them at each turn.
///
/// # Panics
///
/// If `work` does.
pub fn on_worker(runtime: &Runtime, work: impl Future<Output = ()> + Send + 'static) -> Duration {
    let task = runtime.spawn(async move {
        let began = Instant::now();
        work.await;
        began.elapsed()
    });
    match runtime.block_on(task) {
        Ok(took) => took,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
