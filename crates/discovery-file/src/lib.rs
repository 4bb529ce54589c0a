//! The members of a cluster from a watched file.
//!
//! Use it if another system knows the nodes and can write a file: a Kubernetes ConfigMap,
//! consul-template, configuration management, or a person with an editor.
//!
//! ```no_run
//! use gaggle_discovery_file::{FileDiscovery, FileOptions};
//! use gaggle_peers::Discovery as _;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let discovery = FileDiscovery::new(FileOptions {
//!     path: "/etc/gaggle/members".into(),
//!     ..FileOptions::default()
//! })?;
//! loop {
//!     match discovery.members().await {
//!         Ok(nodes) => println!("{} nodes", nodes.len()),
//!         Err(failure) => eprintln!("the last list stays: {failure}"),
//!     }
//!     discovery.changed().await;
//! }
//! # }
//! ```
//!
//! `Peers::follow` in [gaggle-peers](gaggle_peers) does that.
//!
//! # The file
//!
//! Each line has one node, optionally followed by fields. Comments are allowed:
//!
//! ```text
//! # address                 name           member of the ring
//! http://10.0.0.1:8001
//! 10.0.0.2:8001             name=pod-2
//! https://node-3.example    name=pod-3     member=false   # a gateway
//! ```
//!
//! An address is a base URL, or a host and a port; [`FileDiscovery::https`] sets the scheme of the
//! latter. A node without a name or without `member` is asked for it. A file with the single line
//! `none` says that there is no node.
//!
//! A file that begins with a bracket is JSON: a list of addresses, or of objects.
//!
//! ```json
//! ["http://10.0.0.1:8001", {"address": "10.0.0.2:8001", "name": "pod-2", "member": true}]
//! ```
//!
//! A file has at most [`MAX_NODES`] nodes and [`MAX_BYTES`] bytes; a name at most 256 bytes, an
//! address at most 512. A repeated line counts once. Lines that contradict each other are an
//! error: one address with two names, one name at two addresses.
//!
//! # When a change counts
//!
//! The file is read every [`FileOptions::every`], and compared with the file of the last list:
//! device and inode, modification time, length, and a hash of the bytes. It therefore notices a
//! file that is renamed over the old one, the swap of Kubernetes' `..data` link, and a file that
//! is written in place, even within the resolution of the modification time.
//!
//! A file that was written less than `every` ago may be half-written. It is read again after
//! `every`, at most 1 s, until two reads in sequence are equal; after five attempts that is an
//! error. A change is thus known within twice `every`. Renaming a new file over the old one is
//! always safe; a program that writes in place must not pause for longer than `every`.
//!
//! # Errors
//!
//! A file that is missing, unreadable, too large, not of this form, or empty: each is a
//! [`FileError`] inside a [`DiscoveryError`](gaggle_peers::DiscoveryError) which names the file
//! and, where there is one, the line. `Peers::follow` then keeps the last good list. Each error is
//! reported once, until the file changes. *Empty* is an error because an editor, a full disk and a
//! template without its data leave an empty file behind, and it would make each node a cluster of
//! its own.
//!
//! # Trade-offs
//!
//! * The file is polled: network file systems send no notifications, and notifications do not
//!   follow chains of links.
//! * A last line that was cut off in the middle of a port is accepted like any other list, once
//!   the file no longer changes.
//! * On a network file system whose clock is behind this host's, a file looks older than it is,
//!   and a file that is written in place may be read half-written. The next read gets the rest.
//! * The file is trusted: anyone who can write it can add a node to the ring.

mod discovery;
mod entry;
mod error;
mod options;
mod parse;
mod read;

pub use discovery::FileDiscovery;
pub use error::FileError;
pub use options::{FileOptions, OptionsError};
pub use parse::MAX_NODES;
pub use read::MAX_BYTES;
