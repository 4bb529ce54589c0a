//! `/held`: what every node's memory holds of a key. It counts as no get.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gaggle_group::{Groups, Held, Inspected, Key, Member};
use serde::Serialize;

use super::ask::{self, Answer, Asked, Question};
use super::removal;
use crate::keys::{form_value, group_of_query};
use crate::reply::{self, Refusal};

#[derive(Serialize)]
struct Found<'a> {
    group: &'a str,
    /// `None` where it is no UTF-8.
    key: Option<&'a str>,
    key64: String,
    owner: Owner,
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Owner {
    name: Arc<str>,
    address: Arc<str>,
    #[serde(rename = "self")]
    is_self: bool,
}

#[derive(Serialize)]
struct Node {
    name: Arc<str>,
    address: Arc<str>,
    #[serde(rename = "self")]
    is_self: bool,
    reached: bool,
    error: Option<String>,
    held: Option<HeldStatus>,
}

#[derive(Serialize)]
struct HeldStatus {
    tier: &'static str,
    bytes: u64,
    age_seconds: Option<f64>,
    fresh_seconds: Option<f64>,
    stale: bool,
}

pub(super) async fn answer(groups: &Groups, uri: &Uri) -> Result<Response, Refusal> {
    let group = group_of_query(groups, uri)?;
    let key = Key::from(key(uri)?);
    removal::check(group, &key)?;
    let question = Question::Held {
        group: Arc::clone(group.name()),
        key: key.clone(),
    };
    let owner = group.router().owner(&key);
    let nodes = ask::all(groups, &question).await;
    let found = Found {
        group: group.name(),
        key: std::str::from_utf8(&key).ok(),
        key64: STANDARD.encode(&key),
        owner: owner.into(),
        nodes: nodes.into_iter().map(Node::from).collect(),
    };
    Ok(reply::json(StatusCode::OK, &found))
}

/// The key of `key=`, or of `key64=` in base64.
fn key(uri: &Uri) -> Result<Vec<u8>, Refusal> {
    let query = uri.query().unwrap_or_default();
    if let Some(key) = form_value(query, b"key")? {
        return Ok(key.into_owned());
    }
    let Some(key) = form_value(query, b"key64")? else {
        let line = "the parameter key is missing: name one with key=, or with key64= in base64";
        return Err(Refusal::bad_request(line.to_owned()));
    };
    // In a form a plus is a space: it must be escaped, and often is not.
    let key: Cow<'_, [u8]> = match key.contains(&b' ') {
        true => key
            .iter()
            .map(|byte| if *byte == b' ' { b'+' } else { *byte })
            .collect(),
        false => key,
    };
    let decoded = STANDARD.decode(&*key);
    decoded.map_err(|bad| Refusal::bad_request(format!("the parameter key64 is no base64: {bad}")))
}

impl From<Member> for Owner {
    fn from(owner: Member) -> Self {
        Self {
            name: owner.name,
            address: owner.address,
            is_self: owner.is_self,
        }
    }
}

impl From<Asked> for Node {
    fn from(asked: Asked) -> Self {
        let (reached, error) = (asked.is_reached(), asked.error());
        Self {
            name: asked.node.name,
            address: asked.node.address,
            is_self: asked.node.is_self,
            reached,
            error,
            held: match asked.answer {
                Answer::Found(Inspected::Held(held)) => held.map(HeldStatus::from),
                _ => None,
            },
        }
    }
}

impl From<Held> for HeldStatus {
    fn from(held: Held) -> Self {
        Self {
            tier: held.tier.as_str(),
            bytes: held.bytes,
            age_seconds: held.age.map(|age| age.as_secs_f64()),
            fresh_seconds: held.fresh.map(|fresh| fresh.as_secs_f64()),
            stale: held.stale,
        }
    }
}
