//! Panics, as lines of the log. The standard library's own report goes to standard error at once:
//! a thread that panics would hang where nobody reads that.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::thread;
use std::time::Duration;

use tracing::{debug, error};

use super::Log;

/// The thread that writes the log. Nothing would be won by telling the log that it panics.
pub(super) const LOG_THREAD: &str = "gaggle-log";

/// How long a panic that ends the process waits for its line to be written.
const LAST_LINE: Duration = Duration::from_millis(250);

/// From now on the process reports panics to this log.
pub(super) fn report_to(log: Log) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed");
        if name == LOG_THREAD {
            return;
        }
        report(panic, name);
        if name == "main" || aborts(panic) {
            log.flush(LAST_LINE);
        }
    }));
}

fn report(panic: &PanicHookInfo<'_>, thread: &str) {
    let location = panic.location().map(ToString::to_string);
    let location = location.as_deref().unwrap_or("unknown");
    // A message that was put together when it panicked may hold a key, and is told at `debug`
    // alone. One that stands in the code cannot.
    let reason = panic.payload().downcast_ref::<&'static str>().copied();
    // Taken only where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    error!(
        location,
        thread,
        reason,
        backtrace = backtrace.as_ref().map(tracing::field::display),
        "a thread panicked"
    );
    debug!(
        location,
        reason = panic.payload_as_str(),
        "why a thread panicked"
    );
}

/// Whether the process ends here, by what the runtime says of a panic within a panic or across a
/// foreign function.
fn aborts(panic: &PanicHookInfo<'_>) -> bool {
    panic
        .payload_as_str()
        .is_some_and(|reason| reason.starts_with("panic in a "))
}
