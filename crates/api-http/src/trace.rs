//! The spans of requests, by the names of OpenTelemetry's conventions, and the traces that they
//! belong to. None has a key.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use gaggle_group::{Answer, Error, Group, Groups, SPAN_TARGET, TraceParent};
use tracing::field::Empty;
use tracing::{Span, debug_span};

use crate::keys::{Target, named};
use crate::reply;

/// The route of a get of one key by its path, of the ancestors' endpoint, and of a batch.
const OF_KEY: &str = "/v1/{group}/{key}";
const OF_QUERY: &str = "/api";
pub(crate) const OF_GROUP: &str = "/v1/{group}";

/// The parts of a request's head that spans and answers need.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    pub(crate) fn by(head: &'a Parts) -> Self {
        Self {
            method: &head.method,
            path: head.uri.path(),
            headers: &head.headers,
        }
    }

    pub(crate) fn of(request: &'a Request) -> Self {
        Self {
            method: request.method(),
            path: request.uri().path(),
            headers: request.headers(),
        }
    }
}

/// The span of a get of one key that misses.
pub(crate) fn get_of_one(group: &Group, asked: Asked<'_>) -> Span {
    let route = match asked.path {
        OF_QUERY => OF_QUERY,
        _ => OF_KEY,
    };
    get(group, asked.method, route, parent(asked.headers))
}

/// The span of gets that miss.
pub(crate) fn get(
    group: &Group,
    method: &Method,
    route: &'static str,
    trace: Option<TraceParent>,
) -> Span {
    let span = debug_span!(
        target: SPAN_TARGET,
        "get",
        otel.name = %format_args!("{method} {route}"),
        group = &**group.name(),
        otel.kind = "server",
        http.request.method = method.as_str(),
        http.route = route,
        http.response.status_code = Empty,
        otel.status_code = Empty,
        error.type = Empty,
    );
    go_on(&span, group, trace);
    span
}

/// Tells the span of a get how it ended.
pub(crate) fn got(span: &Span, found: &Result<Answer, Error>) {
    ended(
        span,
        match found {
            Ok(answer) if answer.value.is_some() => StatusCode::OK,
            Ok(_) => StatusCode::NOT_FOUND,
            Err(failure) => reply::status(failure),
        },
    );
}

/// The span of a put or a removal by way of the admin port.
pub(crate) fn write(groups: &Groups, head: &Parts, target: &Target<'_>) -> Span {
    let (name, route) = match target {
        Target::Group(name) => (name, OF_GROUP),
        Target::Key(name, key) if head.method == Method::POST && **key == *b"remove" => {
            (name, "/v1/{group}/remove")
        }
        Target::Key(name, _) => (name, OF_KEY),
    };
    let is_write = [Method::DELETE, Method::POST, Method::PUT].contains(&head.method);
    let Some(group) = named(groups, name).ok().filter(|_| is_write) else {
        return Span::none();
    };
    let method = &head.method;
    let span = debug_span!(
        target: SPAN_TARGET,
        "write",
        otel.name = %format_args!("{method} {route}"),
        group = &**group.name(),
        otel.kind = "server",
        http.request.method = method.as_str(),
        http.route = route,
        http.response.status_code = Empty,
        otel.status_code = Empty,
        error.type = Empty,
    );
    go_on(&span, group, parent(&head.headers));
    span
}

/// Tells the span of a put or a removal how it ended.
pub(crate) fn written(span: &Span, answer: &Response) {
    ended(span, answer.status());
}

fn ended(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
}

fn go_on(span: &Span, group: &Group, trace: Option<TraceParent>) {
    if !span.is_disabled()
        && let Some(propagation) = group.propagation()
        && let Some(parent) = trace
    {
        propagation.incoming_from_client(span, &parent);
    }
}

/// The trace that a request belongs to. What cannot be read, or is there twice, is no trace, and
/// no reason to refuse a request.
pub(crate) fn parent(asked: &HeaderMap) -> Option<TraceParent> {
    let mut values = asked.get_all("traceparent").iter();
    let value = values.next()?;
    values
        .next()
        .is_none()
        .then(|| TraceParent::parse(value.as_bytes()))?
}
