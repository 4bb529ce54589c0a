//! Exact models of policies, as their papers have them: no values, no threads, and room for a
//! stated number of entries (or bytes, where that is said).

mod gdsf;
mod lru;
mod optimum;
mod per_key;
mod s3_fifo;
mod sketch;
mod tiny_lfu;

pub(super) use gdsf::Gdsf;
pub use lru::Lru;
pub(super) use optimum::Optimum;
pub(super) use s3_fifo::S3Fifo;
pub(super) use tiny_lfu::TinyLfu;
