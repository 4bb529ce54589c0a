//! One URL of a service, and one attempt to ask it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gaggle_group::{OriginError, OriginFault};
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use tokio::time::{Instant, timeout};

use crate::answer::Answer;
use crate::client::Factory;
use crate::connections::{Connections, Unanswered};
use crate::error::Failure;
use crate::origin::Due;
use crate::retry::retry_after;
use crate::standing::{Failing, LEFT_FOR, Standing};

/// How long a dropped load must have waited before that counts as a silence. Shorter waits say
/// more about the load than about the service.
const SILENCE: Duration = Duration::from_millis(250);

const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("request-timeout");

/// The request, for any of the URLs.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// When the load must be over.
    pub(crate) due: Due,
    /// Whether the request has the time that is left.
    pub(crate) send_timeout: bool,
}

impl Ask {
    fn request(&self, uri: &Uri) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        request.method_mut().clone_from(&self.method);
        request.uri_mut().clone_from(uri);
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        if self.send_timeout
            && let Some(left) = self.due.left()
        {
            headers.entry(REQUEST_TIMEOUT).or_insert(seconds(left));
        }
        request
    }
}

/// A time as a header has it: seconds with three decimals, rounded down, and never none at all.
fn seconds(left: Duration) -> HeaderValue {
    let millis = left.as_millis().max(1);
    let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    // Digits are always a header's value.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0.001"))
}

/// How long one attempt may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until an answer begins: a connection is part of it.
    pub(crate) head: Duration,
    /// For each piece of the body.
    pub(crate) read: Duration,
}

/// A URL, its connections, and its record.
pub(crate) struct Upstream {
    /// The URL's [public part](crate::url::public_part).
    pub(crate) name: String,
    pub(crate) standing: Standing,
    connections: Connections,
    /// Whether it is the only URL.
    alone: bool,
}

/// An attempt without a usable result.
pub(crate) struct Tried<'a> {
    pub(crate) outcome: Outcome<'a>,
    pub(crate) then: Then,
    /// Whether the request was sent a second time already.
    pub(crate) twice: bool,
}

pub(crate) enum Outcome<'a> {
    /// An answer that says so.
    Answer(Box<Answer<'a>>),
    Error(OriginError),
}

/// What may follow a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Another URL may be asked.
    Elsewhere,
    /// The same URL may be asked as well, after the time that it requests.
    Again(Option<Duration>),
}

impl Upstream {
    pub(crate) fn new(name: String, factory: &Factory, alone: bool) -> Self {
        Self {
            name,
            standing: Standing::new(),
            connections: Connections::new(factory.clone()),
            alone,
        }
    }

    /// Asks once. Over a kept connection that the service closes as the request is sent, it asks
    /// twice.
    pub(crate) async fn ask(
        &self,
        ask: &Ask,
        uri: &Uri,
        patience: Patience,
    ) -> Result<Answer<'_>, Tried<'_>> {
        let mut watch = Watch::new(self, ask.due);
        self.standing.asked(watch.began);
        let sent = self.connections.send(|| ask.request(uri));
        let sent = timeout(patience.head, sent).await;
        watch.over = true;
        match sent {
            Ok(Ok((response, exchange))) => {
                let answer = Answer {
                    response,
                    exchange,
                    name: &self.name,
                    read_timeout: patience.read,
                };
                self.judge(answer)
            }
            Ok(Err(unanswered)) => Err(self.unanswered(unanswered)),
            Err(elapsed) => {
                self.failed(Failing::Answer);
                let reason = format!("no answer within {:?}", patience.head);
                let failure = Failure::new(&self.name, reason).caused_by(elapsed);
                Err(Tried {
                    outcome: Outcome::Error(failure.told(OriginFault::TimedOut)),
                    then: Then::Elsewhere,
                    twice: false,
                })
            }
        }
    }

    fn judge<'a>(&self, answer: Answer<'a>) -> Result<Answer<'a>, Tried<'a>> {
        let status = answer.status();
        let then = match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                Then::Again(retry_after(answer.headers(), SystemTime::now()))
            }
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Then::Again(None),
            _ if is_failure(status) => Then::Elsewhere,
            _ => {
                self.answered();
                return Ok(answer);
            }
        };
        self.failed(Failing::Answer);
        Err(Tried {
            outcome: Outcome::Answer(Box::new(answer)),
            then,
            twice: false,
        })
    }

    fn answered(&self) {
        if self.standing.answered() && !self.alone {
            tracing::info!(url = %self.name, "a URL of the origin answers again");
        }
    }

    fn unanswered(&self, unanswered: Unanswered) -> Tried<'_> {
        let Unanswered {
            error,
            unheard,
            twice,
        } = unanswered;
        let unreachable = error.is_connect();
        let (how, fault) = if unreachable {
            (Failing::Unreachable, OriginFault::Unreachable)
        } else {
            (Failing::Answer, OriginFault::BrokeOff)
        };
        self.failed(how);
        let failure = Failure::new(&self.name, "").caused_by(error);
        Tried {
            outcome: Outcome::Error(failure.told(fault)),
            then: if unreachable || unheard {
                Then::Again(None)
            } else {
                Then::Elsewhere
            },
            twice,
        }
    }

    fn failed(&self, how: Failing) {
        if self.standing.failed(how, Instant::now()) && !self.alone {
            tracing::warn!(url = %self.name,
                "a URL of the origin fails, and is not used for {LEFT_FOR:?} if another one works");
        }
    }
}

/// Whether a status means that the service is unhealthy. 501 and 505 do not: a healthy service
/// sends them for what it does not support.
fn is_failure(status: StatusCode) -> bool {
    let unknown = [
        StatusCode::NOT_IMPLEMENTED,
        StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    ];
    status.is_server_error() && !unknown.contains(&status)
}

/// A request whose answer has not begun. If it is dropped, it counts as a silence if it has waited
/// for long: a group's own deadline may be shorter than the timeouts here.
struct Watch<'a> {
    upstream: &'a Upstream,
    began: Instant,
    least: Duration,
    over: bool,
}

impl<'a> Watch<'a> {
    fn new(upstream: &'a Upstream, due: Due) -> Self {
        Self {
            upstream,
            began: Instant::now(),
            least: due.left().map_or(SILENCE, |left| SILENCE.min(left / 2)),
            over: false,
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.over && self.began.elapsed() >= self.least {
            self.upstream.failed(Failing::Answer);
        }
    }
}
