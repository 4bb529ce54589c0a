//! What the front door serves, described in OpenAPI 3.1.

/// The description, as it is sent.
pub(crate) const FRONT: &str = include_str!("../openapi/front.json");
