use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use axum::body::Body;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
};
use pin_project_lite::pin_project;
use tower::{Service, ServiceExt, util::Oneshot};

use crate::{
    activity::{Activity, Open},
    body,
    certificate::ClientCertificate,
    counts::RequestCount,
    host,
};

/// The service, as one connection calls it.
pub(crate) struct Requests<S> {
    pub(crate) service: S,
    pub(crate) activity: Arc<Activity>,
    pub(crate) limits: body::Limits,
    pub(crate) count: RequestCount,
    pub(crate) certificate: Option<ClientCertificate>,
}

impl<S> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<body::Response>;
    type Error = Infallible;
    type Future = Answering<S>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = Some(self.activity.begin(request.version()));
        self.count.add();
        let answering = match host::check(&request) {
            Ok(()) => {
                let mut request = request.map(|body| body::request(body, self.limits));
                if let Some(certificate) = &self.certificate {
                    request.extensions_mut().insert(certificate.clone());
                }
                let mut service = self.service.clone();
                // Most services are always ready. Calling such a service here avoids two moves of
                // the request: into a future that waits for the service, and out of it. A service
                // that is not ready is asked again by that future, whose waker it then has.
                match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Ok(())) => Answer::Asked {
                        answering: service.call(request),
                    },
                    Poll::Pending => Answer::Waits {
                        answering: Box::pin(service.oneshot(request)),
                    },
                }
            }
            Err(why) => Answer::Refused {
                response: Some(host::refusal(why, request.version())),
            },
        };
        Answering { answering, open }
    }
}

pin_project! {
    /// A request that is being answered. It is not boxed: hyper stores it inside the connection.
    pub(crate) struct Answering<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        answering: Answer<S>,
        // Passed on to the response's body; dropped with this if there is none.
        open: Option<Open>,
    }
}

pin_project! {
    #[project = AnswerProjection]
    enum Answer<S>
    where
        S: Service<Request<Body>>,
    {
        Asked { #[pin] answering: S::Future },
        Waits { answering: Pin<Box<Oneshot<S, Request<Body>>>> },
        Refused { response: Option<Response<Body>> },
    }
}

impl<S> Future for Answering<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Output = Result<Response<body::Response>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.answering.project() {
            AnswerProjection::Asked { answering } => {
                let Ok(response) = ready!(answering.poll(cx));
                response
            }
            AnswerProjection::Waits { answering } => {
                let Ok(response) = ready!(answering.as_mut().poll(cx));
                response
            }
            AnswerProjection::Refused { response } => match response.take() {
                Some(response) => response,
                // It was polled after its end.
                None => return Poll::Pending,
            },
        };
        let Some(open) = this.open.take() else {
            // As above.
            return Poll::Pending;
        };
        if open.is_last() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Poll::Ready(Ok(response.map(|body| body::Response::new(body, open))))
    }
}
