//! The front door: where programs that are no peers get their values.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use gaggle_group::{Answer, Error, Group, Groups, SPAN_TARGET, TraceParent};
use tower::{Service, service_fn};
use tracing::{Instrument, Span, debug_span};

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
            let mut answer = lookup(group, &key, request.headers()).await?;
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
                let mut answer = lookup(group, &key, request.headers()).await?;
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
                let trace = trace(request.headers());
                let body = request.into_body();
                Box::pin(batch::answer(&group, &self.options, trace, body)).await
            }
        }
    }
}

/// A hit is ready when `lookup` is first polled, so nothing is awaited on that path. A miss goes on with the trace of the
/// request.
async fn lookup(group: &Group, key: &[u8], asked: &HeaderMap) -> Result<Answer, Refusal> {
    let answer = match group.cached(key) {
        Some(hit) => Ok(hit),
        None => missed(group, key, asked).await,
    };
    answer.map_err(|error| Refusal::failed(&error))
}

/// Boxed, so that a hit does not carry the room for it.
fn missed<'a>(
    group: &'a Group,
    key: &'a [u8],
    asked: &HeaderMap,
) -> Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>> {
    Box::pin(
        group
            .lookup_missed(key)
            .instrument(span(group, trace(asked))),
    )
}

/// The span of a get that misses.
pub(crate) fn span(group: &Group, trace: Option<TraceParent>) -> Span {
    let span = debug_span!(
        target: SPAN_TARGET,
        "get",
        group = &**group.name(),
        otel.kind = "server",
    );
    if !span.is_disabled()
        && let Some(propagation) = group.propagation()
        && let Some(parent) = trace
    {
        propagation.incoming(&span, &parent);
    }
    span
}

/// The trace that a request belongs to. What cannot be read, or is there twice, is no trace, and no reason to refuse a get.
fn trace(asked: &HeaderMap) -> Option<TraceParent> {
    let mut values = asked.get_all("traceparent").iter();
    let value = values.next()?;
    values
        .next()
        .is_none()
        .then(|| TraceParent::parse(value.as_bytes()))?
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::body::Body;
    use bytes::Bytes;
    use gaggle_group::Propagation;
    use tower::ServiceExt as _;
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::fmt;

    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// Notes which spans were to go on with which traces.
    #[derive(Default)]
    struct Noted(Mutex<Vec<(&'static str, String)>>);

    impl Propagation for Noted {
        fn outgoing(&self, _: &Span) -> Option<TraceParent> {
            None
        }

        fn incoming(&self, span: &Span, parent: &TraceParent) {
            let name = span.metadata().unwrap().name();
            self.0.lock().unwrap().push((name, parent.to_string()));
        }
    }

    #[tokio::test]
    async fn a_miss_goes_on_with_the_trace_of_its_request_and_a_hit_has_no_span() {
        let subscriber = fmt().with_max_level(LevelFilter::DEBUG);
        let subscriber = subscriber.with_writer(std::io::sink).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let noted = Arc::new(Noted::default());
        let group = Group::builder("echo")
            .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
            .propagation(noted.clone())
            .build()
            .unwrap();
        let front = front_service(Groups::new([group]).unwrap(), FrontOptions::default());
        let get = async |path: &str, traces: &[&str]| {
            let mut request = Request::get(path);
            for trace in traces {
                request = request.header("traceparent", *trace);
            }
            let request = request.body(Body::empty()).unwrap();
            let answer = front.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 200, "{path} {traces:?}");
        };
        get("/v1/echo/a", &[TRACE]).await;
        get("/v1/echo/a", &[TRACE]).await;
        get("/api?key=b", &[TRACE]).await;
        // What is no trace costs nobody an answer.
        for (n, bad) in ["", "00-", &TRACE.to_uppercase(), &"0".repeat(9_000)]
            .into_iter()
            .enumerate()
        {
            get(&format!("/v1/echo/bad-{n}"), &[bad]).await;
        }
        get("/v1/echo/twice", &[TRACE, TRACE]).await;
        get("/v1/echo/none", &[]).await;
        let expected = vec![("get", TRACE.to_owned()); 2];
        assert_eq!(*noted.0.lock().unwrap(), expected);
    }
}
