//! `/hot-keys`: the keys that this node is asked for most.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gaggle_group::{Group, HotKey};
use serde::Serialize;

use super::address;
use crate::reply;

/// The most keys that are shown.
const MOST: usize = 20;

#[derive(Serialize)]
struct Hot<'a> {
    group: &'a str,
    /// How many gets the figures are drawn from.
    sampled: u64,
    keys: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    /// `None` where it is no UTF-8.
    key: Option<&'a str>,
    key64: String,
    gets_per_second: f64,
    share: f64,
    owner: Arc<str>,
    owner_name: Arc<str>,
    #[serde(rename = "self")]
    is_self: bool,
}

pub(super) fn answer(group: &Group) -> Response {
    let hot = group.hot_keys(MOST);
    let router = group.router();
    let row = |found: &'_ HotKey| {
        let owner = router.owner(&found.key);
        (address(&owner), owner.name, owner.is_self)
    };
    let rows = hot.keys.iter().map(|found| {
        let (owner, owner_name, is_self) = row(found);
        Row {
            key: std::str::from_utf8(&found.key).ok(),
            key64: STANDARD.encode(&found.key),
            gets_per_second: found.gets_per_second,
            share: found.share,
            owner,
            owner_name,
            is_self,
        }
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count, which is neither negative nor beyond 2^53"
    )]
    let sampled = hot.sampled.round() as u64;
    let content = Hot {
        group: group.name(),
        sampled,
        keys: rows.collect(),
    };
    reply::json(StatusCode::OK, &content)
}
