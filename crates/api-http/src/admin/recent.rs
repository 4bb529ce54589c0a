//! `/history` and `/events`: the last hour.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use gaggle_console::{Console, Series};
use serde::Serialize;

use crate::keys::form_value;
use crate::reply::{self, Refusal};

#[derive(Serialize)]
struct History {
    now: f64,
    interval_seconds: u64,
    points: usize,
    series: Series,
    groups: BTreeMap<Arc<str>, Series>,
}

pub(super) fn history(console: &Console, uri: &Uri) -> Result<Response, Refusal> {
    let only = form_value(uri.query().unwrap_or_default(), b"group")?;
    let only = only.as_deref().map(String::from_utf8_lossy);
    let history = console.history(only.as_deref());
    if let Some(only) = &only
        && history.groups.is_empty()
    {
        return Err(Refusal::no_such_group(only.as_bytes()));
    }
    let history = History {
        now: history.now,
        interval_seconds: history.interval.as_secs(),
        points: history.points,
        series: history.total,
        groups: history.groups,
    };
    Ok(reply::json(StatusCode::OK, &history))
}

#[derive(Serialize)]
struct Events {
    events: Vec<Event>,
}

#[derive(Serialize)]
struct Event {
    at: f64,
    kind: &'static str,
    node: Option<Arc<str>>,
    group: Option<Arc<str>>,
    text: String,
}

pub(super) fn events(console: &Console, uri: &Uri) -> Result<Response, Refusal> {
    let limit = form_value(uri.query().unwrap_or_default(), b"limit")?;
    let limit = limit.map(|limit| {
        let number = std::str::from_utf8(&limit).ok();
        let number = number.and_then(|number| number.parse::<usize>().ok());
        number.ok_or_else(|| Refusal::bad_request("the parameter limit is no number".to_owned()))
    });
    let events = console.events(limit.transpose()?.unwrap_or(usize::MAX));
    let events = events.into_iter().map(|event| Event {
        at: event.at,
        kind: event.kind.as_str(),
        node: event.node,
        group: event.group,
        text: event.text,
    });
    let events = Events {
        events: events.collect(),
    };
    Ok(reply::json(StatusCode::OK, &events))
}
