//! Removals: of a key, of several, of a whole group. Each goes on to its end though its client
//! hangs up, as the group sees to: the old value must not stay on half of the nodes.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use gaggle_group::{Error, Group, Removal};
use serde::Serialize;
use tracing::{info, warn};

use crate::FrontOptions;
use crate::batch::Batch;
use crate::reply::{self, Refusal};

#[derive(Serialize)]
struct Told {
    removed: Vec<Arc<str>>,
    missed: Vec<MissedNode>,
}

#[derive(Serialize)]
struct MissedNode {
    node: Arc<str>,
    error: String,
}

pub(super) async fn of_key(group: &Group, key: &[u8]) -> Result<Response, Refusal> {
    check(group, key)?;
    Ok(answer(group, "removed a key", group.remove(key).await))
}

/// Removes the keys that a body names as that of a batch get does, within the same bounds.
pub(super) async fn of_keys(group: &Group, body: Body) -> Result<Response, Refusal> {
    let batch = Batch::read(body, group, &FrontOptions::default()).await?;
    let keys = &batch.keys;
    for key in keys {
        check(group, key)?;
    }
    let removal = if keys.is_empty() {
        // There is nothing to tell anybody.
        Removal::default()
    } else {
        group.remove_many(keys).await
    };
    Ok(answer(group, "removed keys", removal))
}

pub(super) async fn of_group(group: &Group) -> Response {
    answer(group, "removed all keys", group.remove_group().await)
}

/// Refuses a key that the group cannot have.
pub(super) fn check(group: &Group, key: &[u8]) -> Result<(), Refusal> {
    let limit = group.limits().max_key;
    if key.len() <= limit {
        return Ok(());
    }
    Err(Refusal::failed(&Error::KeyTooLong {
        group: group.name().clone(),
        len: key.len(),
        limit,
    }))
}

/// The nodes that were told and those that were missed: 200 if none was, otherwise 502.
pub(super) fn answer(group: &Group, done: &'static str, removal: Removal) -> Response {
    let Removal {
        removed, missed, ..
    } = removal;
    let status = if missed.is_empty() {
        info!(group = %group.name(), nodes = removed.len(), "{done}");
        StatusCode::OK
    } else {
        warn!(group = %group.name(), missed = missed.len(), "{done}, but some nodes were missed");
        StatusCode::BAD_GATEWAY
    };
    let missed = missed.into_iter().map(|missed| MissedNode {
        node: missed.peer,
        error: reply::error_line(&missed.error),
    });
    let missed = missed.collect();
    reply::json(status, &Told { removed, missed })
}
