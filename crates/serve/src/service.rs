use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
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
    type Future = Answering<Oneshot<S, Request<Body>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = Some(self.activity.begin(request.version()));
        self.count.add();
        let answering = match host::check(&request) {
            Ok(()) => {
                let mut request = request.map(|body| body::request(body, self.limits));
                if let Some(certificate) = &self.certificate {
                    request.extensions_mut().insert(certificate.clone());
                }
                let answering = self.service.clone().oneshot(request);
                Answer::Asked { answering }
            }
            Err(why) => Answer::Refused {
                response: Some(host::refusal(why, request.version())),
            },
        };
        Answering { answering, open }
    }
}

pin_project! {
    /// A request on its way to a response. Not boxed: hyper keeps it in a place of the
    /// connection's.
    pub(crate) struct Answering<F> {
        #[pin]
        answering: Answer<F>,
        // Handed on to the response's body; dropped with this where there is none.
        open: Option<Open>,
    }
}

pin_project! {
    #[project = AnswerProjection]
    enum Answer<F> {
        Asked { #[pin] answering: F },
        Refused { response: Option<Response<Body>> },
    }
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<body::Response>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.answering.project() {
            AnswerProjection::Asked { answering } => {
                let Ok(response) = ready!(answering.poll(cx));
                response
            }
            AnswerProjection::Refused { response } => match response.take() {
                Some(response) => response,
                // Polled after its end.
                None => return Poll::Pending,
            },
        };
        let Some(open) = this.open.take() else {
            // The same.
            return Poll::Pending;
        };
        if open.is_last() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Poll::Ready(Ok(response.map(|body| body::Response::new(body, open))))
    }
}
