//! Removals: how they are named and remembered, and how nodes that missed one learn it.

pub(crate) mod log;
mod notice;

pub use notice::{BadRemovalId, Known, News, Notice, RemovalId, Scope};
