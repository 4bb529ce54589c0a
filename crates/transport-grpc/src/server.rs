//! The side that is asked.

use std::time::Duration;

use gaggle_group::{Answer, Error, Group, Groups, Hop, Serve};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::client::base_url;
use crate::deadline::time_to_work;
use crate::wire::peers_server::{Peers, PeersServer};
use crate::wire::{
    self, Failure, GetRequest, GetResponse, MAX_NEWS, NewsRequest, NewsResponse, NotFound,
    PingRequest, PingResponse, PutRequest, PutResponse, RemoveRequest, RemoveResponse,
    get_response::Result as Outcome,
};
use crate::{notices, terms, verdict};

/// How peers are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// How long before the asker's deadline to answer that there is no value, so that this reaches an asker that still
    /// waits. Never more than an eighth of the deadline. Default 100 ms.
    pub answer_ahead: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            answer_ahead: Duration::from_millis(100),
        }
    }
}

/// The service for `groups`, to be served over HTTP/2 by whoever serves axum's routers (on a plain connection: h2c with
/// prior knowledge). It has no fallback, and so can be merged with other routes of the same port.
///
/// Whoever serves it bounds the number of connections and of streams in each.
pub fn router(groups: Groups, options: ServerOptions) -> axum::Router {
    let largest = groups
        .iter()
        .map(|group| group.limits().max_value)
        .max()
        .unwrap_or(0);
    let service = PeersServer::new(Served { groups, options })
        .max_decoding_message_size(wire::max_put(largest))
        .max_encoding_message_size(wire::max_answer(largest).max(MAX_NEWS));
    Routes::from(axum::Router::new())
        .add_service(service)
        .into_axum_router()
}

struct Served {
    groups: Groups,
    options: ServerOptions,
}

impl Served {
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
        let GetRequest {
            group,
            key,
            max_value,
            removals,
        } = request.into_inner();
        let removals = notices::carried(removals).map_err(invalid)?;
        let request = Serve::new(&key, Hop::Forwarded).within(wait);
        let answer = self.group(&group)?.serve(request.after(&removals)).await;
        let outcome = outcome(answer, max_value.unwrap_or(u64::MAX))?;
        Ok(Response::new(GetResponse {
            result: Some(outcome),
        }))
    }

    async fn remove(
        &self,
        request: Request<RemoveRequest>,
    ) -> Result<Response<RemoveResponse>, Status> {
        let RemoveRequest { group, key, notice } = request.into_inner();
        let group = self.group(&group)?;
        let applied = notice.is_some();
        match notice {
            // Known or not, what it names is gone.
            Some(notice) => {
                group.apply(&notices::notice(&notice).map_err(invalid)?);
            }
            // An older asker's.
            None => {
                group.forget(&key);
            }
        }
        Ok(Response::new(RemoveResponse { applied }))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
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
        let failure = match group.accept(&key, &entry, id) {
            Ok(()) => None,
            Err(error) => Some(verdict::to_wire(&error)?),
        };
        Ok(Response::new(PutResponse { failure }))
    }

    async fn news(&self, request: Request<NewsRequest>) -> Result<Response<NewsResponse>, Status> {
        let NewsRequest {
            group,
            known,
            follower,
        } = request.into_inner();
        // Whatever else stands there is no node that could be told of anything.
        let is_name =
            follower.len() <= notices::MAX_FOLLOWER && base_url::endpoint(&follower).is_ok();
        let follower = Some(&*follower).filter(|_| is_name);
        let known = notices::known(known);
        let news = self.group(&group)?.news(&known, follower);
        Ok(Response::new(notices::put_news(&news)))
    }

    async fn ping(&self, _: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        Ok(Response::new(PingResponse {}))
    }
}

fn outcome(answer: Result<Answer, Error>, max_value: u64) -> Result<Outcome, Status> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Error::NotFound { .. }) => return Ok(Outcome::NotFound(NotFound::default())),
        Err(error) => return verdict::to_wire(&error).map(Outcome::Failure),
    };
    let (freshness, metadata) = (answer.freshness, &answer.metadata);
    let Some(value) = answer.value else {
        return Ok(Outcome::NotFound(terms::of_value(freshness, metadata)));
    };
    let len = value.len() as u64;
    if len > max_value {
        let kind = Some(verdict::value_too_large(Some(len), max_value));
        return Ok(Outcome::Failure(Failure { kind }));
    }
    Ok(Outcome::Value(terms::put_value(value, freshness, metadata)))
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
