//! The kept connections, and when they are dropped: a request is retried once if a kept connection
//! was closed as it was sent, and all kept connections are dropped if one of them has gone silent.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use tokio::time::{Instant, timeout};

use crate::client::{Client, Factory};
use crate::traffic::Traffic;

/// The shortest time between two drops of all connections, so that an origin that is slow or fails
/// does not cost a handshake for each load.
const BETWEEN_DROPS: Duration = Duration::from_secs(1);
/// How long a kept connection may be silent after a request before the other kept ones are
/// dropped, unless the service is known to take longer. The request itself continues: its answer
/// may be late.
const SILENCE: Duration = Duration::from_secs(1);

/// The connections to a service. They are kept in generations: a new one begins without any.
pub(crate) struct Connections {
    factory: Factory,
    kept: RwLock<Generation>,
    /// For retries, which must not use another connection that was closed meanwhile.
    unkept: Client,
    patience: Patience,
    /// Answers that have begun over a kept connection.
    answers: AtomicU64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) error: legacy::Error,
    /// Whether no byte of an answer had arrived when the connection ended, so that the same
    /// request may be sent again.
    pub(crate) unheard: bool,
    /// Whether it was sent a second time already.
    pub(crate) twice: bool,
}

struct Generation {
    number: u64,
    client: Client,
    /// When the previous one was dropped.
    began: Option<Instant>,
}

impl Connections {
    pub(crate) fn new(factory: Factory) -> Self {
        Self {
            kept: RwLock::new(Generation {
                number: 0,
                client: factory.client(),
                began: None,
            }),
            unkept: factory.client_without_pool(),
            factory,
            patience: Patience::new(),
            answers: AtomicU64::new(0),
        }
    }

    /// Sends a request that may be sent twice, and waits for the head of its answer. Keep the
    /// [`Exchange`] while the body is read.
    pub(crate) async fn send(
        &self,
        mut request: impl FnMut() -> Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Exchange<'_>), Unanswered> {
        let (number, client) = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            (kept.number, kept.client.clone())
        };
        let mut exchange = Exchange::new(self, number);
        let error = match exchange.ask(&client, request()).await {
            Ok(answer) => return Ok((answer, exchange)),
            Err(error) => error,
        };
        if !exchange.was_closed_by_the_service(&error) {
            return Err(Unanswered::once(error));
        }
        tracing::debug!(%error, "a kept connection was closed as a request left; trying again");
        if is_orderly(&error) {
            // The close of one connection, as after its last request or its idle timeout, says
            // nothing about the others.
            exchange.end();
        } else {
            drop(exchange);
        }
        let mut exchange = Exchange::new(self, number);
        match exchange.ask(&self.unkept, request()).await {
            Ok(answer) => Ok((answer, exchange)),
            Err(error) => Err(Unanswered {
                twice: true,
                ..Unanswered::once(error)
            }),
        }
    }

    /// Drops the kept connections of that generation, unless that was done a moment ago.
    fn give_up(&self, number: u64) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let lately = |began: Instant| began.elapsed() < BETWEEN_DROPS;
        if kept.number != number || kept.began.is_some_and(lately) {
            return;
        }
        let old = std::mem::replace(
            &mut *kept,
            Generation {
                number: number + 1,
                client: self.factory.client(),
                began: Some(Instant::now()),
            },
        );
        drop(kept);
        // Its idle connections close with it, and those in use after their answers.
        drop(old);
        tracing::debug!("the service does not answer: its kept connections are given up");
    }
}

impl Unanswered {
    fn once(error: legacy::Error) -> Self {
        let traffic = error.connect_info().and_then(Traffic::of);
        // A cancelled request had not been sent, so its connection saw nothing of it.
        let unheard = traffic.is_some_and(|it| it.is_unanswered()) || was_canceled(&error);
        Self {
            error,
            unheard,
            twice: false,
        }
    }
}

fn was_canceled(error: &legacy::Error) -> bool {
    below(error).is_some_and(hyper::Error::is_canceled)
}

fn below(error: &legacy::Error) -> Option<&hyper::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Whether the service closed the connection rather than reset it.
fn is_orderly(error: &legacy::Error) -> bool {
    below(error).is_some_and(hyper::Error::is_incomplete_message)
}

/// One request and its answer. If it is dropped before its end, it reports to the connections
/// whether a kept one has failed or a body has stopped: a caller may drop a load at any time, and
/// nothing else would report it then. A request without an answer by then is no sign of silence,
/// since a caller may drop it at once.
pub(crate) struct Exchange<'a> {
    connections: &'a Connections,
    generation: u64,
    began: Instant,
    connection: Option<CaptureConnection>,
    /// How many answers had begun when this request was sent.
    answers: u64,
    /// When the last bytes arrived; `None` before the answer's head.
    heard: Option<Instant>,
    failed: bool,
    over: bool,
}

impl<'a> Exchange<'a> {
    fn new(connections: &'a Connections, generation: u64) -> Self {
        Self {
            connections,
            generation,
            began: Instant::now(),
            connection: None,
            answers: connections.answers.load(Relaxed),
            heard: None,
            failed: false,
            over: false,
        }
    }

    async fn ask(
        &mut self,
        client: &Client,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        self.connection = Some(capture_connection(&mut request));
        let patience = &self.connections.patience;
        let mut answer = client.request(request);
        let answer = match timeout(patience.now(), &mut answer).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                // If other requests had answers meanwhile, this one is slow.
                let is_alone = self.connections.answers.load(Relaxed) == self.answers;
                if is_alone && self.is_kept_and_unanswered() {
                    self.connections.give_up(self.generation);
                }
                answer.await
            }
        };
        match &answer {
            Ok(_) => {
                patience.answered(self.began.elapsed());
                // A request over a new connection says nothing about the earlier ones.
                if self.traffic().is_some_and(|it| it.is_kept(self.began)) {
                    self.connections.answers.fetch_add(1, Relaxed);
                }
                self.heard();
            }
            Err(error) if error.is_connect() => self.over = true,
            Err(_) => self.failed = true,
        }
        answer
    }

    /// Whether an attempt failed as it does when the service has closed an idle connection (RFC
    /// 9112, section 9.3.1): on a connection that existed before the request, without a byte of an
    /// answer.
    fn was_closed_by_the_service(&self, error: &legacy::Error) -> bool {
        let traffic = error.connect_info().and_then(Traffic::of);
        traffic.is_some_and(|it| it.is_kept(self.began) && it.is_unanswered())
    }

    /// A part of the answer has arrived.
    pub(crate) fn heard(&mut self) {
        self.heard = Some(Instant::now());
    }

    /// The answer is complete, or no more of it is needed.
    pub(crate) fn end(mut self) {
        self.over = true;
    }

    fn is_kept_and_unanswered(&self) -> bool {
        let traffic = self.traffic();
        traffic.is_some_and(|it| it.is_kept(self.began) && it.is_unanswered())
    }

    fn traffic(&self) -> Option<Traffic> {
        let connected = self.connection.as_ref()?.connection_metadata();
        connected.as_ref().and_then(Traffic::of)
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let is_evidence = match self.heard {
            Some(heard) => heard.elapsed() >= SILENCE,
            None => self.failed && self.is_kept_and_unanswered(),
        };
        if is_evidence {
            self.connections.give_up(self.generation);
        }
    }
}

/// How long a service may be silent before that counts as a failure: [`SILENCE`], or twice the
/// time of a recent answer.
struct Patience {
    millis: AtomicU64,
}

impl Patience {
    const LEAST: u64 = SILENCE.as_secs() * 1_000;

    fn new() -> Self {
        Self {
            millis: AtomicU64::new(Self::LEAST),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.millis.load(Relaxed))
    }

    /// Records how long an answer took. Quick answers lower the patience gradually.
    fn answered(&self, after: Duration) {
        let millis = self.millis.load(Relaxed);
        let twice = u64::try_from(after.as_millis()).map_or(u64::MAX, |it| it.saturating_mul(2));
        let next = twice.max(millis - millis / 16).max(Self::LEAST);
        // Most services always answer sooner, so that threads only read this cache line.
        if next != millis {
            self.millis.store(next, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpOptions;
    use crate::addresses::Resolver;

    #[tokio::test(start_paused = true)]
    async fn connections_are_given_up_once_a_second_and_once_a_generation() {
        let resolver = Resolver::new(true);
        let factory = Factory::new(&HttpOptions::default(), false, resolver).unwrap();
        let connections = Connections::new(factory);
        let number = || connections.kept.read().unwrap().number;
        connections.give_up(0);
        assert_eq!(number(), 1);
        connections.give_up(1);
        assert_eq!(number(), 1, "again at once");
        tokio::time::advance(BETWEEN_DROPS).await;
        connections.give_up(0);
        assert_eq!(
            number(),
            1,
            "those of the first generation are gone already"
        );
        connections.give_up(1);
        assert_eq!(number(), 2);
    }

    #[test]
    fn patience_grows_with_late_answers_and_shrinks_with_quick_ones() {
        let patience = Patience::new();
        assert_eq!(patience.now(), SILENCE);
        patience.answered(Duration::from_millis(400));
        assert_eq!(patience.now(), SILENCE);
        patience.answered(Duration::from_secs(3));
        assert_eq!(patience.now(), Duration::from_secs(6));
        patience.answered(Duration::from_millis(1));
        assert!(patience.now() < Duration::from_secs(6));
        for _ in 0..100 {
            patience.answered(Duration::from_millis(1));
        }
        assert_eq!(patience.now(), SILENCE);
        patience.answered(Duration::MAX);
        assert_eq!(patience.now(), Duration::from_millis(u64::MAX));
    }
}
