//! Real directories whose files change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod changes;
mod links;
mod root;
mod serving;
mod watched;
