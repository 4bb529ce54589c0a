//! Groups for the clients of Redis: a port that speaks RESP2 and RESP3.
//!
//! A program that has a client of Redis needs no other one to read through a cache of Gaggle:
//! `GET` answers from memory, or loads the value, and a key that the origin does not have is nil.
//!
//! ```
//! use gaggle_api_resp::{Options, RespServer};
//! use gaggle_group::{Group, Groups};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scores = Group::builder("scores")
//!     .origin_fn(|key: bytes::Bytes| async move {
//!         Ok::<_, std::io::Error>((key == "Tom").then_some("630"))
//!     })
//!     .build()?;
//! let server = RespServer::bind("127.0.0.1:0", Options::default()).await?;
//! println!("redis-cli -p {} get scores:Tom", server.local_addr().port());
//! let serving = server.groups(&Groups::new([scores])?)?;
//! # let stop = async {};
//! let drained = serving.serve(stop).await;
//! # assert_eq!(drained.cut, 0);
//! # Ok(()) }
//! ```
//!
//! # Keys
//!
//! `group:key` names a group, where there is one of that name. Any other key is, as a whole, one
//! of the bare group: [`Options::group`], or the only group where there is exactly one. So a bare
//! key may contain a colon, as long as what is before it is no group's name; a key of the bare
//! group that does begin so is written with the group's name before it.
//!
//! # Commands
//!
//! - Values: `GET`, `MGET`, `EXISTS`, `STRLEN`, `GETRANGE`, `SUBSTR`, `TTL`, `PTTL`, `TYPE`,
//!   `OBJECT ENCODING`, `OBJECT REFCOUNT`.
//! - With the right to write: `SET` (`EX`, `PX`, `EXAT`, `PXAT`), `SETEX`, `PSETEX`, `DEL`,
//!   `UNLINK`, `FLUSHDB`, `FLUSHALL`.
//! - The connection: `HELLO`, `AUTH`, `PING`, `ECHO`, `SELECT 0`, `CLIENT` (`REPLY`, `SETNAME` and
//!   what else is of this connection alone), `RESET`, `QUIT`.
//! - The server: `COMMAND`, `INFO`, `DBSIZE`.
//!
//! Each read loads what is not in memory: `EXISTS` and `TTL` ask the origin, too. `MGET`, and gets
//! that follow each other in a pipeline, are loaded side by side, with one request to each owner.
//! A key of an `MGET` that fails is an error in its place. `DEL` counts the keys that it was
//! given: nobody knows what the other nodes held. `FLUSHDB` removes the bare group, `FLUSHALL` all
//! groups.
//!
//! Conditions (`NX`, `XX`, `GET`, `KEEPTTL`) and commands that change a time to live are refused
//! with an error that says so; commands that are not listed are unknown ones.
//!
//! # Errors
//!
//! The words are those of the front door over HTTP, behind Redis' prefixes: `NOAUTH`, `WRONGPASS`,
//! `NOPERM`, `NOPROTO`; `TRYAGAIN` where a load was shed and the same request may be answered a
//! moment later; `ERR` for all else.
//!
//! # Bounds
//!
//! [`Options`] has them: connections, arguments, bytes of a request and of answers that wait,
//! loads of one connection at a time, and the times for each. Values from 4 KiB on count as in
//! flight ([`Group::in_flight`](gaggle_group::Group::in_flight)) until they are sent, and so do
//! requests and answers that are larger than usual. An idle connection has no buffers.
//!
//! # Trade-offs
//!
//! * Requests of one connection are answered one after the other, but for gets: a get behind a
//!   `SET` waits for it, as clients expect.
//! * The parser is this crate's: those of crates for RESP are made for clients. They know no
//!   inline commands and none of Redis' protocol errors, and make a value of each argument.
//! * A pipeline whose answers take more than [`Options::max_output`] and the socket's buffers must
//!   be read while it is sent.
//! * A password is checked when a client sends it. A [`Grant`] can say that it was withdrawn: the
//!   connection loses its rights at the next command, and may authenticate once more. A command
//!   that is under way by then is finished.
//! * Values that count as in flight are sent before the connection waits for a load.
//! * No transactions, scripts, subscriptions or cursors.

mod clock;
mod commands;
mod connection;
mod counts;
mod error;
mod keys;
mod options;
mod output;
mod parse;
mod reads;
mod scratch;
mod server;
mod session;
#[cfg(feature = "tls")]
mod tls;

pub use counts::Counts;
pub use options::{Access, Grant, Options, Rights};
pub use server::{Drained, Monitor, RespError, RespServer, Serving};
#[cfg(feature = "tls")]
pub use tls::Tls;
