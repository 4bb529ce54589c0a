//! The endpoints for operators and their tools.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use gaggle_group::{Error, Group, Groups, Removal};
use serde::Serialize;
use tracing::{info, warn};

use crate::front::read_only;
use crate::keys::{Target, named, of_query};
use crate::reply::{self, Refusal};

mod readiness;
mod status;

pub use readiness::Readiness;

/// What the admin endpoints tell of and act on.
#[derive(Clone)]
pub struct Admin {
    /// The node's name in the ring: the base URL that peers use for it.
    pub node: String,
    /// The version of the running program.
    pub version: String,
    /// The groups that the node serves. They are taken to share one ring: `/status` shows that of the first.
    pub groups: Groups,
    /// What `/readyz` answers.
    pub readiness: Readiness,
    /// What `/metrics` answers.
    pub metrics: MetricsPage,
}

/// How `/metrics` gets its page. This crate knows no metrics library.
#[derive(Clone)]
pub struct MetricsPage {
    content_type: HeaderValue,
    render: Arc<dyn Fn() -> String + Send + Sync>,
}

impl MetricsPage {
    /// A page of that content type, rendered anew for each request. `render` must not block.
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

async fn answer(State(admin): State<Arc<Admin>>, method: Method, uri: Uri) -> Response {
    let answer = match Target::parse(uri.path()) {
        Some(target) => admin.target(&method, target).await,
        None => admin.page(&method, &uri),
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
        method: &Method,
        target: Result<Target<'_>, Refusal>,
    ) -> Result<Response, Refusal> {
        let Target::Key(group, key) = target? else {
            return Err(Refusal::no_such_path());
        };
        if method != Method::DELETE {
            return Err(Refusal::method("DELETE"));
        }
        remove(named(&self.groups, &group)?, &key).await
    }
}

#[derive(Serialize)]
struct Owner {
    owner: Arc<str>,
    #[serde(rename = "self")]
    is_self: bool,
}

fn owner(group: &Group, key: &[u8]) -> Response {
    let owner = group.router().owner(key);
    reply::json(
        StatusCode::OK,
        &Owner {
            owner: owner.name,
            is_self: owner.is_self,
        },
    )
}

#[derive(Serialize)]
struct Removed {
    removed: Vec<Arc<str>>,
    missed: Vec<MissedNode>,
}

#[derive(Serialize)]
struct MissedNode {
    node: Arc<str>,
    error: String,
}

/// Removes a key on every node, in a task of its own: a client that hangs up must not leave the old value on half of the
/// nodes. The task ends by itself, for each node is given the group's load timeout.
async fn remove(group: &Group, key: &[u8]) -> Result<Response, Refusal> {
    let limit = group.limits().max_key;
    if key.len() > limit {
        let error = Error::KeyTooLong {
            group: group.name().clone(),
            len: key.len(),
            limit,
        };
        return Err(Refusal::failed(key, &error));
    }
    let (task_group, task_key) = (group.clone(), key.to_vec());
    let removal = tokio::spawn(async move { task_group.remove(&task_key).await });
    let Removal { removed, missed } = removal.await.map_err(|error| {
        let line = format!("group {}: the removal did not end: {error}", group.name());
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, line)
    })?;
    let status = if missed.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::BAD_GATEWAY
    };
    if missed.is_empty() {
        info!(group = %group.name(), nodes = removed.len(), "removed a key");
    } else {
        warn!(group = %group.name(), missed = missed.len(), "a removal missed some nodes");
    }
    let missed = missed
        .into_iter()
        .map(|missed| MissedNode {
            node: missed.peer,
            error: reply::error_line(&missed.error),
        })
        .collect();
    Ok(reply::json(status, &Removed { removed, missed }))
}
