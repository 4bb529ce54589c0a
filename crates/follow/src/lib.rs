//! Removes cached values as their source changes.
//!
//! A [`Feed`] tells what has changed: a database's log, a directory that is watched. A [`Follower`]
//! removes those keys from a [`Group`](gaggle_group::Group) on every node, so that values need no
//! time to live to become right again. One node of the cluster follows; another takes over when it
//! is gone.
//!
//! ```
//! use gaggle_follow::{Batch, Change, Feed, FeedError, Follower, Opened, Options, Position};
//! use gaggle_group::{Group, Key, async_trait};
//! use tokio::sync::mpsc;
//!
//! /// Keys that something else in this process has changed.
//! struct Told(mpsc::Receiver<Key>);
//!
//! #[async_trait]
//! impl Feed for Told {
//!     async fn open(&mut self) -> Result<Opened, FeedError> {
//!         Ok(Opened::Missed("what changed before was told to nobody".into()))
//!     }
//!
//!     async fn next(&mut self) -> Result<Batch, FeedError> {
//!         let key = self.0.recv().await.ok_or_else(|| FeedError::new("nobody tells any more"))?;
//!         Ok(Batch { changes: vec![Change::Key(key)], ..Batch::default() })
//!     }
//!
//!     async fn confirm(&mut self, _position: Position) -> Result<(), FeedError> {
//!         Ok(()) // No batch has a position.
//!     }
//!
//!     async fn close(&mut self) {}
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let group = Group::builder("scores")
//!     .origin_fn(|_key| async { Ok::<_, std::io::Error>(Some("630")) })
//!     .build()?;
//! let (tell, told) = mpsc::channel(16);
//! let follower = Follower::start(group.clone(), Told(told), Options::default());
//!
//! group.get("Tom").await?;
//! tell.send("Tom".into()).await?;
//! while group.holds("Tom") {
//!     tokio::task::yield_now().await;
//! }
//! follower.stop().await;
//! # Ok(()) }
//! ```
//!
//! # Who follows
//!
//! The node for which [`Router::leads`](gaggle_group::Router::leads) holds for `follow:{group}`;
//! it is asked every 250 ms. Two nodes may think so for a moment: the source itself has to admit
//! one at a time, and its feed says that it is taken by [`FeedError::held_elsewhere`]. A node that
//! loses all others at once closes its feed for five seconds, so that a node on the other side of
//! a partition can follow. With [`Options::everywhere`] each node follows a source of its own.
//!
//! # What is promised
//!
//! * **Nothing is confirmed before every node has dropped it.** A position is
//!   [confirmed](Feed::confirm) once all removals up to it have reached every node that has to be
//!   told. A node that could not be told holds the confirmation back, while the following goes on,
//!   until it has been in contact for two seconds and so has learnt the removal, or is no longer
//!   known to the router, or ten minutes are over: by then a node that hears nobody drops all that
//!   it holds. If the follower dies before that, the next one is told the same changes again.
//! * **Missed changes remove the group.** [`Opened::Missed`] does so on every node before anything
//!   else.
//! * **Values and removals of a key keep their order.** Of a batch the last change of a key
//!   counts. A batch with values ([`Change::Put`]) is applied alone. Batches without values are
//!   applied up to eight at a time.
//! * **A feed that fails, hangs in `open` or panics is opened again**, after 100 ms at first and 5
//!   s at most.
//! * **Memory is bounded**: about 9,000 keys and 4 MiB of them under way, whatever a transaction
//!   changes; what is held back are positions and names of nodes.
//!
//! [`Group::stats`](gaggle_group::Group::stats) tells how it goes; `lag` is how long the oldest
//! change known has not been applied everywhere.
//!
//! # Trade-offs
//!
//! * A removal reaches the caches after the change is visible in the source, mostly within
//!   milliseconds. A get in between is answered with the old value. A feed must not tell a change
//!   before the source shows it to readers: a load in between would bring the old value back.
//! * A listed node that is down holds each confirmation back for ten minutes, and `lag` with it:
//!   the source has to keep its log for so long. It is over sooner once the node is back, or is
//!   taken off the list.
//! * The node that leads may be one that cannot reach the source while others can. It goes on
//!   trying; nobody takes over from a node that is up.
//! * Contact is judged by this node hearing the other. Where messages pass in one direction only
//!   for minutes, and this node dies then, a removal may stay unknown to the other node.
//! * What is told twice is applied twice, as after a takeover: removals cost a load each. A value
//!   that is put again may be an old one for a moment.
//! * Values that were put within five seconds before the source was lost are removed again, as
//!   another node may have put newer ones in between. Until then, for a second or two, an old one
//!   may be served.
//! * One task applies all changes of a group, and each batch is one message to each node.
//!   Thousands of small transactions a second are fine; a feed should hand out what has come as
//!   one batch.

mod apply;
mod complaints;
mod contact;
mod feed;
mod follower;
mod isolation;
mod ledger;
mod options;
mod plan;
mod puts;
mod session;
mod source;
mod stats;
mod turn;

pub use feed::{Batch, Change, Feed, FeedError, Opened, Position};
pub use follower::Follower;
pub use options::Options;
