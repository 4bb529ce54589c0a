//! A load from the origin, in a flight.

use std::sync::atomic::Ordering::Relaxed;

use gaggle_limiter::Refused;
use gaggle_singleflight::Ticket;
use tracing::{debug, warn};

use super::flight::{Outcome, Printable, exactly};
use super::gather::{Asked, Unanswered, Wish};
use super::{Inner, spans};
use crate::fault::Whole;
use crate::stats::LoadEnd;
use crate::tiers::Tier;
use crate::{
    Answer, BatchMember, Content, Entry, Error, Hint, Key, Loaded, Metadata, OriginError,
    OriginFault, Overload, Source,
};

impl Inner {
    pub(super) async fn load(
        &self,
        key: &Key,
        ticket: &Ticket<Key, Outcome>,
        old: Option<Box<Answer>>,
        refresh: bool,
        member: Option<BatchMember>,
    ) -> Outcome {
        if refresh {
            self.counters.refreshes.fetch_add(1, Relaxed);
        }
        if old.is_none()
            && let Some(entry) = self.ask_previous(key, member.as_ref()).await
        {
            self.commit(key, ticket, &entry);
            return Ok(Answer::new(entry, Source::Peer));
        }
        // Only if a stale value can be served meanwhile: other keys are loaded again with each
        // get.
        let failed = old.is_some().then(|| FailedUnless::new(self, key));
        let loaded = self.ask_origin(key, ticket, old, refresh, member).await;
        if let Some(failed) = failed {
            failed.unless(!loaded.as_ref().is_err_and(Error::is_failure));
        }
        let (entry, hint) = loaded?;
        // Even if there was no old value any more: the next failure is a first one again.
        self.failures.over(key);
        let entry = self.settle(key, ticket, entry, hint);
        Ok(Answer::new(entry, Source::Origin))
    }

    /// Decides how long an entry may be served that has just been loaded, and keeps it.
    fn settle(
        &self,
        key: &Key,
        ticket: &Ticket<Key, Outcome>,
        mut entry: Entry,
        hint: Hint,
    ) -> Entry {
        loop {
            let settings = self.settings();
            let policy = &settings.freshness;
            entry.freshness = policy.of(entry.value.is_none(), hint);
            if let Some(ttl) = entry.freshness.ttl {
                let ttl = self.expiries.draw(ttl, policy.ttl_jitter, self.clock.now());
                entry.freshness.ttl = Some(ttl);
            }
            self.commit(key, ticket, &entry);
            // If the settings have changed meanwhile, the cache may have been searched for
            // lifetimes that are too long before this entry was in it.
            if self.are_current(&settings) {
                return entry;
            }
        }
    }

    async fn ask_origin(
        &self,
        key: &Key,
        ticket: &Ticket<Key, Outcome>,
        old: Option<Box<Answer>>,
        refresh: bool,
        member: Option<BatchMember>,
    ) -> Result<(Entry, Hint), Error> {
        let stale = old.as_ref().map(|old| old.metadata.clone());
        let stale = stale.filter(Metadata::has_validators);
        let may_be_unchanged = stale.is_some();
        let wish = Wish {
            key: key.clone(),
            stale,
            ticket: ticket.clone(),
            refresh,
            span: spans::of(ticket),
        };
        debug!(node = %self.me(), group = %self.name, key = %Printable(key), "asking the origin");
        let asked = match self.origin.max_batch() {
            0 | 1 => self.ask_alone(wish).await,
            most => self.ask_together(wish, member, most).await,
        };
        let Asked { timer, outcome } = asked.map_err(|refused| self.refused(&refused))?;
        let loaded = match outcome {
            Ok(loaded) => loaded,
            Err(Unanswered::Late) => {
                let after = self.settings().limits.load_timeout;
                warn!(group = %self.name, ?after, "the origin did not answer in time");
                return Err(self.deadline(after));
            }
            Err(Unanswered::Panicked(panicked)) => return Err(self.flight_failed(panicked)),
        };
        let Loaded {
            content,
            freshness,
            metadata,
        } = loaded.map_err(|failure| {
            if failure.fault() == OriginFault::Key {
                self.counters.origin_key_faults.fetch_add(1, Relaxed);
            }
            self.origin_failed(failure)
        })?;
        let (value, metadata) = match content {
            Content::Value(value) => (Some(value), metadata),
            Content::Absent => (None, metadata),
            Content::NotModified => {
                let known = old.and_then(|old| Some((old.value?, old.metadata)));
                let Some((value, known)) = known.filter(|_| may_be_unchanged) else {
                    let failure = "it says that nothing has changed, and there is nothing here";
                    return Err(self.origin_failed(OriginError::failed(failure)));
                };
                self.counters.not_modified.fetch_add(1, Relaxed);
                let metadata = if metadata.is_empty() { known } else { metadata };
                (Some(value), metadata)
            }
        };
        let entry = Entry {
            value: value.map(exactly),
            metadata,
            ..Entry::default()
        };
        self.check_entry(&entry)?;
        timer.end(if entry.value.is_some() {
            LoadEnd::Ok
        } else {
            LoadEnd::NotFound
        });
        Ok((entry, freshness))
    }

    /// Keeps an entry that this node has loaded.
    fn commit(&self, key: &Key, ticket: &Ticket<Key, Outcome>, entry: &Entry) {
        // Checked now and not when the load began: the ring may have changed meanwhile.
        if self.router().is_mine(key) {
            self.keep(ticket, Tier::Main, key, entry, entry.freshness);
        } else {
            // Loaded in place of the owner. It must not enter the main cache, which is for keys
            // that this node owns; but while the owner is down a copy saves the origin one load
            // for each get.
            let settings = self.settings();
            let most = settings.limits.stand_in_ttl.min(settings.freshness.hot_ttl);
            self.keep(ticket, Tier::Hot, key, entry, entry.freshness.at_most(most));
        }
    }

    fn refused(&self, refused: &Refused) -> Error {
        let group = self.name.clone();
        let retry_after = refused.retry_after();
        let retry_after = retry_after.unwrap_or_else(|| self.settings().limits.retry_after);
        let why = match refused {
            Refused::Open { .. } => Overload::OriginDown,
            // The flight has no waiters: a new caller should start another one.
            Refused::Unwanted => return Error::Cancelled { group },
            _ => Overload::Queue {
                limit: self.origin_limiter.stats().limit,
            },
        };
        self.counters.shed.fetch_add(1, Relaxed);
        Error::Shed {
            group,
            why,
            retry_after,
        }
    }

    fn origin_failed(&self, failure: OriginError) -> Error {
        let group = self.name.clone();
        match failure {
            OriginError::TooLarge { len, limit } => Error::ValueTooLarge { group, len, limit },
            OriginError::OverBudget(over) => Error::Shed {
                group,
                why: Overload::Bytes { limit: over.limit },
                retry_after: over.retry_after,
            },
            source @ OriginError::Failed(_) => {
                if source.fault() == OriginFault::Key {
                    debug!(group = %self.name, error = %Whole(&source), "the origin takes no such key");
                } else {
                    // The full text: the requester only gets the kind of failure.
                    warn!(group = %self.name, error = %Whole(&source), "the origin failed");
                }
                Error::Origin {
                    group,
                    peer: None,
                    source,
                }
            }
        }
    }
}

/// Records a failed load of a key, also one that panics or is cancelled.
struct FailedUnless<'a> {
    inner: &'a Inner,
    key: &'a Key,
    answered: bool,
}

impl<'a> FailedUnless<'a> {
    fn new(inner: &'a Inner, key: &'a Key) -> Self {
        Self {
            inner,
            key,
            answered: false,
        }
    }

    fn unless(mut self, answered: bool) {
        self.answered = answered;
    }
}

impl Drop for FailedUnless<'_> {
    fn drop(&mut self) {
        if self.answered {
            self.inner.failures.over(self.key);
        } else {
            self.inner.failures.failed(self.key, self.inner.clock.now());
        }
    }
}
