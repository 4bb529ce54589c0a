//! The members of a cluster from a watched file.
//!
//! Use it where something else knows the nodes and can write a file: a Kubernetes ConfigMap,
//! consul-template, a configuration management, a person with an editor.
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
//! One node a line, fields after it where they are known, and comments:
//!
//! ```text
//! # address                 name           member of the ring
//! http://10.0.0.1:8001
//! 10.0.0.2:8001             name=pod-2
//! https://node-3.example    name=pod-3     member=false   # a front end
//! ```
//!
//! An address is a base URL, or a host and a port; [`FileDiscovery::https`] gives the latter its
//! scheme. A node without a name is asked for it, and so is one without `member`. A line with the
//! word `none`, and no other, says that there is no node.
//!
//! Or JSON, where the file begins with a bracket: a list of addresses, or of objects.
//!
//! ```json
//! ["http://10.0.0.1:8001", {"address": "10.0.0.2:8001", "name": "pod-2", "member": true}]
//! ```
//!
//! At most [`MAX_NODES`] nodes and [`MAX_BYTES`] bytes; names of up to 256 bytes, addresses of up
//! to 512. A line that is there twice counts once. Two that contradict each other are an error:
//! one address with two names, one name at two addresses.
//!
//! # When a change counts
//!
//! The file is read every [`FileOptions::every`], and compared with what the last list was made
//! of: device and inode, time of change, length, and a hash of the bytes. So a file that is
//! renamed over the old one is noticed, the swap of Kubernetes' `..data` link, and one that is
//! written in place, even within the resolution of its time of change.
//!
//! A file that was written less than `every` ago may be half of what it is to be. It is read again
//! after `every`, at most 1 s, until it was found the same twice; after five times that is an
//! error. So a change is known within twice `every`. Who replaces the file by renaming a new one
//! over it is safe in any case; who writes it in place must not pause for longer than `every`.
//!
//! # Errors
//!
//! A file that is missing, unreadable, too large, not of this form, or empty: each is a
//! [`FileError`] inside a [`DiscoveryError`](gaggle_peers::DiscoveryError) which names the file and,
//! where there is one, the line. `Peers::follow` keeps the last good list then. Each is told once,
//! until the file changes. *Empty* is an error because it is what an editor, a full disk and a
//! template without its data leave behind, and it would make each node a cluster of its own.
//!
//! # Trade-offs
//!
//! * The file is looked at, not listened to: notifications of the system do not come from network
//!   file systems and follow no chain of links.
//! * A last line that was cut off in the middle of a port is a list like any other, once it is at
//!   rest.
//! * On a network file system whose clock is behind this host's, a file looks older than it is, and
//!   what is written in place may be taken half. The next look takes the rest.
//! * The file is believed: who can write it can put a node in the ring.

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
