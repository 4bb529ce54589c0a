//! Calls of a peer, within their bounds.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use gaggle_group::{ByteBudget, Peer, PeerError, TraceParent, Verdict};
use prost::Message;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Request, Response, Status};

use super::GrpcPeer;
use super::answers::Answers;
use super::outcome::{Asked, never_sent};
use crate::deadline::sendable;
use crate::trace;
use crate::wire::peers_client::PeersClient;
use crate::wire::{MAX_REQUEST, RemoveRequest};

impl GrpcPeer {
    /// Makes a call within `within`, including the wait for a slot. `call` gets the time that is
    /// left.
    pub(super) async fn ask<T, F, Fut>(
        &self,
        slots: Option<&Semaphore>,
        within: Duration,
        call: F,
    ) -> Result<T, Asked>
    where
        F: Fn(PeersClient<Answers>, Duration) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        self.counted(None, slots, within, call).await
    }

    /// The same with a budget that the answer draws on, and the most bytes of the answer.
    pub(super) async fn counted<T, F, Fut>(
        &self,
        budget: Option<(&ByteBudget, usize)>,
        slots: Option<&Semaphore>,
        within: Duration,
        call: F,
    ) -> Result<T, Asked>
    where
        F: Fn(PeersClient<Answers>, Duration) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let started = Instant::now();
        let answer = timeout(within, async {
            let _slot = match slots {
                Some(slots) => Some(self.slot(slots, started, within).await?),
                None => None,
            };
            let left = || within.saturating_sub(started.elapsed());
            let once = async || {
                let attempt = self.pool.attempt();
                let channel = self.pool.channel();
                let most = budget.map_or(usize::MAX, |(_, most)| most);
                let budget = budget.map(|(budget, _)| budget.clone());
                let answers = Answers::new(channel, budget, most, self.cluster.clone())
                    .authorized(self.options.authorization.as_ref());
                let answer = call(PeersClient::new(answers), left()).await;
                attempt.ended(&answer);
                answer
            };
            let answer = match once().await {
                // The peer closed an idle connection, as a restart does, and this request took it
                // before the close was noticed. It was never sent, so it is retried on a new
                // connection.
                Err(status) if never_sent(&status) => once().await,
                answer => answer,
            };
            answer.map_err(|status| self.unanswered(status))
        });
        let answer = answer.await.unwrap_or(Err(Asked::Late(within)));
        answer.map(Response::into_inner)
    }

    /// The meaning of a call that ended with that status.
    fn unanswered(&self, status: Status) -> Asked {
        let is_theirs = status.source().is_none();
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied if is_theirs => {
                Asked::ShutOut(if status.message().contains("certificate") {
                    "it requires a client certificate"
                } else if self.options.authorization.is_some() {
                    "it refuses this node's token"
                } else {
                    "it requires a token, and this node has none"
                })
            }
            _ => Asked::Failed(status),
        }
    }

    /// Takes a slot for a request. A peer with the maximum of requests in flight is full, which
    /// differs from not answering.
    async fn slot<'a>(
        &self,
        slots: &'a Semaphore,
        started: Instant,
        within: Duration,
    ) -> Result<Option<SemaphorePermit<'a>>, Asked> {
        let acquired = slots.acquire();
        let slot = match started.checked_add(within) {
            Some(until) => timeout_at(until, acquired).await,
            None => Ok(acquired.await),
        };
        // Err would mean that the semaphore is closed, which never happens.
        let slot = slot.map(Result::ok);
        slot.map_err(|_| Asked::Full(self.options.max_requests_per_peer))
    }

    /// The answer to a request that older peers do not know.
    pub(super) fn known_request<T>(&self, asked: Result<T, Asked>) -> Result<T, PeerError> {
        asked.map_err(|asked| match asked {
            Asked::Failed(status) if status.code() == Code::Unimplemented => {
                self.has_no_such_thing()
            }
            asked => asked.into_error(&self.name),
        })
    }

    /// Sends a removal, in the time that is left since `started`; returns whether the peer has
    /// read it.
    pub(super) async fn told(
        &self,
        message: RemoveRequest,
        started: Instant,
        trace: Option<TraceParent>,
    ) -> Result<bool, PeerError> {
        self.check_size(&message, MAX_REQUEST)?;
        let within = self.options.remove_timeout;
        let within = within.saturating_sub(started.elapsed());
        let answer = self
            .ask(Some(&self.slots), within, |mut client, left| {
                let mut request = timed(message.clone(), left);
                trace::put(trace, request.metadata_mut());
                async move { client.remove(request).await }
            })
            .await
            .map_err(|asked| asked.into_error(&self.name))?;
        Ok(answer.applied)
    }

    pub(super) fn check_size(&self, request: &impl Message, most: usize) -> Result<(), PeerError> {
        let len = request.encoded_len();
        if len > most {
            return Err(self.refused(&format!(
                "a request of {len} bytes is over the limit of {most}"
            )));
        }
        Ok(())
    }

    pub(super) fn refused(&self, reason: &str) -> PeerError {
        PeerError::Refused {
            peer: self.name.clone(),
            reason: reason.into(),
        }
    }

    pub(super) fn verdict(&self, verdict: Verdict) -> PeerError {
        PeerError::Verdict {
            peer: self.name.clone(),
            verdict,
        }
    }
}

/// A request with the time that its caller waits for the answer.
pub(super) fn timed<T>(message: T, left: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(sendable(left));
    request
}
