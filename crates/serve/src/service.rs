use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use hyper::{Request, Response, body::Incoming};
use pin_project_lite::pin_project;
use tower::{Service, ServiceExt, util::Oneshot};

use crate::{
    activity::{Activity, Open},
    body,
};

/// The service, as one connection calls it.
pub(crate) struct Requests<S> {
    pub(crate) service: S,
    pub(crate) activity: Arc<Activity>,
}

impl<S> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<body::Response>;
    type Error = Infallible;
    type Future = Answering<Oneshot<S, Request<Body>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = self.activity.begin(request.version());
        let stall_timeout = self.activity.stall_timeout();
        let request = request.map(|body| body::request(body, stall_timeout));
        Answering {
            answering: self.service.clone().oneshot(request),
            open: Some(open),
        }
    }
}

pin_project! {
    /// A request on its way to a response. Not boxed: hyper keeps it in a place of the connection's.
    pub(crate) struct Answering<F> {
        #[pin]
        answering: F,
        // Handed on to the response's body; dropped with this where there is none.
        open: Option<Open>,
    }
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<body::Response>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.answering.poll(cx));
        match this.open.take() {
            Some(open) => Poll::Ready(Ok(response.map(|body| body::Response::new(body, open)))),
            // Polled after its end.
            None => Poll::Pending,
        }
    }
}
