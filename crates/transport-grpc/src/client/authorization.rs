//! What requests show that they may be made.

use std::fmt;
use std::sync::Arc;

use axum::http::HeaderValue;

/// Where the value of `Authorization` comes from that requests to peers carry: asked for each request, so that a token can be
/// changed while it is in use. Two are equal if they are clones of one. `Debug` does not show the value.
#[derive(Clone)]
pub struct Authorization(Arc<dyn Fn() -> Option<HeaderValue> + Send + Sync>);

impl Authorization {
    /// The value that `current` gives, which must not block; `None` for a request without one.
    pub fn new(current: impl Fn() -> Option<HeaderValue> + Send + Sync + 'static) -> Self {
        Self(Arc::new(current))
    }

    /// The value for a request that is about to be sent, marked as sensitive.
    pub(crate) fn value(&self) -> Option<HeaderValue> {
        let mut value = (self.0)()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(***)")
    }
}

impl PartialEq for Authorization {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Authorization {}
