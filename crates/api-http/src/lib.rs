//! The public front door and the admin endpoints of a Gaggle node, as [axum](https://docs.rs/axum) routers.
//!
//! [`front_door`] answers programs that want values, [`admin`] answers operators and their tools. Both are plain
//! [`axum::Router`]s: the caller serves them, on two addresses of which the second is not for the public. Where the front
//! door is all that a port serves, [`front_service`] is the same without a router around it, and cheaper.
//!
//! ```
//! use axum::body::Body;
//! use axum::http::Request;
//! use bytes::Bytes;
//! use gaggle_api_http::{FrontOptions, front_door};
//! use gaggle_group::{Group, Groups};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scores = Group::builder("scores")
//!     .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>((key == "Tom").then_some("630")) })
//!     .build()?;
//! let router = front_door(Groups::new([scores])?, FrontOptions::default());
//!
//! // A program would hand `router` to `axum::serve`; a test can call it as it is.
//! let answer = router.oneshot(Request::get("/api?key=Tom").body(Body::empty())?).await?;
//! assert_eq!(answer.status(), 200);
//! assert_eq!(answer.headers()["cache-status"], "gaggle; fwd=miss; detail=origin");
//! # Ok(()) }
//! ```
//!
//! # The front door
//!
//! | request | answer |
//! |---|---|
//! | `GET /api?key=K[&group=G]` | the value; `G` may be left out where there is exactly one group |
//! | `GET` or `HEAD /v1/{group}/{key}` | the value |
//! | `POST /v1/{group}` with `{"keys":["Tom"]}` or `{"keys64":["VG9t"]}` | a result for each key, in order |
//!
//! **Values.** A value is its raw bytes, with a `Cache-Status` header ([RFC 9211](https://www.rfc-editor.org/rfc/rfc9211)),
//! which an unknown key's 404 has too:
//!
//! | `Cache-Status: gaggle; …` | the answer came from |
//! |---|---|
//! | `hit; detail=main`, `hit; detail=hot` | this node's memory |
//! | `hit; detail=stale` | this node's memory, past its time; it is being loaded again |
//! | `fwd=miss; detail=origin`, `fwd=miss; detail=peer` | the origin, or the node that owns the key |
//! | `fwd=miss; detail=stale` | the node that owns the key, past its time |
//! | `fwd=stale; detail=stale` | this node's memory, past its time, as loading it again failed |
//!
//! `; collapsed` says that the caller waited on another's load. `; ttl=SECONDS` says for how much longer the answer is
//! fresh, where that has an end: rounded down, and 0 for what is past its time.
//!
//! Under `/v1` the value has the `Content-Type`, `Content-Encoding`, `ETag`, `Last-Modified` and `Age` that are known of it,
//! and `application/octet-stream` where no content type is. `If-None-Match` (by weak comparison), or without it
//! `If-Modified-Since`, is answered with 304 where the client has the value. `/api` answers as the ancestors do: 200
//! and `application/octet-stream`, whatever is known of the value and whatever the client has.
//!
//! **Keys are bytes.** Under `/v1` the key is all that follows the slash behind the group, percent-decoded once: slashes,
//! `//` and `..` are part of it, `+` is a plus. In `/api` the key is a form value: `+` is a space. A `%` without two hex
//! digits behind it is answered with 400. An empty key is a key: `/v1/scores/`, `/api?key=`. A query behind a `/v1` path
//! is ignored: a `?` in a key is written `%3F`.
//!
//! An error is one line of text without a line end:
//!
//! | status | when |
//! |---|---|
//! | 400 | a malformed request |
//! | 404 | `{key} not found`, `no such group: {group}`, `no such path` |
//! | 405 | another method, with `Allow` |
//! | 408 | the body of a `POST` did not arrive within [`FrontOptions::body_timeout`], that of a `PUT` within a minute |
//! | 413 | the value, or the body of a `POST`, is over its limit |
//! | 414 | the key is over the group's limit |
//! | 502 | the origin failed, or the load panicked; of a `PUT`: the owner could not be given the value. The text says how, as far as the [fault](gaggle_group::OriginFault) tells, and not where: the rest is in the log of the node that loaded |
//! | 503 | too much is under way (loads, those that wait for the origin, bytes in flight), the origin is failing, or the node is stopping; with `Retry-After` in seconds |
//! | 504 | no value within the load timeout |
//!
//! **Bytes in flight.** A value of 4 KiB or more counts as in flight
//! ([`Group::in_flight`](gaggle_group::Group::in_flight)) from when it is sent until it is
//! written, or its client is gone; so do the bodies of requests while they are read and used. Over
//! the budget a request waits for as long as the budget says, and is then answered with 503.
//! `HEAD` and 304 count nothing.
//!
//! **Traces.** A get under `/v1` or `/api` that misses has a span `get`, which goes on with the trace that the request header
//! `traceparent` names, where the group has a [`Propagation`](gaggle_group::Propagation). A hit has none.
//!
//! **Batches.** `{"results":[{"key":"Tom","status":200,"value":"NjMw"},{"key":"Nobody","status":404}]}`: values in base64,
//! results in the order of the keys, each with the status that a `GET` would have had, and an `error` text where that is
//! neither 200 nor 404. With `keys64` the keys are base64 (the standard alphabet, padded) and come back as `key64`. The
//! answer is cut at the first value that does not fit into [`FrontOptions::max_batch_bytes`]: that key and all behind it
//! get 413 with the error `the answer is full`, and can be asked for in a request of their own. The request's content
//! type is not looked at.
//!
//! An answer of up to 256 KiB that is in memory is sent in one piece. Any other is a stream,
//! written as it is read: keys are loaded a window at a time, few at first and then as many as
//! bring about 1 MiB, and the next window begins when most of the last one has been taken. A value
//! without room in the budget has the status 503 in its row; where one has waited for room and got
//! none, the next ones of the same batch do not wait. A client that goes away ends the batch.
//!
//! # The admin endpoints
//!
//! | request | answer |
//! |---|---|
//! | `GET /livez` | 200 `ok` as long as the process answers at all |
//! | `GET /readyz` | 200 `ready`; 503 `starting` or `draining`: see [`Readiness`] |
//! | `GET /metrics` | the text of [`MetricsPage`] |
//! | `GET /status` | JSON: `node`, `version`, `state`, `generation` (of the configuration), `ring` (`members`, `hash`, and `peers` with their health), `in_flight`, `groups` with their counters and `contacts`: [below](#status) |
//! | `GET /owner?group=G&key=K` | `{"owner":"http://…","self":true}`: who owns the key by placement, up or down; decoded as `/api` is |
//! | `POST /reload` | the node reads its configuration again ([`Reload`]): 200 `{"generation":2,"changed":["groups.scores.ttl"]}`; 422 if it is none that a node could start with, 409 if it differs in what cannot change while the node runs, and nothing has changed then |
//! | `DELETE /v1/{group}/{key}` | `{"removed":["http://…"],"missed":[{"node":"http://…","error":"…"}]}`: 200 if every node has dropped its copies, 502 if some node was missed |
//! | `DELETE /v1/{group}` | the same for all keys of the group |
//! | `POST /v1/{group}/remove` with the body of a batch | the same for those keys, in one message to each node; the bounds are those of [`FrontOptions::default`] |
//! | `PUT /v1/{group}/{key}` with the value as the body | the same: the key's owner keeps the value, and all others have dropped their copies |
//!
//! **Browsers.** A page of another site that has a browser ask the admin endpoints is refused, so that nobody who looks at a
//! page removes keys for its author: 421 where `Host` is neither an IP address, nor a name without a dot, nor one in
//! `.localhost`, `.internal`, `.svc` or `.cluster.local`, nor one of [`Admin::hosts`]; 403 where `Origin` or `Sec-Fetch-Site`
//! tell of another site. Whoever answers the DNS of the browser's machine can still mislead it: where that is not trusted, a
//! token or client certificates keep such a page out. `GET` of `/livez` and `/readyz` is always answered.
//!
//! A removal goes on when its client hangs up, and so does a `PUT`: one that stops half-way would be worse than none.
//!
//! `remove` stands for a list of keys only in a `POST`: a key of that name can be put and deleted as any other. A list with a
//! key over the group's limit is refused, and nothing is removed.
//!
//! **Put.** `Cache-Control: max-age=N`, `stale-while-revalidate=N` and `stale-if-error=N` say in seconds how long the value
//! may be served; what the request leaves open the group's policy decides. `no-store`, `no-cache` and `max-age=0` are
//! answered with 400, for a value that is put is kept. `Content-Type`, `Content-Encoding`, `ETag` and `Last-Modified` are
//! kept with the value, up to [`Metadata::MAX_LEN`](gaggle_group::Metadata::MAX_LEN) bytes. If the owner cannot be given
//! the value, the answer is 502 with a line of text, and the key is removed wherever a node could be told.
//!
//! ## Status
//!
//! A group's counters have the names that `/metrics` has for them, with labels as fields: `main`,
//! `hot` and `absent` (keys known to be absent) for a cache. Those that are no metric by
//! themselves are `stale_revalidating`, `stale_failed_over`, `refreshes`, `not_modified`,
//! `removals`, `taken_over`, `hedges`, `unvouched_drops`, `origin_batches` and `origin_batched`: see
//! [`Stats`](gaggle_group::Stats). `warmed_total` tells what became of the keys that were to be loaded
//! before anybody asked for them. Where something follows the changes of the group's source,
//! `follow` has its [`FollowStats`](gaggle_group::FollowStats), with `lag_seconds`.
//! `contacts` lists for each other node how many seconds ago it last told which removals it knows:
//! `[{"node":"http://…","heard_seconds":0.25}]`, and `null` where it never did. `in_flight` has
//! the bytes in flight of the node: `used`, `limit` (`null` for none), `peak`, how many requests
//! for room were `refused`, and how many are `waiting`.
//!
//! # Trade-offs
//!
//! * Both routers take every path that reaches them (they answer unknown ones themselves, in the format above), so they
//!   can be nested under a path but not merged with another router that has a fallback.
//! * Nobody is authenticated here: a layer around a router does that. The front door can only read, whoever asks.
//! * A name of this node that is not in [`Admin::hosts`] is refused until it is put there, unless it is private by itself.
//! * Values are whole: no ranges.
//! * A batch loads its keys a window at a time, at most [`FrontOptions::batch_loads`], so that one
//!   request can take neither every slot that a group has for loads nor much memory; its last keys
//!   wait for its first ones. In each window there is one request to each node that owns some of
//!   its keys, if the transport sends keys together. As the first window is small, a batch of 100
//!   keys that are not in memory takes two round trips where one would do.
//! * The status of a batch is sent before its last keys are loaded: each row has its own.
//! * Text of a batch that a connection buffers counts as in flight, but does not wait for room, for
//!   its answer has begun; and a value that has just been loaded does not wait for room as long as
//!   the budget is not exceeded. So it can be, by one value and what connections buffer.
//! * `/api` does not say how a value is encoded: where the origin sends encoded ones, ask for them under `/v1`.
//! * The header `traceparent` is believed, whoever sends it. Where a sampler follows its parent, a client can have each of
//!   its misses recorded: a door that strangers reach needs a sampler that does not, or a proxy that takes the header away.
//! * Connection limits and header timeouts are the server's business, not a router's.

mod admin;
mod batch;
mod body;
mod conditions;
mod front;
mod held;
mod keys;
mod reply;
mod value;

pub use admin::{Admin, MetricsPage, NoReload, Readiness, Reload, ReloadError, Reloaded, admin};
pub use front::{FrontOptions, front_door, front_service};
pub use reply::{retry_after, status};
