//! Removes cached values as their source changes.
//!
//! A [`Feed`] reports what has changed: it reads a database's log, or watches a directory. A
//! [`Follower`] removes those keys from a [`Group`](gaggle_group::Group) on every node, so that
//! values need no time to live to be correct. One node of the cluster follows; another takes over
//! when that node is down.
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
//!         Ok(Opened::Missed("earlier changes were not reported".into()))
//!     }
//!
//!     async fn next(&mut self) -> Result<Batch, FeedError> {
//!         let key = self.0.recv().await.ok_or_else(|| FeedError::new("the sender is gone"))?;
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
//! it is asked every 250 ms. For a moment two nodes may both follow: the source itself has to
//! admit one at a time, and the feed of the other returns [`FeedError::held_elsewhere`]. A node
//! that loses all others at the same time closes its feed for five seconds, so that a node on the
//! other side of a partition can follow. With [`Options::everywhere`] each node follows a source
//! of its own.
//!
//! # What is promised
//!
//! * **Nothing is confirmed before every node has dropped it.** A position is
//!   [confirmed](Feed::confirm) once all removals up to it have reached every node that has to be
//!   notified. A node that could not be notified delays the confirmation, while the follower
//!   continues, until one of three things happens: the node has been in contact for two seconds
//!   and so has received the removal, or the router no longer lists it, or ten minutes are over.
//!   By then a node that is cut off from all others has dropped everything that it holds. If the
//!   follower dies before the confirmation, the next one gets the same changes again.
//! * **Missed changes remove the group.** [`Opened::Missed`] does so on every node before anything
//!   else.
//! * **Values and removals of a key keep their order.** In a batch, the last change of a key
//!   counts. A batch with values ([`Change::Put`]) is applied alone. Batches without values are
//!   applied up to eight at a time.
//! * **A feed that fails, hangs in `open` or panics is opened again**, after 100 ms at first and 5
//!   s at most.
//! * **Memory is bounded**: about 9,000 keys and 4 MiB of them are in progress, however large a
//!   transaction is. A delayed confirmation keeps only positions and names of nodes in memory.
//!
//! [`Group::stats`](gaggle_group::Group::stats) reports the progress. `lag` is how long the oldest
//! known change has been waiting to be applied everywhere.
//!
//! # Trade-offs
//!
//! * A removal reaches the caches after the change is visible in the source, mostly within
//!   milliseconds. A get in between is answered with the old value. A feed must not report a
//!   change before readers of the source can see it: a load in between would cache the old value
//!   again.
//! * A listed node that is down delays each confirmation for ten minutes, and raises `lag` as
//!   much: the source has to keep its log for that time. The delay ends earlier if the node
//!   returns or is removed from the list.
//! * The node that leads may be one that cannot reach the source while others can. It keeps
//!   trying; no other node takes over from a node that is up.
//! * Contact means that this node receives messages from the other. If messages pass in one
//!   direction only for minutes, and this node then dies, the other node may miss a removal.
//! * A change that is reported twice, as after a takeover, is applied twice: each removal costs a
//!   load. A value that is put again may be an old one for a moment.
//! * Values that were put within five seconds before the source was lost are removed again, as
//!   another node may have put newer ones in between. Until then, for a second or two, an old one
//!   may be served.
//! * One task applies all changes of a group, and each batch is one message to each node.
//!   Thousands of small transactions a second are fine; a feed should return everything that has
//!   arrived as one batch.

mod apply;
mod complaints;
mod contact;
mod feed;
mod follower;
mod isolation;
mod leadership;
mod ledger;
mod options;
mod plan;
mod puts;
mod session;
mod source;
mod stats;

pub use feed::{Batch, Change, Feed, FeedError, Opened, Position};
pub use follower::Follower;
pub use options::Options;
