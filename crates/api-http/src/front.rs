//! The front door: where programs that are no peers get their values.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use gaggle_group::{Answer, Group, Groups};
use tower::{Service, service_fn};

use crate::batch;
use crate::keys::{Target, named, of_query};
use crate::reply::{self, Refusal};
use crate::value;

/// The bounds that the front door keeps by itself. What one key may cost is bounded by its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontOptions {
    /// The most keys in a batch. Default 1000.
    pub max_batch_keys: usize,
    /// The largest body of a batch request, in bytes. Default 2 MiB: room for 1000 keys of 1 KiB in base64.
    pub max_body: usize,
    /// The most bytes of values in the answer to a batch, before base64. Default 64 MiB. They are
    /// never in memory together.
    pub max_batch_bytes: u64,
    /// The most keys of a batch that are loaded at a time, those of each other node in one request
    /// where the transport can. Fewer are where their values are large, and at first. 0 is taken
    /// as 1. Default 128.
    pub batch_loads: usize,
    /// How long the body of a batch request may take to arrive. Default 10 s.
    pub body_timeout: Duration,
}

impl Default for FrontOptions {
    fn default() -> Self {
        Self {
            max_batch_keys: 1000,
            max_body: 2 << 20,
            max_batch_bytes: 64 << 20,
            batch_loads: 128,
            body_timeout: Duration::from_secs(10),
        }
    }
}

/// The router of the front door for these groups.
///
/// Everything goes through the fallback: a route with captures would make axum decode each key as UTF-8, which it need
/// not be.
pub fn front_door(groups: Groups, options: FrontOptions) -> Router {
    let front = Arc::new(Front { groups, options });
    Router::new().fallback(move |request| Arc::clone(&front).respond(request))
}

/// The front door as a service of its own. It answers as the router does, without the router: a hit then costs no
/// allocation for boxed services and futures.
pub fn front_service(
    groups: Groups,
    options: FrontOptions,
) -> impl Service<
    Request,
    Response = Response,
    Error = Infallible,
    Future: Future<Output = Result<Response, Infallible>> + Send,
> + Clone
+ Send
+ Sync
+ 'static {
    let front = Arc::new(Front { groups, options });
    service_fn(move |request: Request| {
        let front = Arc::clone(&front);
        async move {
            let head = head(&request);
            let response = front.respond(request).await;
            Ok(if head {
                reply::without_body(response)
            } else {
                response
            })
        }
    })
}

struct Front {
    groups: Groups,
    options: FrontOptions,
}

impl Front {
    async fn respond(self: Arc<Self>, request: Request) -> Response {
        self.answer(request)
            .await
            .unwrap_or_else(IntoResponse::into_response)
    }

    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        let uri = request.uri();
        if uri.path() == "/api" {
            read_only(request.method())?;
            let (group, key) = of_query(&self.groups, uri)?;
            let mut answer = lookup(group, &key).await?;
            if value::is_large(&answer) && !head(&request) {
                // Boxed, or each get would carry the room for the wait.
                answer = Box::pin(value::counted(group, answer, None)).await?;
            }
            return Ok(value::raw(&key, answer));
        }
        match Target::parse(uri.path()).ok_or_else(Refusal::no_such_path)?? {
            Target::Key(group, key) => {
                read_only(request.method())?;
                let group = named(&self.groups, &group)?;
                let mut answer = lookup(group, &key).await?;
                if value::is_large(&answer) && !head(&request) {
                    let headers = Some(request.headers());
                    answer = Box::pin(value::counted(group, answer, headers)).await?;
                }
                Ok(value::answer(&key, answer, request.headers()))
            }
            Target::Group(group) => {
                if request.method() != Method::POST {
                    return Err(Refusal::method("POST"));
                }
                let group = named(&self.groups, &group)?.clone();
                // Boxed, or each get would carry the room for a batch.
                Box::pin(batch::answer(&group, &self.options, request.into_body())).await
            }
        }
    }
}

/// A hit is ready when `lookup` is first polled, so nothing is awaited on that path.
async fn lookup(group: &Group, key: &[u8]) -> Result<Answer, Refusal> {
    let answer = group.lookup(key).await;
    answer.map_err(|error| Refusal::failed(&error))
}

fn head(request: &Request) -> bool {
    request.method() == Method::HEAD
}

/// `HEAD` does what `GET` does; axum, or [`front_service`], takes the body away.
pub(crate) fn read_only(method: &Method) -> Result<(), Refusal> {
    if method == Method::GET || method == Method::HEAD {
        Ok(())
    } else {
        Err(Refusal::method("GET, HEAD"))
    }
}
