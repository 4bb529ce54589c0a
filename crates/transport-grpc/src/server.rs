//! The server.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request as HttpRequest, State};
use axum::http::HeaderName;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response as HttpResponse;
use gaggle_group::{ByteBudget, Entry, Error, Group, Groups, Hop, Key, Serve, Verdict};
use gaggle_proto::inspect::Unanswered;
use gaggle_proto::{MAX_NEWS, hello, inspect, notices, terms};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::client::base_url;
use crate::counted::{Counted, Held, Reserved};
use crate::deadline::time_to_work;
use crate::trace;
use crate::verdict;
use crate::wire::peers_server::{Peers, PeersServer};
use crate::wire::{
    self, GetRequest, GetResponse, HandOverRequest, HandOverResponse, HandedOver, HelloRequest,
    HelloResponse, InspectRequest, InspectResponse, LeavingRequest, LeavingResponse, NewsRequest,
    NewsResponse, NotFound, NotKept, PingRequest, PingResponse, PutRequest, PutResponse,
    RemoveRequest, RemoveResponse, get_response::Result as Outcome,
};

/// The options of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// How long before the asker's deadline to answer that there is no value, so that the asker
    /// still waits for the answer. It is never more than an eighth of the deadline. Default 100
    /// ms.
    pub answer_ahead: Duration,
    /// How long a whole request may take to arrive, however steadily it does. Default 5 s.
    pub body_timeout: Duration,
    /// The cluster whose requests are answered: one for another cluster is refused with
    /// FAILED_PRECONDITION, unless it is a hello. Default: all are answered.
    pub cluster: Option<Arc<str>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            answer_ahead: Duration::from_millis(100),
            body_timeout: Duration::from_secs(5),
            cluster: None,
        }
    }
}

/// The service for `groups`, to be served over HTTP/2 by a server for axum's routers (on a plain
/// connection: h2c with prior knowledge). It has no fallback, and so can be merged with other
/// routes of the same port.
///
/// That server bounds the number of connections and of streams in each.
pub fn router(groups: Groups, options: ServerOptions) -> axum::Router {
    let largest = groups
        .iter()
        .map(|group| group.limits().max_value)
        .max()
        .unwrap_or(0);
    let bounds = Bounds {
        budget: groups.iter().next().map(|group| group.in_flight().clone()),
        most: wire::max_request(largest),
        within: options.body_timeout,
        cluster: options.cluster.clone(),
    };
    let service = PeersServer::new(Served::new(groups, options))
        .max_decoding_message_size(wire::max_request(largest))
        .max_encoding_message_size(wire::max_answer(largest).max(MAX_NEWS));
    Routes::from(axum::Router::new())
        .add_service(service)
        .into_axum_router()
        .route_layer(from_fn_with_state(Arc::new(bounds), bounded))
}

/// The bounds of request bodies.
struct Bounds {
    /// The budget that they draw on. The groups of a node share it.
    budget: Option<ByteBudget>,
    most: usize,
    within: Duration,
    cluster: Option<Arc<str>>,
}

/// Request: the cluster that it is meant for.
pub(crate) const CLUSTER: HeaderName = HeaderName::from_static("gaggle-cluster");

impl Bounds {
    fn is_ours(&self, request: &HttpRequest) -> bool {
        match (&self.cluster, request.headers().get(CLUSTER)) {
            (Some(ours), Some(named)) if !request.uri().path().ends_with("/Hello") => {
                named.as_bytes() == ours.as_bytes()
            }
            _ => true,
        }
    }
}

/// Makes the body of a request draw on the budget, and that of its answer until it is written.
async fn bounded(
    State(bounds): State<Arc<Bounds>>,
    request: HttpRequest,
    next: Next,
) -> HttpResponse {
    if !bounds.is_ours(&request) {
        return Status::failed_precondition("this node is of another cluster").into_http();
    }
    let request = request.map(|body| {
        let budget = bounds.budget.clone();
        axum::body::Body::new(Counted::request(body, budget, bounds.most, bounds.within))
    });
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Reserved>() {
        None => response,
        Some(reserved) => response.map(|body| axum::body::Body::new(Held::new(body, reserved))),
    }
}

pub(crate) struct Served {
    groups: Groups,
    options: ServerOptions,
}

impl Served {
    pub(crate) fn new(groups: Groups, options: ServerOptions) -> Self {
        Self { groups, options }
    }

    fn group(&self, name: &str) -> Result<&Group, Status> {
        self.groups
            .get(name)
            .ok_or_else(|| Status::not_found(format!("no such group: {name}")))
    }
}

#[tonic::async_trait]
impl Peers for Served {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let wait = time_to_work(request.metadata(), self.options.answer_ahead);
        let trace = trace::read(request.metadata());
        let GetRequest {
            group,
            key,
            max_value,
            removals,
            kept_only,
        } = request.into_inner();
        let removals = notices::carried(removals).map_err(invalid)?;
        let request = Serve::new(&key, Hop::Forwarded).within(wait);
        let request = request.after(&removals).kept_only(kept_only).traced(trace);
        let group = self.group(&group)?;
        let outcome = outcome(group.serve(request).await, max_value.unwrap_or(u64::MAX))?;
        let len = match &outcome {
            Outcome::Value(message) => message.value.len(),
            _ => 0,
        };
        let answer = |result| {
            Response::new(GetResponse {
                result: Some(result),
            })
        };
        if len < ByteBudget::SMALL {
            return Ok(answer(outcome));
        }
        // For the copy of the value, which exists until it is written.
        Ok(match group.in_flight().reserve(len as u64).await {
            Ok(reserved) => {
                let mut answer = answer(outcome);
                answer.extensions_mut().insert(Reserved::new(reserved));
                answer
            }
            Err(over) => {
                let shed = Verdict::Shed {
                    limit: 0,
                    retry_after: over.retry_after,
                };
                answer(Outcome::Failure(verdict::failure(shed)?))
            }
        })
    }

    async fn remove(
        &self,
        request: Request<RemoveRequest>,
    ) -> Result<Response<RemoveResponse>, Status> {
        let trace = trace::read(request.metadata());
        let RemoveRequest { group, key, notice } = request.into_inner();
        let group = self.group(&group)?;
        let applied = notice.is_some();
        match notice {
            // Whether it was known or not, the values that it names are dropped.
            Some(notice) => {
                group.apply_traced(&notices::notice(&notice).map_err(invalid)?, trace);
            }
            // A removal from an older asker.
            None => {
                group.forget(&key);
            }
        }
        Ok(Response::new(RemoveResponse { applied }))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let trace = trace::read(request.metadata());
        let PutRequest {
            group,
            key,
            id,
            entry,
        } = request.into_inner();
        let group = self.group(&group)?;
        let (Some(id), Some(entry)) = (id, entry) else {
            return Err(Status::invalid_argument("a value to keep without a name"));
        };
        if key.len() > notices::MAX_KEY {
            return Err(invalid(notices::BadNotice::KeyTooLong));
        }
        let id = notices::id(id).map_err(invalid)?;
        let entry = terms::entry(entry, wire::owned).map_err(invalid)?;
        let failure = match group.accept_traced(&key, &entry, id, trace) {
            Ok(()) => None,
            Err(error) => Some(verdict::of(&error)?),
        };
        Ok(Response::new(PutResponse { failure }))
    }

    async fn news(&self, request: Request<NewsRequest>) -> Result<Response<NewsResponse>, Status> {
        let NewsRequest {
            group,
            known,
            follower,
        } = request.into_inner();
        // Any other text does not name a node that can be notified.
        let is_name =
            follower.len() <= notices::MAX_FOLLOWER && base_url::endpoint(&follower).is_ok();
        let follower = Some(&*follower).filter(|_| is_name);
        let known = notices::known(known);
        let news = self.group(&group)?.news(&known, follower);
        Ok(Response::new(notices::put_news(&news)))
    }

    async fn hand_over(
        &self,
        request: Request<HandOverRequest>,
    ) -> Result<Response<HandOverResponse>, Status> {
        let HandOverRequest {
            group,
            entries,
            known,
        } = request.into_inner();
        let group = self.group(&group)?;
        let known = notices::known(known);
        let entries: Result<_, _> = entries.into_iter().map(handed).collect();
        let kept = group.take_over(entries?, &known);
        Ok(Response::new(HandOverResponse { kept }))
    }

    async fn leaving(
        &self,
        request: Request<LeavingRequest>,
    ) -> Result<Response<LeavingResponse>, Status> {
        let word = hello::word(&request.into_inner());
        let word = word.ok_or_else(|| Status::invalid_argument("that is no node's name"))?;
        for group in self.groups.iter() {
            group.router().leaves(&word);
        }
        Ok(Response::new(LeavingResponse {}))
    }

    /// The groups of a node share a router.
    async fn hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloResponse>, Status> {
        let from = request.into_inner().hello;
        let from = from.as_ref().and_then(hello::read);
        let from =
            from.ok_or_else(|| Status::invalid_argument("a greeting that cannot be read"))?;
        let router = self.groups.iter().next().map(Group::router);
        let hello = router.map(|router| {
            router.greeted(&from);
            hello::put(&router.hello())
        });
        Ok(Response::new(HelloResponse { hello }))
    }

    async fn inspect(
        &self,
        request: Request<InspectRequest>,
    ) -> Result<Response<InspectResponse>, Status> {
        match inspect::answer(&self.groups, &request.into_inner()) {
            Ok(answer) => Ok(Response::new(answer)),
            Err(Unanswered::NoGroup(name)) => {
                Err(Status::not_found(format!("no such group: {name}")))
            }
            Err(Unanswered::Unknown) => Err(Status::unimplemented("no such question")),
        }
    }

    async fn ping(&self, _: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        Ok(Response::new(PingResponse {}))
    }
}

/// An entry of a hand-over. The group copies the values that it keeps.
fn handed(handed: HandedOver) -> Result<(Key, Entry), Status> {
    let missing = || Status::invalid_argument("a key that is handed over without an entry");
    let entry = handed.entry.ok_or_else(missing)?;
    if handed.key.len() > notices::MAX_KEY {
        return Err(invalid(notices::BadNotice::KeyTooLong));
    }
    let entry = terms::entry(entry, |value| value).map_err(invalid)?;
    Ok((Key::copy_from_slice(&handed.key), entry))
}

fn outcome(served: Result<gaggle_group::Served, Error>, max_value: u64) -> Result<Outcome, Status> {
    let (answer, minute_qps) = match served {
        Ok(served) => (served.answer, served.minute_qps),
        Err(Error::NotKept { .. }) => return Ok(Outcome::NotKept(NotKept {})),
        Err(Error::NotFound { .. }) => return Ok(Outcome::NotFound(NotFound::default())),
        Err(error) => return verdict::of(&error).map(Outcome::Failure),
    };
    let (freshness, metadata) = (answer.freshness, &answer.metadata);
    let Some(value) = answer.value else {
        return Ok(Outcome::NotFound(terms::of_value(freshness, metadata)));
    };
    let len = value.len() as u64;
    if len > max_value {
        let too_large = Verdict::ValueTooLarge {
            len: Some(len),
            limit: max_value,
        };
        return verdict::failure(too_large).map(Outcome::Failure);
    }
    let terms = terms::of_value(freshness, metadata);
    Ok(Outcome::Value(terms::join(value, terms, minute_qps)))
}

fn invalid(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::time::Instant;

    use super::*;
    use crate::wire::failure::Kind;

    #[tokio::test(start_paused = true)]
    async fn the_owner_works_for_as_long_as_the_asker_waits() {
        let stuck = Group::builder("stuck")
            .origin_fn(|_: Bytes| std::future::pending::<Result<Option<Bytes>, std::io::Error>>())
            .build()
            .unwrap();
        let groups = Groups::new([stuck]).unwrap();
        let served = Served {
            groups,
            options: ServerOptions::default(),
        };
        let mut request = Request::new(GetRequest {
            group: "stuck".into(),
            ..Default::default()
        });
        request.set_timeout(Duration::from_secs(1));

        let (asked, answer) = (Instant::now(), served.get(request).await.unwrap());
        let Some(Outcome::Failure(failure)) = answer.into_inner().result else {
            panic!("no failure")
        };
        assert!(matches!(failure.kind, Some(Kind::Deadline(d)) if d.after_ms == 900));
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "the asker has gone by then"
        );
    }
}
