//! Removals: their identities, their log, and how nodes that missed one learn of it.

pub(crate) mod log;
mod notice;

pub use notice::{BadRemovalId, Known, News, Notice, RemovalId, Scope};
