//! A channel whose answers draw on a budget.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::{Request, Response};
use gaggle_group::ByteBudget;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::{Channel, Error};

use crate::counted::Counted;

/// The channel for one call.
#[derive(Clone)]
pub(super) struct Answers {
    channel: Channel,
    budget: Option<ByteBudget>,
    /// The longest answer, in bytes.
    most: usize,
}

impl Answers {
    pub(super) fn new(channel: Channel, budget: Option<ByteBudget>, most: usize) -> Self {
        Self {
            channel,
            budget,
            most,
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.channel.call(request);
        let (budget, most) = (self.budget.clone(), self.most);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| Counted::answer(body, budget, most)))
        })
    }
}
