//! The generated messages of Gaggle's own part of the protocol: `gaggle.proto`, `batch.proto`, `control.proto`.

/// Of the file that the gRPC transport has too, some messages are not needed here.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    reason = "generated"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/gaggle.peer.v1.rs"));
}

pub(crate) use generated::*;
