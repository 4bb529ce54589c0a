use std::{convert::Infallible, pin::Pin, sync::Arc};

use axum::Router;
use hyper::{Request, Response, body::Incoming};
use tower::ServiceExt;

use crate::{activity::Activity, body};

/// The router, as one connection calls it.
pub(crate) struct Requests {
    pub(crate) router: Router,
    pub(crate) activity: Arc<Activity>,
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response<body::Response>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = self.activity.begin(request.version());
        let stall_timeout = self.activity.stall_timeout();
        let request = request.map(|body| body::request(body, stall_timeout));
        let answering = self.router.clone().oneshot(request);
        Box::pin(async move {
            let response = answering.await?;
            Ok(response.map(|body| body::Response::new(body, open)))
        })
    }
}
