//! `POST /reload`: the node reads its configuration again.

use std::fmt;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use gaggle_group::async_trait;
use serde::Serialize;

use crate::reply::{self, Refusal};

/// What reads the configuration of a running node again. This crate knows no configuration.
#[async_trait]
pub trait Reload: Send + Sync {
    /// Which configuration the node runs with: 1 for the one that it was started with, and one
    /// more each time that another was taken over.
    fn generation(&self) -> u64;

    /// Reads the configuration again and takes it over, or leaves all as it is. A client that goes
    /// away must not stop it half-way.
    ///
    /// # Errors
    ///
    /// One line on why the node goes on as before.
    async fn reload(&self) -> Result<Reloaded, ReloadError>;
}

/// A configuration that was taken over: the answer, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// As of now.
    pub generation: u64,
    /// The names of the fields that are others than before, and never what stands in them.
    pub changed: Vec<String>,
}

/// Why a node goes on with the configuration that it has. Each is one line, without a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadError {
    /// The new one is none that a node could be started with. Answered with 422.
    Invalid(String),
    /// It differs in something that cannot change while the node runs. Answered with 409.
    Fixed(String),
    /// Nothing can be read again now. Answered with 503.
    Unavailable(String),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Invalid(line) | Self::Fixed(line) | Self::Unavailable(line)) = self;
        f.write_str(line)
    }
}

impl std::error::Error for ReloadError {}

/// A node that was started with what it is, and reads nothing again.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReload;

#[async_trait]
impl Reload for NoReload {
    fn generation(&self) -> u64 {
        1
    }

    async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let line = "this node has no configuration that could be read again";
        Err(ReloadError::Unavailable(line.to_owned()))
    }
}

pub(super) async fn answer(reload: &dyn Reload, method: &Method) -> Result<Response, Refusal> {
    if method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    match reload.reload().await {
        Ok(reloaded) => Ok(reply::json(StatusCode::OK, &reloaded)),
        Err(refused) => {
            let status = match &refused {
                ReloadError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
                ReloadError::Fixed(_) => StatusCode::CONFLICT,
                ReloadError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            Err(Refusal::new(status, refused.to_string()))
        }
    }
}
