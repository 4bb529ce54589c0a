//! The public front door and the admin endpoints of a Gaggle node, as [axum](https://docs.rs/axum)
//! routers.
//!
//! [`front_door`] answers programs that want values, [`admin`] answers operators and their tools.
//! Both are plain [`axum::Router`]s: the caller serves them, on two addresses of which the second
//! is not for the public. Where the front door is all that a port serves, [`front_service`] is the
//! same without a router around it, and cheaper.
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
//! | `OPTIONS` of a path under `/v1` | 204 with `Allow`; neither the group nor the key is looked for |
//! | `GET /openapi.json` | the description of these endpoints, in OpenAPI 3.1 |
//!
//! **Values.** A value is its raw bytes, with a `Cache-Status` header ([RFC
//! 9211](https://www.rfc-editor.org/rfc/rfc9211)), which an unknown key's 404 has too:
//!
//! | `Cache-Status: gaggle; …` | the answer came from |
//! |---|---|
//! | `hit; detail=main`, `hit; detail=hot` | this node's memory |
//! | `hit; detail=stale` | this node's memory, past its time; it is being loaded again |
//! | `fwd=miss; detail=origin`, `fwd=miss; detail=peer` | the origin, or the node that owns the key |
//! | `fwd=miss; detail=stale` | the node that owns the key, past its time |
//! | `fwd=stale; detail=stale` | this node's memory, past its time, as loading it again failed |
//!
//! `; collapsed` says that the caller waited on another's load. `; ttl=SECONDS` says for how much
//! longer the answer is fresh, where that has an end: rounded down, and 0 for what is past its
//! time.
//!
//! Under `/v1` the value has the `Content-Type`, `Content-Encoding`, `ETag`, `Last-Modified` and
//! `Age` that are known of it, and `application/octet-stream` where no content type is. `/api`
//! answers as the ancestors do: 200 and `application/octet-stream`, whatever is known of the value,
//! and whatever the client asks for. The rest of this chapter is about `/v1`.
//!
//! **Entity tags.** A value has its origin's `ETag`. Where the origin gives none, a value of up to
//! [`FrontOptions::etag_max`] bytes has a strong one: 128 bits of a hash (xxh3) of its bytes, its
//! type and its encoding, which is the same on every node. It is computed with each answer, as it
//! would take more room beside a small value than the value itself. `GET`, `HEAD` and 304 have the
//! same tag.
//!
//! **Conditions** are judged in the order of RFC 9110 (section 13.2.2), where there is a value:
//! `If-Match` (compared strongly), or without it `If-Unmodified-Since`, is answered with 412 where
//! the value is another; `If-None-Match` (compared weakly), or without it `If-Modified-Since`, is
//! answered with 304 where the client has the value.
//!
//! **Ranges.** A `GET` with one range of bytes is answered with 206, or with 416 where the value
//! has no such bytes. Several ranges, and what is none, are passed over: the whole value is sent.
//! So it is where `If-Range` names another tag, a weak one, or a date: no node knows that a value
//! did not change twice within a second. A part of a value holds the whole in memory while it is
//! sent.
//!
//! **Encodings.** A value is sent as the origin encoded it, with `Vary: accept-encoding`. Nothing
//! is encoded or decoded here: a client whose `Accept-Encoding` does not allow the value's encoding
//! is answered with 406, and so is one that excludes `identity` where the value is not encoded. A
//! client that sends no such header takes everything.
//!
//! **Other caches** are told nothing unless [`FrontOptions::cache_control`] has a
//! [rule](CacheControl) for the group. `max-age` is then what is left of the value's time, plus the
//! `Age` beside it, which a cache subtracts.
//!
//! **`HEAD` is no get.** What is in memory is answered without being counted as a get, or as a use
//! of the entry. What is not in memory is loaded, as its length and its tag are not known
//! otherwise: that counts as a load, and not as a get.
//!
//! **`Request-Timeout: SECONDS`** says how long the client waits, such as `2` or `0.25`: 504
//! afterwards. `X-Request-Timeout` counts where the first is not there. It shortens the wait that
//! the group has, and never lengthens it. Of a batch, each row that has not come by then has the
//! status 504. A load belongs to no caller: it goes on, within the group's load timeout, for
//! whoever else waits for it and for the cache. So the owner of a key and its origin are not told
//! this time, but that of the load. What is no number above 0, or is there twice, is answered with
//! 400.
//!
//! **Pages of other sites** may read answers where [`FrontOptions::cors_origins`] names their
//! origin. No credentials are allowed.
//!
//! **Keys are bytes.** Under `/v1` the key is all that follows the slash behind the group,
//! percent-decoded once: slashes, `//` and `..` are part of it, `+` is a plus. In `/api` the key
//! is a form value: `+` is a space. A `%` without two hex digits behind it is answered with 400.
//! An empty key is a key: `/v1/scores/`, `/api?key=`. A query behind a `/v1` path is ignored: a
//! `?` in a key is written `%3F`.
//!
//! An error is one line of text without a line end. A client that prefers
//! `application/problem+json` to text by its `Accept` is sent that (RFC 9457):
//! `{"type":"about:blank","title":"Not Found","status":404,"detail":"Nobody not found",`
//! `"group":"scores"}`.
//! `*/*` and `application/json` alone are no such preference.
//!
//! | status | when |
//! |---|---|
//! | 400 | a malformed request |
//! | 404 | `{key} not found`, `no such group: {group}`, `no such path` |
//! | 405 | another method, with `Allow` |
//! | 406 | `Accept-Encoding` does not allow the value as it is |
//! | 408 | the body of a `POST` did not arrive within [`FrontOptions::body_timeout`], that of a `PUT` within a minute |
//! | 412 | the value is another than `If-Match` or `If-Unmodified-Since` wants |
//! | 413 | the value, or the body of a `POST`, is over its limit |
//! | 414 | the key is over the group's limit |
//! | 416 | the value has no byte of the range |
//! | 502 | the origin failed, or the load panicked; of a `PUT`: the owner could not be given the value. The text says how, as far as the [fault](gaggle_group::OriginFault) tells, and not where: the rest is in the log of the node that loaded |
//! | 503 | too much is under way (loads, those that wait for the origin, bytes in flight), the origin is failing, or the node is stopping; with `Retry-After` in seconds |
//! | 504 | no value within the load timeout, or within `Request-Timeout` |
//!
//! **Bytes in flight.** A value of 4 KiB or more counts as in flight
//! ([`Group::in_flight`](gaggle_group::Group::in_flight)) from when it is sent until it is
//! written, or its client is gone; so do the bodies of requests while they are read and used. Over
//! the budget a request waits for as long as the budget says, and is then answered with 503.
//! `HEAD` and 304 count nothing.
//!
//! **Traces.** A get under `/v1` or `/api` that misses has a span `get`, which goes on with the
//! trace that the request header `traceparent` names, where the group has a
//! [`Propagation`](gaggle_group::Propagation). A hit has none. A put or a removal by way of the
//! admin endpoints has a span `write`. Both have attributes by OpenTelemetry's conventions
//! (`http.request.method`, `http.route`, `http.response.status_code`); the status of a get is the
//! one before conditions and ranges are applied.
//!
//! **Batches.**
//! `{"results":[{"key":"Tom","status":200,"value":"NjMw"},{"key":"Nobody","status":404}]}`: values
//! in base64, results in the order of the keys, each with the status that a `GET` would have had,
//! and an `error` text where that is neither 200 nor 404. With `keys64` the keys are base64 (the
//! standard alphabet, padded) and come back as `key64`. The answer is cut at the first value that
//! does not fit into [`FrontOptions::max_batch_bytes`]: that key and all behind it get 413 with
//! the error `the answer is full`, and can be asked for in a request of their own. The request's
//! content type is not looked at.
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
//! | `GET /` | a page for people, which shows what the other endpoints tell |
//! | `GET /livez` | 200 `ok` as long as the process answers at all |
//! | `GET /readyz` | 200 `ready`; 503 `starting` or `draining`: see [`Readiness`] |
//! | `GET /metrics` | the text of [`MetricsPage`] |
//! | `GET /status` | JSON: `node`, `version`, `state`, `generation` (of the configuration), `ring` (`members`, `hash`, and `peers` with their health), `in_flight`, `groups` with their counters and `contacts`: [below](#status) |
//! | `GET /owner?group=G&key=K` | `{"owner":"http://…","self":true}`: who owns the key by placement, up or down; decoded as `/api` is |
//! | `GET /cluster` | JSON: every member of the ring as this node knows it, each asked at the same time on the peers' port for how it is: [below](#the-cluster) |
//! | `GET /history[?group=G]` | JSON: the last hour, one number for each ten seconds: [below](#the-last-hour) |
//! | `GET /events[?limit=N]` | JSON: what happened lately, the newest first, at most 200 |
//! | `GET /hot-keys?group=G` | JSON: the keys that this node is asked for most, at most 20, and who owns them |
//! | `GET /held?group=G&key=K` (or `key64=`, in base64) | JSON: what each member's memory holds of the key; counts as no get |
//! | `GET /schema/status.json`, `GET /openapi.json` | the JSON Schema of `/status`; the OpenAPI document of these endpoints |
//! | `POST /reload` | the node reads its configuration again ([`Reload`]): 200 `{"generation":2,"changed":["groups.scores.ttl"]}`; 422 if it is none that a node could start with, 409 if it differs in what cannot change while the node runs, and nothing has changed then |
//! | `DELETE /v1/{group}/{key}` | `{"removed":["http://…"],"missed":[{"node":"http://…","error":"…"}]}`: 200 if every node has dropped its copies, 502 if some node was missed |
//! | `DELETE /v1/{group}` | the same for all keys of the group |
//! | `POST /v1/{group}/remove` with the body of a batch | the same for those keys, in one message to each node; the bounds are those of [`FrontOptions::default`] |
//! | `PUT /v1/{group}/{key}` with the value as the body | the same: the key's owner keeps the value, and all others have dropped their copies |
//!
//! **Browsers.** A page of another site that has a browser ask the admin endpoints is refused, so
//! that nobody who looks at a page removes keys for its author: 421 where `Host` is neither an IP
//! address, nor a name without a dot, nor one in `.localhost`, `.internal`, `.svc` or
//! `.cluster.local`, nor one of [`Admin::hosts`]; 403 where `Origin` or `Sec-Fetch-Site` tell of
//! another site. Whoever answers the DNS of the browser's machine can still mislead it: where that
//! is not trusted, a token or client certificates keep such a page out. `GET` of `/livez` and
//! `/readyz` is always answered, and a link on another site may open the page.
//!
//! A removal goes on when its client hangs up, and so does a `PUT`: one that stops half-way would
//! be worse than none.
//!
//! `remove` stands for a list of keys only in a `POST`: a key of that name can be put and deleted
//! as any other. A list with a key over the group's limit is refused, and nothing is removed.
//!
//! **Put.** `Cache-Control: max-age=N`, `stale-while-revalidate=N` and `stale-if-error=N` say in
//! seconds how long the value may be served; what the request leaves open the group's policy
//! decides. `no-store`, `no-cache` and `max-age=0` are answered with 400, for a value that is put
//! is kept. `Content-Type`, `Content-Encoding`, `ETag` and `Last-Modified` are kept with the
//! value, up to [`Metadata::MAX_LEN`](gaggle_group::Metadata::MAX_LEN) bytes. If the owner cannot
//! be given the value, the answer is 502 with a line of text, and the key is removed wherever a
//! node could be told.
//!
//! ## Status
//!
//! A group's counters have the names that `/metrics` has for them, with labels as fields: `main`,
//! `hot` and `absent` (keys known to be absent) for a cache. Those that are no metric by
//! themselves are `stale_revalidating`, `stale_failed_over`, `refreshes`, `not_modified`,
//! `removals`, `taken_over`, `hedges`, `unvouched_drops`, `origin_batches` and `origin_batched`:
//! see [`Stats`](gaggle_group::Stats). `warmed_total` tells what became of the keys that were to
//! be loaded before anybody asked for them. Where something follows the changes of the group's
//! source, `follow` has its [`FollowStats`](gaggle_group::FollowStats), with `lag_seconds`.
//! `contacts` lists for each other node how many seconds ago it last told which removals it knows:
//! `[{"node":"http://…","heard_seconds":0.25}]`, and `null` where it never did. `in_flight` has
//! the bytes in flight of the node: `used`, `limit` (`null` for none), `peak`, how many requests
//! for room were `refused`, and how many are `waiting`. `clients` and `peers` have the gets and
//! hits of either kind of caller, `settings` what the group is set to, `origin` who asks the origin
//! and whether its circuit breaker is open, and `load_seconds` estimated percentiles (`null` where
//! nothing was loaded). `/schema/status.json` has each field.
//!
//! ## The cluster
//!
//! `/cluster` and `/held` ask every member of the ring as this node knows it, all at the same time,
//! on the peers' port ([`Peer::inspect`](gaggle_group::Peer::inspect)), and wait for two seconds. A
//! member that does not answer is `reached: false` with the reason as its `error`. One that answers
//! and knows no such question, as golang/groupcache's nodes and older releases, is `reached: true`
//! with an `error`. What the node itself tells comes without a request. A gateway, which is no
//! member, shows itself first.
//!
//! ## The last hour
//!
//! `/history` and `/events` tell what [`Admin::console`] has kept: see
//! [gaggle_console]. Each series has 360 numbers, the oldest first: rates per second for counts,
//! seconds for percentiles of loads from the origin, bytes. A number is `null` where the node did not
//! run yet, or where nothing was loaded. `/hot-keys` is drawn from one get in 64 of the last minutes
//! ([`Group::hot_keys`](gaggle_group::Group::hot_keys)); keys are shown there and in no metric or
//! log. A key that is no UTF-8 is `null`, and always there as `key64`.
//!
//! # Trade-offs
//!
//! * Both routers take every path that reaches them (they answer unknown ones themselves, in the
//!   format above), so they can be nested under a path but not merged with another router that has
//!   a fallback.
//! * Nobody is authenticated here: a layer around a router does that. The front door can only
//!   read, whoever asks.
//! * A name of this node that is not in [`Admin::hosts`] is refused until it is put there, unless
//!   it is private by itself.
//! * A hash as an entity tag costs each answer about 650 instructions for a value of 100 bytes,
//!   where a hit over a connection takes 15,700, and more for longer values: see
//!   [`FrontOptions::etag_max`]. Counting requests costs two reads of the clock and 200
//!   instructions.
//! * A value whose encoding a client does not take is refused, and not decoded for it: a decoder
//!   would be a way to have the node do much work for a small request.
//! * A batch loads its keys a window at a time, at most [`FrontOptions::batch_loads`], so that one
//!   request can take neither every slot that a group has for loads nor much memory; its last keys
//!   wait for its first ones. In each window there is one request to each node that owns some of
//!   its keys, if the transport sends keys together. As the first window is small, a batch of 100
//!   keys that are not in memory takes two round trips where one would do.
//! * The status of a batch is sent before its last keys are loaded: each row has its own.
//! * Text of a batch that a connection buffers counts as in flight, but does not wait for room,
//!   for its answer has begun; and a value that has just been loaded does not wait for room as
//!   long as the budget is not exceeded. So it can be, by one value and what connections buffer.
//! * `/api` does not say how a value is encoded: where the origin sends encoded ones, ask for them
//!   under `/v1`.
//! * The header `traceparent` is believed, whoever sends it. The group's propagation is told that
//!   it comes from a client
//!   ([`incoming_from_client`](gaggle_group::Propagation::incoming_from_client)). Where a sampler
//!   follows it all the same, a client can have each of its misses recorded.
//! * Whoever may read the admin port may see keys: in `/hot-keys`, and whether one is in memory in
//!   `/held`.
//! * Each `/cluster` and each `/held` is a request to every other node. They are for people and
//!   their tools, not for a scraper of hundreds of nodes.
//! * Connection limits and header timeouts are the server's business, not a router's.

mod accept;
mod admin;
mod asked;
mod batch;
mod body;
mod cache_control;
mod conditions;
mod cors;
mod front;
mod held;
mod keys;
mod openapi;
mod patience;
mod range;
mod reply;
mod requests;
mod tag;
mod trace;
mod value;

pub use admin::{Admin, MetricsPage, NoReload, Readiness, Reload, ReloadError, Reloaded, admin};
pub use cache_control::CacheControl;
pub use front::{FrontOptions, front_door, front_service};
pub use reply::{retry_after, status};
pub use requests::{RequestCounts, RequestStats, Route, RouteCounts};
