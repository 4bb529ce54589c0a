//! Lines on their way to a writer that may block, fail or panic.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait, at most.
const MOST_LINES: usize = 8192;

/// Bytes of lines that wait, at most.
const MOST_BYTES: usize = 1 << 20;

/// How long a line is tried on a writer that would block and does not (a pipe that another
/// process has made so).
const RETRY_FOR: Duration = Duration::from_secs(1);
const RETRY_EVERY: Duration = Duration::from_millis(10);

/// A bounded queue. What does not fit is dropped and counted, as is what the writer does not take.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Whether the thread has a line in its hands.
    writing: bool,
    /// Whether no more lines can come.
    closed: bool,
}

impl Queue {
    /// Lines that were dropped, since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Never waits for the writer.
    fn push(&self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let line: Box<[u8]> = line.into();
        let mut state = self.lock();
        if state.lines.len() >= MOST_LINES || state.bytes + line.len() > MOST_BYTES {
            drop(state);
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until all lines are written, or lost, or that time has passed. Whether they are.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let busy = |state: &mut State| state.writing || !state.lines.is_empty();
        let waited = self.emptied.wait_timeout_while(self.lock(), within, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn next(&self, tick: Option<Instant>) -> Next {
        let mut state = self.lock();
        loop {
            let left = tick.map(|tick| tick.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) && !state.closed {
                return Next::Tick;
            }
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.len();
                state.writing = true;
                return Next::Line(line);
            }
            if state.closed {
                return Next::Closed;
            }
            state = match left {
                Some(left) => {
                    let waited = self.filled.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.filled.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn written(&self) {
        let mut state = self.lock();
        state.writing = false;
        let empty = state.lines.is_empty();
        drop(state);
        if empty {
            self.emptied.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Line(Box<[u8]>),
    Tick,
    Closed,
}

/// The end of the queue that a subscriber writes to. The thread ends after it.
pub(super) struct Producer(pub(super) Arc<Queue>);

impl<'a> MakeWriter<'a> for Producer {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Producer {
    /// One call is one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.filled.notify_all();
    }
}

/// Writes lines until the producer is gone. Calls `tick` in between, about as often as asked for.
pub(super) fn run(
    queue: &Queue,
    writer: impl Write,
    every: Option<Duration>,
    mut tick: impl FnMut(),
) {
    let mut writer = Whole {
        writer,
        torn: false,
    };
    let mut next_tick = every.map(|every| Instant::now() + every);
    loop {
        match queue.next(next_tick) {
            Next::Line(line) => {
                let result = catch_unwind(AssertUnwindSafe(|| writer.put(&line)));
                if !matches!(result, Ok(Ok(()))) {
                    queue.lost.fetch_add(1, Relaxed);
                }
                queue.written();
            }
            Next::Tick => {
                tick();
                next_tick = every.map(|every| Instant::now() + every);
            }
            Next::Closed => return,
        }
    }
}

/// A writer of whole lines.
struct Whole<W> {
    writer: W,
    /// Whether the last line was given up after its beginning had been written.
    torn: bool,
}

impl<W: Write> Whole<W> {
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let until = Instant::now() + RETRY_FOR;
        if self.torn {
            self.put_part(b"\n", until)?;
        }
        self.put_part(line, until)?;
        self.writer.flush()
    }

    fn put_part(&mut self, mut bytes: &[u8], until: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.writer.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    bytes = bytes.get(n..).unwrap_or_default();
                    self.torn = !bytes.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    // A thread of its own, which has nothing else to do.
                    std::thread::sleep(RETRY_EVERY);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue that nobody writes from.
    fn producer() -> Producer {
        Producer(Arc::default())
    }

    #[test]
    fn lines_and_bytes_are_bounded_and_what_exceeds_them_is_counted() {
        let short = producer();
        for _ in 0..MOST_LINES + 5 {
            assert_eq!((&short).write(b"x\n").unwrap(), 2);
        }
        assert_eq!(
            (short.0.lock().lines.len(), short.0.lost()),
            (MOST_LINES, 5)
        );

        let long = producer();
        let line = vec![b'x'; 16 << 10];
        for _ in 0..64 + 3 {
            (&long).write_all(&line).unwrap();
        }
        assert_eq!((long.0.lock().bytes, long.0.lost()), (MOST_BYTES, 3));
        // A shorter one that does not fit either.
        (&long).write_all(b"y\n").unwrap();
        assert_eq!(long.0.lost(), 4);
        assert!(!long.0.flush(Duration::ZERO));
    }

    /// Takes so many bytes a time, and every second time none.
    struct Reluctant {
        taken: Vec<u8>,
        calls: usize,
        fails_after: usize,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls == self.fails_after {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if self.calls.is_multiple_of(2) {
                return Err(ErrorKind::WouldBlock.into());
            }
            let n = bytes.len().min(3);
            self.taken.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_that_takes_little_at_a_time_gets_all() {
        let queue = producer();
        for line in ["one line\n", "two\n"] {
            (&queue).write_all(line.as_bytes()).unwrap();
        }
        let shared = Arc::clone(&queue.0);
        drop(queue);
        let mut writer = Reluctant {
            taken: Vec::new(),
            calls: 0,
            fails_after: usize::MAX,
        };
        run(&shared, &mut writer, None, || {});
        assert_eq!(writer.taken, b"one line\ntwo\n");
        assert_eq!(shared.lost(), 0);
        assert!(shared.flush(Duration::ZERO));
    }

    #[test]
    fn a_line_that_breaks_off_does_not_run_into_the_next() {
        let queue = producer();
        for line in ["one line\n", "two\n"] {
            (&queue).write_all(line.as_bytes()).unwrap();
        }
        let shared = Arc::clone(&queue.0);
        drop(queue);
        let mut writer = Reluctant {
            taken: Vec::new(),
            calls: 0,
            fails_after: 4,
        };
        run(&shared, &mut writer, None, || {});
        assert_eq!(String::from_utf8(writer.taken).unwrap(), "one li\ntwo\n");
        assert_eq!(shared.lost(), 1);
    }
}
