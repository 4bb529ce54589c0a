//! One waiter: the state that the queue and the waiting future share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::acquire::Wanted;
use crate::{Permit, Refused};

/// The queue's part of one waiter.
pub(crate) struct Entry {
    wanted: Option<Box<dyn Fn() -> bool + Send>>,
    waiter: Arc<Waiter>,
}

impl Entry {
    pub(crate) fn new<W: Wanted>(wanted: Option<W>, waiter: &Arc<Waiter>) -> Self {
        Self {
            wanted: wanted.map(|wanted| Box::new(wanted) as Box<dyn Fn() -> bool + Send>),
            waiter: Arc::clone(waiter),
        }
    }

    /// Calls user code: must not be called under a lock.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted())
    }

    /// Gives the permit; returns it if the waiter no longer takes it.
    pub(crate) fn start(self, permit: Permit) -> Result<(), Permit> {
        match self.waiter.answer(Ok(permit)) {
            Err(Ok(permit)) => Err(permit),
            Ok(()) | Err(Err(_)) => Ok(()),
        }
    }

    /// Gives the refusal, if the waiter still takes it.
    pub(crate) fn refuse(self, refused: Refused) {
        drop(self.waiter.answer(Err(refused)));
    }
}

/// The place of the answer.
#[derive(Default)]
pub(crate) struct Waiter {
    answer: Mutex<Answer>,
}

enum Answer {
    None(Option<Waker>),
    Given(Result<Permit, Refused>),
    /// The future has its answer, or was dropped.
    Over,
}

impl Default for Answer {
    fn default() -> Self {
        Self::None(None)
    }
}

impl Waiter {
    /// Gives the answer, and wakes the waiter; returns the answer if the waiter no longer takes
    /// it.
    fn answer(&self, result: Result<Permit, Refused>) -> Result<(), Result<Permit, Refused>> {
        let waker = {
            let mut answer = self.lock();
            let Answer::None(waker) = &mut *answer else {
                return Err(result);
            };
            let waker = waker.take();
            *answer = Answer::Given(result);
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The answer; before that, registers `waker` to be woken when it arrives.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Result<Permit, Refused>> {
        let mut answer = self.lock();
        if let Answer::None(known) = &mut *answer {
            match known {
                Some(known) => known.clone_from(waker),
                unknown => *unknown = Some(waker.clone()),
            }
            return Poll::Pending;
        }
        match std::mem::replace(&mut *answer, Answer::Over) {
            Answer::Given(result) => Poll::Ready(result),
            Answer::None(_) | Answer::Over => Poll::Pending,
        }
    }

    /// Accepts no answer from now on; returns an answer that was not taken.
    pub(crate) fn close(&self) -> Option<Result<Permit, Refused>> {
        match std::mem::replace(&mut *self.lock(), Answer::Over) {
            Answer::Given(result) => Some(result),
            Answer::None(_) | Answer::Over => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
