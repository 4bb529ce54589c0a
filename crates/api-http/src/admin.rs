//! The endpoints for operators and their tools.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use gaggle_group::{Group, Groups};
use serde::Serialize;

use crate::front::read_only;
use crate::keys::{Target, named, of_query};
use crate::reply::{self, Refusal};

mod put;
mod readiness;
mod reload;
mod removal;
mod sites;
mod status;

pub use readiness::Readiness;
pub use reload::{NoReload, Reload, ReloadError, Reloaded};

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
    /// Names by which the node may be asked, beside IP addresses and those that nobody on the web can have: such as an
    /// ingress has, `admin.example.com`, or a pod by the name of its service, `gaggle-0.gaggle`. A port does not matter. Requests by any other name are refused: they may be a
    /// browser's that was misled.
    pub hosts: Vec<String>,
    /// What `POST /reload` asks to read the configuration again: [`NoReload`] where there is none.
    pub reload: Arc<dyn Reload>,
}

/// How `/metrics` gets its page. This crate knows no metrics library.
#[derive(Clone)]
pub struct MetricsPage {
    content_type: HeaderValue,
    render: Arc<dyn Fn() -> String + Send + Sync>,
}

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
        }
    }

    fn answer(&self) -> Response {
        let mut response = Response::new(Body::from((self.render)()));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, self.content_type.clone());
        response
    }
}

/// The router of the admin endpoints. Like the front door's, it does its own routing, for keys are bytes.
pub fn admin(state: Admin) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(state))
}

async fn answer(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if let Err(refusal) = sites::check(&head, &admin.hosts) {
        return refusal.into_response();
    }
    let answer = match Target::parse(head.uri.path()) {
        Some(Ok(target)) => admin.target(&head, target, body).await,
        Some(Err(refusal)) => Err(refusal),
        None if head.uri.path() == "/reload" => reload::answer(&*admin.reload, &head.method).await,
        None => admin.page(&head.method, &head.uri),
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

impl Admin {
    fn page(&self, method: &Method, uri: &Uri) -> Result<Response, Refusal> {
        let path = uri.path();
        if !["/livez", "/readyz", "/metrics", "/status", "/owner"].contains(&path) {
            return Err(Refusal::no_such_path());
        }
        read_only(method)?;
        Ok(match path {
            "/livez" => reply::text(StatusCode::OK, "ok"),
            "/readyz" => self.readiness.answer(),
            "/metrics" => self.metrics.answer(),
            "/status" => status::answer(self),
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
                return Ok(removal::of_group(named(&self.groups, &name)?).await);
            }
            Target::Group(_) => return Err(Refusal::method("DELETE")),
            Target::Key(name, key) => (name, key),
        };
        // Only in a POST: a key of that name is a key as any other.
        let of_many = *key == *b"remove";
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
            owner: if owner.address.is_empty() {
                Arc::clone(&owner.name)
            } else {
                owner.address
            },
            name: owner.name,
            is_self: owner.is_self,
        },
    )
}
