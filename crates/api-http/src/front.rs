//! The front door: where programs that are no peers get their values.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ALLOW, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use gaggle_group::{Answer, Error, Group, Groups, Terms};
use tokio::time::Instant;
use tower::{Service, service_fn};
use tracing::Instrument;

use crate::accept;
use crate::asked::Asked;
use crate::batch;
use crate::cache_control::CacheControl;
use crate::cors::Cors;
use crate::keys::{Target, named, of_query};
use crate::openapi;
use crate::patience::Patience;
use crate::reply::{self, Refusal};
use crate::requests::{RequestStats, Route};
use crate::trace;
use crate::value::{self, Plan, Usual};

/// The bounds that the front door keeps by itself, and what it tells clients beside values. What
/// one key may cost is bounded by its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontOptions {
    /// The most keys in a batch. Default 1000.
    pub max_batch_keys: usize,
    /// The largest body of a batch request, in bytes. Default 2 MiB: room for 1000 keys of 1 KiB
    /// in base64.
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
    /// The length in bytes up to which a value has a hash as its `ETag`, where its origin gave it
    /// none. The hash is computed with each answer. Default 64 KiB; 0 is no hash at all.
    pub etag_max: usize,
    /// The `Cache-Control` of the values of a group, by the group's name. A group that is not in
    /// here sends none. Default empty.
    pub cache_control: BTreeMap<String, CacheControl>,
    /// The origins of the pages that may read answers in a browser, such as
    /// `https://app.example.com`; `*` is every origin. `/api` is not among what they may read.
    /// Default empty: none.
    pub cors_origins: Vec<String>,
    /// How long a browser may keep the answer to its question what a page may do. Default an hour.
    pub cors_max_age: Duration,
    /// Where requests are counted. Default `None`: nowhere.
    pub requests: Option<RequestStats>,
}

impl Default for FrontOptions {
    fn default() -> Self {
        Self {
            max_batch_keys: 1000,
            max_body: 2 << 20,
            max_batch_bytes: 64 << 20,
            batch_loads: 128,
            body_timeout: Duration::from_secs(10),
            etag_max: 64 << 10,
            cache_control: BTreeMap::new(),
            cors_origins: Vec::new(),
            cors_max_age: Duration::from_secs(3600),
            requests: None,
        }
    }
}

/// The router of the front door for these groups.
///
/// Everything goes through the fallback: a route with captures would make axum decode each key as
/// UTF-8, which it need not be.
pub fn front_door(groups: Groups, options: FrontOptions) -> Router {
    let front = Arc::new(Front::new(groups, options));
    Router::new().fallback(move |request: Request| {
        let answer = front.at_once(&request);
        let front = Arc::clone(&front);
        async move {
            match answer {
                Ok(response) => response,
                Err(first) => Box::pin(front.respond(request, first)).await,
            }
        }
    })
}

/// The front door as a service of its own. It answers as the router does, without the router: a
/// hit then costs no allocation for boxed services and futures.
///
/// A hit is answered when the service is called, and any other request when its future is polled.
/// Both must happen within a tokio runtime, in which a value that is due is loaded again.
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
    let front = Arc::new(Front::new(groups, options));
    service_fn(move |request: Request| {
        let first = match front.at_once(&request) {
            Ok(response) => return Answering::Done(ready(Ok(response))),
            Err(first) => first,
        };
        let front = Arc::clone(&front);
        Answering::Later(Box::pin(async move {
            let head = request.method() == Method::HEAD;
            let response = front.respond(request, first).await;
            Ok(if head {
                reply::without_body(response)
            } else {
                response
            })
        }))
    })
}

/// An answer, or the future of one. The future is boxed, so that a hit does not carry the room for
/// it.
enum Answering {
    Done(Ready<Result<Response, Infallible>>),
    Later(Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Done(answer) => Pin::new(answer).poll(cx),
            Self::Later(answer) => answer.as_mut().poll(cx),
        }
    }
}

/// What is known of a request that [`Front::at_once`] has not answered.
struct First {
    /// When the request came, if requests are counted.
    began: Option<Instant>,
    found: Found,
}

/// What is known of the value that a request asks for.
enum Found {
    /// Nobody has looked for it.
    Unknown,
    /// It is not in memory. It is not looked for again, as that would count as another miss.
    Missed,
    /// It is in memory, and the get is counted.
    Hit(Answer),
}

struct Front {
    groups: Groups,
    options: FrontOptions,
    cors: Cors,
    usual: Usual,
}

impl Front {
    fn new(groups: Groups, options: FrontOptions) -> Self {
        let cors = Cors::new(&options.cors_origins, options.cors_max_age);
        Self {
            groups,
            options,
            cors,
            usual: Usual::new(),
        }
    }

    /// Answers a get of a value that is in memory, unless the answer has to wait for room. Most
    /// gets are of this kind, and need no future with room for all that a request can wait for.
    fn at_once(&self, request: &Request) -> Result<Response, First> {
        let counted = self.options.requests.as_ref();
        let began = counted.map(|_| Instant::now());
        let asked = trace::Asked::of(request);
        let hit = match asked.path {
            _ if asked.method != Method::GET => Err(Found::Unknown),
            "/api" => self.api_hit(request).map(|answer| (Route::Api, Ok(answer))),
            _ => self.value_hit(asked).map(|answer| (Route::Value, answer)),
        };
        match hit {
            Ok((route, answer)) => Ok(self.finish(route, asked, began, answer)),
            Err(found) => Err(First { began, found }),
        }
    }

    /// The answer of `/api` to a hit, or what is known if there is none.
    fn api_hit(&self, request: &Request) -> Result<Response, Found> {
        let Ok((group, key)) = of_query(&self.groups, request.uri()) else {
            return Err(Found::Unknown);
        };
        let answer = small_hit(group, &key)?;
        Ok(value::raw(&key, answer))
    }

    /// The same for a value by its path.
    fn value_hit(&self, head: trace::Asked<'_>) -> Result<Result<Response, Refusal>, Found> {
        let Some(Ok(Target::Key(group, key))) = Target::parse(head.path) else {
            return Err(Found::Unknown);
        };
        let asked = Asked::of(head.headers);
        // A hit does not wait: only whether the time is well-formed matters.
        let (Ok(group), Ok(_)) = (named(&self.groups, &group), asked.timeout()) else {
            return Err(Found::Unknown);
        };
        let answer = small_hit(group, &key)?;
        let plan = Plan::of(&answer, head.method, &asked, self.options.etag_max);
        let rule = self.rule(group);
        Ok(value::answer(&key, answer, plan, rule, &self.usual))
    }

    async fn respond(self: Arc<Self>, request: Request, first: First) -> Response {
        let First { began, found } = first;
        let (head, body) = request.into_parts();
        let route = Route::of(head.uri.path());
        let answer = self.answer(route, &head, body, found).await;
        self.finish(route, trace::Asked::by(&head), began, answer)
    }

    /// Completes an answer and counts it.
    fn finish(
        &self,
        route: Route,
        asked: trace::Asked<'_>,
        began: Option<Instant>,
        answer: Result<Response, Refusal>,
    ) -> Response {
        let mut response = match answer {
            Ok(response) => response,
            Err(refusal) => refused(route, asked, refusal),
        };
        if route != Route::Api {
            self.cors
                .apply(asked, allowed(route), response.headers_mut());
        }
        if let Some((stats, began)) = self.options.requests.as_ref().zip(began) {
            stats.count(route, response.status(), began.elapsed());
        }
        response
    }

    async fn answer(
        &self,
        route: Route,
        head: &Parts,
        body: Body,
        found: Found,
    ) -> Result<Response, Refusal> {
        let path = head.uri.path();
        if head.method == Method::OPTIONS {
            return options(route, path);
        }
        match route {
            Route::Api => self.api(head, found).await,
            Route::Value | Route::Batch => match Target::parse(path) {
                Some(Ok(Target::Key(group, key))) => self.value(head, &group, &key, found).await,
                Some(Ok(Target::Group(group))) => {
                    if head.method != Method::POST {
                        return Err(Refusal::method(allowed(route)));
                    }
                    let group = named(&self.groups, &group)?.clone();
                    let wait = Asked::of(&head.headers).timeout()?;
                    let trace = trace::parent(&head.headers);
                    // Boxed, or each get would carry the room for a batch.
                    Box::pin(batch::answer(&group, &self.options, trace, wait, body)).await
                }
                Some(Err(refusal)) => Err(refusal),
                None => Err(Refusal::no_such_path()),
            },
            Route::Openapi => {
                reads(&head.method, allowed(route))?;
                Ok(reply::document(StatusCode::OK, Body::from(openapi::FRONT)))
            }
            Route::Other => Err(Refusal::no_such_path()),
        }
    }

    /// The ancestors' endpoint. It takes no terms and tells nothing of the value.
    async fn api(&self, head: &Parts, found: Found) -> Result<Response, Refusal> {
        read_only(&head.method)?;
        let (group, key) = of_query(&self.groups, &head.uri)?;
        let mut answer = lookup(group, &key, head, None, found).await?;
        if value::is_large(&answer) && head.method != Method::HEAD {
            // Boxed, or each get would carry the room for the wait.
            answer = Box::pin(value::counted(group, answer, None)).await?;
        }
        Ok(value::raw(&key, answer))
    }

    async fn value(
        &self,
        head: &Parts,
        group: &[u8],
        key: &[u8],
        found: Found,
    ) -> Result<Response, Refusal> {
        reads(&head.method, allowed(Route::Value))?;
        let group = named(&self.groups, group)?;
        let asked = Asked::of(&head.headers);
        let wait = asked.timeout()?;
        let patience = wait.and_then(Patience::of);
        let mut answer = lookup(group, key, head, wait, found).await?;
        let plan = Plan::of(&answer, &head.method, &asked, self.options.etag_max);
        if value::is_large(&answer) && plan.sends() && head.method != Method::HEAD {
            answer = Box::pin(value::counted(group, answer, patience)).await?;
        }
        value::answer(key, answer, plan, self.rule(group), &self.usual)
    }

    /// What other caches are told of a group's values. Most nodes have no rule at all.
    fn rule(&self, group: &Group) -> Option<&CacheControl> {
        let rules = &self.options.cache_control;
        if rules.is_empty() {
            None
        } else {
            rules.get(&**group.name())
        }
    }
}

/// The value from memory, if it needs no room in the budget for bytes in flight.
fn small_hit(group: &Group, key: &[u8]) -> Result<Answer, Found> {
    match group.cached(key) {
        None => Err(Found::Missed),
        Some(answer) if value::is_large(&answer) => Err(Found::Hit(answer)),
        Some(answer) => Ok(answer),
    }
}

/// The methods of a route, as `Allow` lists them.
fn allowed(route: Route) -> &'static str {
    match route {
        Route::Api => "GET, HEAD",
        Route::Batch => "OPTIONS, POST",
        Route::Value | Route::Openapi | Route::Other => "GET, HEAD, OPTIONS",
    }
}

/// What can be done with a path. Neither its group nor its key are looked for.
fn options(route: Route, path: &str) -> Result<Response, Refusal> {
    let allow = match route {
        Route::Api => return Err(Refusal::method(allowed(route))),
        // The server as a whole.
        Route::Other if path == "*" => "GET, HEAD, OPTIONS, POST",
        Route::Other => return Err(Refusal::no_such_path()),
        Route::Value | Route::Batch | Route::Openapi => allowed(route),
    };
    let mut response = reply::nothing(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    Ok(response)
}

/// An error, as text or as JSON.
fn refused(route: Route, asked: trace::Asked<'_>, refusal: Refusal) -> Response {
    if route == Route::Api {
        return refusal.into_response();
    }
    let mut response = if accept::prefers_problem(asked.headers) {
        let group = match Target::parse(asked.path) {
            Some(Ok(Target::Group(group) | Target::Key(group, _))) => Some(group),
            _ => None,
        };
        let group = group.as_deref().map(String::from_utf8_lossy);
        refusal.into_problem(group.as_deref())
    } else {
        refusal.into_response()
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("accept"));
    response
}

/// The value, from memory if it is there, unless that is known. A miss goes on with the trace of
/// the request. A `HEAD` is no get: neither its hit nor its miss is counted here; a
/// peer that it is fetched from counts the fetch. It loads what is not in memory, as nothing is
/// known of it otherwise.
async fn lookup(
    group: &Group,
    key: &[u8],
    head: &Parts,
    wait: Option<Duration>,
    found: Found,
) -> Result<Answer, Refusal> {
    let uncounted = head.method == Method::HEAD;
    let found = match found {
        Found::Hit(answer) => Some(answer),
        Found::Missed => None,
        Found::Unknown if uncounted => group.peek(key),
        Found::Unknown => group.cached(key),
    };
    let answer = match found {
        Some(hit) => Ok(hit),
        None => {
            let mut terms = Terms::default();
            (terms.within, terms.uncounted) = (wait, uncounted);
            missed(group, key, head, terms).await
        }
    };
    answer.map_err(|error| Refusal::failed(&error))
}

fn missed<'a>(
    group: &'a Group,
    key: &'a [u8],
    head: &Parts,
    terms: Terms,
) -> impl Future<Output = Result<Answer, Error>> + Send + use<'a> {
    let span = trace::get_of_one(group, trace::Asked::by(head));
    let traced = span.clone();
    let looking = async move {
        let found = group.lookup_missed_on(key, terms).await;
        trace::got(&traced, &found);
        found
    };
    looking.instrument(span)
}

/// `HEAD` does what `GET` does; axum, or [`front_service`], takes the body away.
pub(crate) fn read_only(method: &Method) -> Result<(), Refusal> {
    reads(method, "GET, HEAD")
}

/// The same where more than these methods is allowed.
fn reads(method: &Method, allowed: &'static str) -> Result<(), Refusal> {
    if method == Method::GET || method == Method::HEAD {
        Ok(())
    } else {
        Err(Refusal::method(allowed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::body::Body;
    use bytes::Bytes;
    use gaggle_group::{ByteBudget, Propagation, TraceParent};
    use tower::ServiceExt as _;
    use tracing::Span;
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::fmt;

    use super::*;
    use crate::RequestCounts;

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
    async fn a_hit_is_answered_at_once_and_counted_once_as_any_other_get() {
        let large = Bytes::from(vec![7; 2 * ByteBudget::SMALL]);
        let group = Group::builder("echo")
            .origin_fn(move |key: Bytes| {
                let value = if key == "large" { large.clone() } else { key };
                async move { Ok::<_, std::io::Error>(Some(value)) }
            })
            .build()
            .unwrap();
        let requests = RequestStats::new();
        let options = FrontOptions {
            requests: Some(requests.clone()),
            ..FrontOptions::default()
        };
        let mut front = front_service(Groups::new([group.clone()]).unwrap(), options);
        let mut answers = 0;
        for (path, timeout, hits, at_once, status) in [
            ("/v1/echo/a", None, 0, false, 200),
            ("/v1/echo/a", None, 1, true, 200),
            ("/v1/echo/%61", Some("2"), 2, true, 200),
            ("/api?key=a", None, 3, true, 200),
            // A time that cannot be read is an error also where nothing is waited for.
            ("/v1/echo/a", Some("soon"), 3, false, 400),
            ("/v1/nobody/a", None, 3, false, 404),
            ("/v1/echo/large", None, 3, false, 200),
            // It may have to wait for room.
            ("/v1/echo/large", None, 4, false, 200),
            ("/api?key=large", None, 5, false, 200),
        ] {
            let mut request = Request::get(path);
            if let Some(timeout) = timeout {
                request = request.header("request-timeout", timeout);
            }
            let request = request.body(Body::empty()).unwrap();
            let answering = front.call(request);
            let before = requests.snapshot();
            let counted = |counts: &RequestCounts| {
                let statuses = counts.routes.iter().flat_map(|of| &of.statuses);
                statuses.map(|(_, count)| count).sum::<u64>()
            };
            assert_eq!(counted(&before), answers + u64::from(at_once), "{path}");
            let answer = answering.await.unwrap();
            assert_eq!(answer.status(), status, "{path} {timeout:?}");
            answers += 1;
            assert_eq!(counted(&requests.snapshot()), answers, "{path}");
            let stats = group.stats();
            assert_eq!(stats.clients.hits, hits, "{path} {timeout:?}");
        }
        let stats = group.stats();
        assert_eq!((stats.misses, stats.clients.gets), (2, 7));
        assert_eq!(stats.main.store.misses, 2, "a miss looks once");
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
