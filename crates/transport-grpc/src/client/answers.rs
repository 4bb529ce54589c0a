//! A channel whose answers draw on a budget.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Request, Response};
use gaggle_group::ByteBudget;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::{Channel, Error};

use super::Authorization;
use crate::counted::Counted;
use crate::server::CLUSTER;

/// The channel for one call.
#[derive(Clone)]
pub(super) struct Answers {
    channel: Channel,
    budget: Option<ByteBudget>,
    /// The longest answer, in bytes.
    most: usize,
    /// The cluster that the request is meant for.
    cluster: Option<HeaderValue>,
    /// The credentials of the request.
    authorization: Option<HeaderValue>,
}

impl Answers {
    pub(super) fn new(
        channel: Channel,
        budget: Option<ByteBudget>,
        most: usize,
        cluster: Option<HeaderValue>,
    ) -> Self {
        Self {
            channel,
            budget,
            most,
            cluster,
            authorization: None,
        }
    }

    pub(super) fn authorized(self, by: Option<&Authorization>) -> Self {
        Self {
            authorization: by.and_then(Authorization::value),
            ..self
        }
    }
}

impl Service<Request<Body>> for Answers {
    type Response = Response<Counted<Body>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Service::poll_ready(&mut self.channel, cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(cluster) = &self.cluster {
            request.headers_mut().insert(CLUSTER, cluster.clone());
        }
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        let answer = self.channel.call(request);
        let (budget, most) = (self.budget.clone(), self.most);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| Counted::answer(body, budget, most)))
        })
    }
}
