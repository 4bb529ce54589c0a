//! The server: one handler on raw request targets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use gaggle_group::{
    Answer, ByteBudget, Error, Group, Groups, Hold, Hop, Key, Notice, OverBudget, Scope, Serve,
    Served,
};
use gaggle_proto::notices::MAX_KEY;
use gaggle_proto::terms::{Terms, of_value};
use http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, Method, request};

use self::body::Bounds;
use self::refusal::Refusal;
use crate::escape::unescape;
use crate::terms;
use crate::{BasePath, Encoding, headers, message};

mod batch;
mod body;
mod control;
#[cfg(test)]
mod hostile;
mod refusal;

/// The options of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// The path that requests begin with. Default `/_groupcache/`.
    pub base_path: BasePath,
    /// How values are written. Default protobuf.
    pub encoding: Encoding,
    /// How a request without the mark of a forward is handled. Default [`Unmarked::Route`].
    pub unmarked: Unmarked,
    /// How long the whole body of a request may take, however steadily it arrives. Default 5 s.
    pub body_timeout: Duration,
    /// The cluster whose requests are answered: one for another cluster is refused with 421,
    /// unless it is a hello. Default: all are answered.
    pub cluster: Option<Arc<str>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            base_path: BasePath::default(),
            encoding: Encoding::default(),
            unmarked: Unmarked::default(),
            body_timeout: Duration::from_secs(5),
            cluster: None,
        }
    }
}

/// How a request is handled that does not say whether a node has forwarded it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unmarked {
    /// It comes from a program: it is forwarded, once, to the owner of the key. For rings of
    /// Gaggle alone, which mark what they forward.
    #[default]
    Route,
    /// A node of another kind may have forwarded it: it is answered here, whichever node owns the
    /// key. For rings shared with golang/groupcache and similar systems, which cannot mark
    /// forwards.
    Answer,
}

struct Server {
    groups: Groups,
    options: ServerOptions,
}

/// A router that answers the peer protocol for `groups`. It is a fallback: routes merged into it
/// come first.
pub fn router(groups: Groups, options: ServerOptions) -> Router {
    // Not a route with a path parameter: axum decodes those as UTF-8, and a key is any bytes.
    Router::new()
        .fallback(handle)
        .with_state(Arc::new(Server { groups, options }))
}

async fn handle(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let marked = head.headers.contains_key(headers::FORWARDED);
    let is_ours = server.is_ours(&head.headers);
    let answered = if is_of_a_page(&head.headers) {
        Err(Refusal::Page)
    } else if server.has_message(&head, &headers::CONTROL) {
        let (bounds, trace) = (server.bounds(), headers::trace(&head.headers));
        Ok(control::answer(&server.groups, body, bounds, is_ours, trace).await)
    } else if !is_ours {
        Err(Refusal::OtherCluster)
    } else if server.has_message(&head, &headers::BATCH) {
        batch::answer(&server.groups, body, server.bounds()).await
    } else {
        // In other requests the body is ignored. It is dropped at once, so it is never buffered.
        drop(body);
        server.answer(&head).await
    };
    let mut response = answered.unwrap_or_else(Refusal::into_response);
    if marked {
        response.headers_mut().insert(headers::BATCH, headers::ONE);
    }
    response
}

/// Whether a browser sends the request for a web page. A page of any site can make a browser send
/// requests to an address in its user's network, and with a DNS name of its own for this address
/// it could even read the answers. Browsers send `Accept-Language` with each request, and a page
/// can change it but not omit it; nodes send no such header.
fn is_of_a_page(asked: &HeaderMap) -> bool {
    asked.contains_key(ORIGIN)
        || asked.contains_key(ACCEPT_LANGUAGE)
        || asked.contains_key("sec-fetch-site")
}

impl Server {
    /// The bounds of request bodies.
    fn bounds(&self) -> Bounds<'_> {
        Bounds {
            within: self.options.body_timeout,
            budget: budget(&self.groups),
        }
    }

    /// Whether a request is meant for this cluster, if it names one.
    fn is_ours(&self, asked: &HeaderMap) -> bool {
        match (&self.options.cluster, asked.get(headers::CLUSTER)) {
            (Some(ours), Some(named)) => named.as_bytes() == ours.as_bytes(),
            _ => true,
        }
    }

    /// Whether the body of a request is a message of the kind that a header names. The path has no
    /// group, so it asks for no key.
    fn has_message(&self, head: &request::Parts, kind: &HeaderName) -> bool {
        head.method == Method::POST
            && head.headers.contains_key(kind)
            && head.uri.path() == self.options.base_path.as_str()
    }

    async fn answer(&self, head: &request::Parts) -> Result<Response, Refusal> {
        // golang's server treats any method as a read. Methods such as PUT would be silent no-ops,
        // so they are refused.
        let removes = match head.method {
            Method::GET | Method::HEAD | Method::POST => false,
            Method::DELETE => true,
            _ => return Err(Refusal::Method),
        };
        let (group, key) = self.target(head)?;
        if removes {
            remove(group, key, &head.headers)
        } else {
            self.read(group, key, &head.headers).await
        }
    }

    /// The group and the key that a request is for.
    fn target(&self, head: &request::Parts) -> Result<(&Group, Vec<u8>), Refusal> {
        let below = head
            .uri
            .path()
            .strip_prefix(self.options.base_path.as_str());
        let rest = below.ok_or(Refusal::BasePath)?;
        // Split before it is decoded: an escaped slash is part of a name.
        let (name, key) = match (rest.split_once('/'), head.headers.get(headers::KEY)) {
            (Some((name, key)), _) => (name, key.as_bytes()),
            (None, Some(key)) => (rest, key.as_bytes()),
            (None, None) => return Err(Refusal::Malformed),
        };
        let name = unescape(name.as_bytes()).map_err(|_| Refusal::Malformed)?;
        let key = unescape(key).map_err(|_| Refusal::Malformed)?;
        match std::str::from_utf8(&name)
            .ok()
            .and_then(|name| self.groups.get(name))
        {
            Some(group) => Ok((group, key)),
            None => Err(Refusal::NoGroup(name)),
        }
    }

    async fn read(
        &self,
        group: &Group,
        key: Vec<u8>,
        asked: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let wait = headers::duration(asked, &headers::DEADLINE_MS).map_err(Refusal::Number)?;
        let max_value = headers::number(asked, &headers::MAX_VALUE).map_err(Refusal::Number)?;
        let marked = asked.contains_key(headers::FORWARDED);
        let hop = match self.options.unmarked {
            Unmarked::Route if !marked => Hop::First,
            Unmarked::Route | Unmarked::Answer => Hop::Forwarded,
        };
        let removals = headers::removals(asked).map_err(Refusal::Removal)?;
        let kept_only = asked.contains_key(headers::KEPT);
        let request = Serve::new(&key, hop).within(wait).after(&removals);
        let request = request.kept_only(kept_only).traced(headers::trace(asked));
        let error = match group.serve(request).await {
            Ok(Served {
                answer:
                    Answer {
                        value: None,
                        freshness,
                        metadata,
                        ..
                    },
                ..
            }) => {
                let terms = terms::of_absence(freshness, &metadata);
                return Err(Refusal::Absent { key, terms });
            }
            Ok(Served {
                answer:
                    Answer {
                        value: Some(value),
                        freshness,
                        metadata,
                        ..
                    },
                minute_qps,
                ..
            }) => match over(value.len(), max_value) {
                None => {
                    let hold = hold(group, &value).await;
                    let hold = hold.map_err(Refusal::NoRoom)?;
                    let terms = of_value(freshness, &metadata);
                    // Only Gaggle nodes mark their requests. All others get the same bytes as
                    // before.
                    let rate = minute_qps.filter(|_| marked);
                    return Ok(self.found(value, rate, hold, &terms));
                }
                Some((len, limit)) => Error::ValueTooLarge {
                    group: group.name().clone(),
                    len: Some(len),
                    limit,
                },
            },
            Err(error) => error,
        };
        Err(Refusal::Load { error, key })
    }

    fn found(&self, value: Bytes, minute_qps: Option<f64>, hold: Hold, terms: &Terms) -> Response {
        let encoding = self.options.encoding;
        let mut response = Response::new(message::encode(encoding, value, minute_qps, hold));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, encoding.content_type());
        terms::write(terms, headers);
        response
    }
}

/// Makes a value count against the budget while it is being written.
async fn hold(group: &Group, value: &Bytes) -> Result<Hold, OverBudget> {
    let budget = group.in_flight();
    if value.len() < ByteBudget::SMALL
        && let Some(hold) = budget.try_hold(value)
    {
        return Ok(hold);
    }
    // On the heap, since small values do not need the wait.
    Box::pin(budget.hold(value)).await
}

/// The budget of bodies and of values that are being written. The groups of a node share it.
fn budget(groups: &Groups) -> Option<&ByteBudget> {
    groups.iter().next().map(Group::in_flight)
}

/// The length and the limit, if the length is over the limit.
fn over(len: usize, limit: Option<u64>) -> Option<(u64, u64)> {
    let len = len as u64;
    limit.filter(|limit| len > *limit).map(|limit| (len, limit))
}

/// Applies the removal of one key. Without a name it is from another program, and only this node
/// drops its copies.
fn remove(group: &Group, key: Vec<u8>, asked: &HeaderMap) -> Result<Response, Refusal> {
    match headers::removal(asked).map_err(Refusal::Removal)? {
        None => {
            group.forget(&key);
        }
        Some(_) if key.len() > MAX_KEY => return Err(Refusal::Malformed),
        Some(id) => {
            let scope = Scope::Keys([Key::from(key)].into());
            // Whether it was known or not, the copies are dropped.
            group.apply_traced(&Notice { id, scope }, headers::trace(asked));
        }
    }
    let mut response = Response::new(Body::empty());
    response
        .headers_mut()
        .insert(headers::REMOVED, headers::ONE);
    Ok(response)
}
