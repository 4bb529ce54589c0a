//! What a connection needs while it has something to do. One that is idle has none of it.

use std::sync::{Mutex, PoisonError};

use bytes::{Buf as _, BytesMut};

use crate::counts::Untold;
use crate::output::{Output, Room};
use crate::parse::Parser;

/// How much is read at a time, as Redis has it.
pub(crate) const READ: usize = 16 << 10;

/// From here on a request draws on the budget of bytes in flight.
pub(crate) const UNRESERVED: usize = 64 << 10;

/// An input buffer of this size is kept for the next client.
const KEPT: usize = 64 << 10;

/// Buffers that wait for a client that is not idle.
const POOLED: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// What was read. The request that is next begins at `start`.
    pub(crate) input: BytesMut,
    pub(crate) start: usize,
    pub(crate) parser: Parser,
    pub(crate) output: Output,
    pub(crate) untold: Untold,
    /// For a request that is larger than usual.
    pub(crate) room: Option<Room>,
    pub(crate) reserved: u64,
    /// When the request that is there in part began.
    pub(crate) since: u64,
}

impl Scratch {
    /// Whether there is neither a part of a request nor an answer that waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.input.len() && self.output.is_sent()
    }

    /// The bytes of the request that is there in part.
    pub(crate) fn partial(&self) -> usize {
        self.input.len() - self.start
    }

    /// Forgets what was answered. Room is given back with the buffer that it was for, at the
    /// latest when what is left of that needs none.
    pub(crate) fn compact(&mut self) {
        let rest = self.input.get(self.start..).unwrap_or_default();
        let is_large = self.reserved > 0 || self.input.capacity() > KEPT;
        if is_large && self.start > 0 && rest.len() < UNRESERVED / 2 {
            let mut fresh = BytesMut::new();
            if !rest.is_empty() {
                fresh.reserve(rest.len() + READ);
                fresh.extend_from_slice(rest);
            }
            self.input = fresh;
            self.room = None;
            self.reserved = 0;
        } else if self.start == self.input.len() {
            self.input.clear();
        } else if self.start > 0 {
            self.input.advance(self.start);
        }
        self.start = 0;
    }

    fn is_worth_keeping(&self) -> bool {
        self.is_empty()
            && self.input.capacity() <= KEPT
            && self.output.is_small()
            && self.parser.is_small()
    }
}

/// Scratches that nobody uses: about as many as there are connections that are served at one
/// moment, which are few even where thousands are open.
#[expect(
    clippy::vec_box,
    reason = "a connection has a pointer, and moves no buffers"
)]
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Box<Scratch>>>);

impl Pool {
    pub(crate) fn take(&self) -> Box<Scratch> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop().unwrap_or_default()
    }

    pub(crate) fn put(&self, mut scratch: Box<Scratch>) {
        if !scratch.is_worth_keeping() {
            return;
        }
        scratch.compact();
        scratch.parser.reset();
        // The next client's request begins when that client sends it.
        scratch.since = 0;
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < POOLED {
            free.push(scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use gaggle_group::ByteBudget;

    use super::*;

    fn of(len: usize, start: usize) -> Box<Scratch> {
        let mut scratch = Box::<Scratch>::default();
        scratch.input.extend_from_slice(&vec![b'x'; len]);
        scratch.start = start;
        scratch
    }

    #[test]
    fn a_scratch_brings_no_time_of_the_client_that_had_it() {
        let pool = Pool::default();
        let mut scratch = of(10, 10);
        scratch.since = 7;
        pool.put(scratch);
        let next = pool.take();
        assert!(next.input.capacity() > 0, "it is the same one");
        assert_eq!(next.since, 0);
    }

    #[test]
    fn room_goes_with_the_buffer_that_it_was_for() {
        let budget = ByteBudget::new(1 << 20, std::time::Duration::ZERO);
        let reserved = |len: usize, start| {
            let mut scratch = of(len, start);
            scratch.room = Some(Room::new(budget.try_reserve(len as u64).unwrap()));
            scratch.reserved = len as u64;
            scratch
        };
        // A byte of the next request is left, or none.
        for left in [0, 1] {
            let mut scratch = reserved(500_000, 500_000 - left);
            scratch.compact();
            assert_eq!(scratch.partial(), left);
            assert!(scratch.input.capacity() <= KEPT);
            assert_eq!((scratch.reserved, budget.used()), (0, 0));
        }
        // So much is left that it needs the room.
        let mut scratch = reserved(500_000, 100_000);
        scratch.compact();
        assert_eq!(scratch.partial(), 400_000);
        assert_eq!(budget.used(), 500_000);
    }
}
