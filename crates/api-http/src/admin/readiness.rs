//! Whether the node wants traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use axum::http::StatusCode;
use axum::response::Response;

use crate::reply;

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

/// Whether the node wants traffic, as `/readyz` tells it. All clones are one.
///
/// It begins as `starting`, is `ready` while [`set_ready`](Self::set_ready) says so, and
/// `draining` once it no longer is.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    state: Arc<AtomicU8>,
}

impl Readiness {
    /// A node that is starting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ready from now on, or no longer. A node that was never ready goes on starting.
    pub fn set_ready(&self, ready: bool) {
        if ready {
            self.state.store(READY, Relaxed);
        } else {
            // Err is a node that is starting, or draining already.
            let _ = self
                .state
                .compare_exchange(READY, DRAINING, Relaxed, Relaxed);
        }
    }

    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.state.load(Relaxed) == READY
    }

    /// `starting`, `ready` or `draining`.
    pub fn as_str(&self) -> &'static str {
        match self.state.load(Relaxed) {
            STARTING => "starting",
            READY => "ready",
            _ => "draining",
        }
    }

    pub(super) fn answer(&self) -> Response {
        // Read once: between two reads the answer could come to say "503 ready".
        let state = self.as_str();
        let ready = state == "ready";
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        reply::text(status, state)
    }
}
