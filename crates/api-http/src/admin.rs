//! The endpoints for operators and their tools.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, CONTENT_RANGE, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, RETRY_AFTER, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use gaggle_console::Console;
use gaggle_group::{Group, Groups, Member};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use crate::front::read_only;
use crate::keys::{Target, group_of_query, named, of_query};
use crate::reply::{self, Refusal};
use crate::trace;

mod ask;
mod cluster;
mod held;
mod hot;
mod page;
mod put;
mod readiness;
mod recent;
mod reload;
mod removal;
mod sites;
mod status;

pub use readiness::Readiness;
pub use reload::{NoReload, Reload, ReloadError, Reloaded};

/// What `GET` answers, the page at `/` and the metrics aside.
const PAGES: [&str; 11] = [
    "/livez",
    "/readyz",
    "/status",
    "/owner",
    "/cluster",
    "/history",
    "/events",
    "/hot-keys",
    "/held",
    "/schema/status.json",
    "/openapi.json",
];

/// The JSON Schema of `/status`.
const STATUS_SCHEMA: &str = include_str!("../schema/status.json");

/// The OpenAPI document of the admin endpoints.
const OPENAPI: &str = include_str!("../schema/admin.json");

/// What the admin endpoints tell of and act on.
#[derive(Clone)]
pub struct Admin {
    /// The version of the running program.
    pub version: String,
    /// The groups that the node serves. They are taken to share one ring and one budget of bytes
    /// in flight: `/status` shows those of the first.
    pub groups: Groups,
    /// What `/readyz` answers.
    pub readiness: Readiness,
    /// What `/metrics` answers.
    pub metrics: MetricsPage,
    /// Names by which the node may be asked, beside IP addresses and those that nobody on the web
    /// can have: such as an ingress has, `admin.example.com`, or a pod by the name of its service,
    /// `gaggle-0.gaggle`. A port does not matter. Requests by any other name are refused: they may
    /// be a browser's that was misled.
    pub hosts: Vec<String>,
    /// What `POST /reload` asks to read the configuration again: [`NoReload`] where there is none.
    pub reload: Arc<dyn Reload>,
    /// What `/history` and `/events` tell, and when the node started. Somebody has to
    /// [run](Console::run) it.
    pub console: Console,
    /// What kind of thing the origin of each group is, such as `postgres`, by the group's name.
    /// Shown in `/status`; groups may be missing.
    pub origins: BTreeMap<String, String>,
}

/// How `/metrics` gets its page. This crate knows no metrics library.
#[derive(Clone)]
pub struct MetricsPage {
    content_type: HeaderValue,
    render: Render,
    plain: Option<(HeaderValue, Render)>,
}

type Render = Arc<dyn Fn() -> String + Send + Sync>;

impl MetricsPage {
    /// A page of that content type, rendered for each request. `render` must not block.
    ///
    /// # Panics
    ///
    /// If the content type cannot be a header's value: it takes visible ASCII and spaces.
    pub fn new(
        content_type: &'static str,
        render: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self {
            content_type,
            render: Arc::new(render),
            plain: None,
        }
    }

    /// The same with a second page, of another content type, for those who accept `text/plain` and
    /// not `application/openmetrics-text`. `render` must not block.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    pub fn or_plain(
        self,
        content_type: &'static str,
        render: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self {
            plain: Some((content_type, Arc::new(render))),
            ..self
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let accepts = |kind: &str| {
            let lists = headers.get_all(ACCEPT).iter();
            let mut lists = lists.filter_map(|list| list.to_str().ok());
            lists.any(|list| list.to_ascii_lowercase().contains(kind))
        };
        let (content_type, render) = match &self.plain {
            Some((content_type, render))
                if accepts("text/plain") && !accepts("application/openmetrics-text") =>
            {
                (content_type, render)
            }
            _ => (&self.content_type, &self.render),
        };
        let mut response = Response::new(Body::from(render()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type.clone());
        headers.insert(VARY, HeaderValue::from_static("accept"));
        response
    }
}

/// The router of the admin endpoints. Like the front door's, it does its own routing, for keys are
/// bytes.
pub fn admin(state: Admin) -> Router {
    let served = Served {
        admin: state,
        page: page::Page::new(),
        fan_outs: Semaphore::new(FAN_OUTS),
    };
    Router::new().fallback(answer).with_state(Arc::new(served))
}

struct Served {
    admin: Admin,
    page: page::Page,
    /// Requests that ask every node.
    fan_outs: Semaphore,
}

/// How many requests that ask every node are answered at the same time. Others wait.
const FAN_OUTS: usize = 4;

/// How long they wait.
const FAN_OUT_WAIT: Duration = Duration::from_secs(5);

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response {
    let Served {
        admin,
        page,
        fan_outs,
    } = &*served;
    let (head, body) = request.into_parts();
    if let Err(refusal) = sites::check(&head, &admin.hosts) {
        return refusal.into_response();
    }
    let mut span = Span::none();
    let answer = match Target::parse(head.uri.path()) {
        Some(Ok(target)) => {
            span = trace::write(&admin.groups, &head, &target);
            let work = admin.target(&head, target, body);
            work.instrument(span.clone()).await
        }
        Some(Err(refusal)) => Err(refusal),
        None if head.uri.path() == "/" => read_only(&head.method).map(|()| page.answer()),
        None if head.uri.path() == "/reload" => reload::answer(&*admin.reload, &head.method).await,
        None if head.uri.path() == "/metrics" => {
            read_only(&head.method).map(|()| admin.metrics.answer(&head.headers))
        }
        None if ["/cluster", "/held"].contains(&head.uri.path()) => {
            match timeout(FAN_OUT_WAIT, fan_outs.acquire()).await {
                Ok(_permit) => admin.page(&head.method, &head.uri).await,
                Err(_) => Err(Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many requests that ask every node are under way".to_owned(),
                )
                .with(RETRY_AFTER, HeaderValue::from_static("1"))),
            }
        }
        None => admin.page(&head.method, &head.uri).await,
    };
    let answer = answer.unwrap_or_else(IntoResponse::into_response);
    trace::written(&span, &answer);
    answer
}

impl Admin {
    async fn page(&self, method: &Method, uri: &Uri) -> Result<Response, Refusal> {
        let path = uri.path();
        if !PAGES.contains(&path) {
            return Err(Refusal::no_such_path());
        }
        read_only(method)?;
        Ok(match path {
            "/livez" => reply::text(StatusCode::OK, "ok"),
            "/readyz" => self.readiness.answer(),
            "/status" => status::answer(self),
            "/cluster" => cluster::answer(&self.groups).await,
            "/history" => recent::history(&self.console, uri)?,
            "/events" => recent::events(&self.console, uri)?,
            "/hot-keys" => hot::answer(group_of_query(&self.groups, uri)?),
            "/held" => held::answer(&self.groups, uri).await?,
            "/schema/status.json" => written(STATUS_SCHEMA),
            "/openapi.json" => written(OPENAPI),
            _ => {
                let (group, key) = of_query(&self.groups, uri)?;
                owner(group, &key)
            }
        })
    }

    async fn target(
        &self,
        head: &Parts,
        target: Target<'_>,
        body: Body,
    ) -> Result<Response, Refusal> {
        let (name, key) = match target {
            Target::Group(name) if head.method == Method::DELETE => {
                unconditional(head)?;
                return Ok(removal::of_group(named(&self.groups, &name)?).await);
            }
            Target::Group(_) => return Err(Refusal::method("DELETE")),
            Target::Key(name, key) => (name, key),
        };
        // Only in a POST: a key of that name is a key as any other.
        let of_many = *key == *b"remove";
        if matches!(head.method, Method::DELETE | Method::PUT) {
            unconditional(head)?;
        }
        match head.method {
            Method::DELETE => removal::of_key(named(&self.groups, &name)?, &key).await,
            Method::PUT => {
                put::answer(named(&self.groups, &name)?, &key, &head.headers, body).await
            }
            Method::POST if of_many => removal::of_keys(named(&self.groups, &name)?, body).await,
            _ if of_many => Err(Refusal::method("DELETE, POST, PUT")),
            _ => Err(Refusal::method("DELETE, PUT")),
        }
    }
}

/// Refuses a write with a condition or for a part of a value. It would be done as if neither were
/// there, and a client that asks for either relies on it (RFC 9110, sections 13.1 and 14.5). So
/// does one that names the key in a query.
fn unconditional(head: &Parts) -> Result<(), Refusal> {
    for name in [
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
        CONTENT_RANGE,
    ] {
        if head.headers.contains_key(&name) {
            let line = format!("{} with {name} is not supported", head.method);
            return Err(Refusal::bad_request(line));
        }
    }
    if head.uri.query().is_some() {
        let line = format!(
            "{} takes no query: the key is a part of the path, with ? as %3F",
            head.method
        );
        return Err(Refusal::bad_request(line));
    }
    Ok(())
}

/// A document that is a part of the program.
fn written(document: &'static str) -> Response {
    reply::document(StatusCode::OK, Body::from(document))
}

/// The base URL by which a member is reached, or its name where it has none.
fn address(member: &Member) -> Arc<str> {
    if member.address.is_empty() {
        Arc::clone(&member.name)
    } else {
        Arc::clone(&member.address)
    }
}

#[derive(Serialize)]
struct Owner {
    /// The base URL by which it is reached, or its name where it has none.
    owner: Arc<str>,
    name: Arc<str>,
    #[serde(rename = "self")]
    is_self: bool,
}

fn owner(group: &Group, key: &[u8]) -> Response {
    let owner = group.router().owner(key);
    reply::json(
        StatusCode::OK,
        &Owner {
            owner: address(&owner),
            name: owner.name,
            is_self: owner.is_self,
        },
    )
}
