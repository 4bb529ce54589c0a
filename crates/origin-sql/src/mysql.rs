//! MySQL and MariaDB.

mod connect;
mod query;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gaggle_group::{Load, Loaded, Origin, OriginError};

use self::query::Lookup;
use crate::OpenError;
use crate::server::{Remote, ServerOptions};

/// A query of a MySQL or MariaDB database. A clone shares the connections.
#[derive(Clone)]
pub struct MysqlOrigin {
    remote: Arc<Remote<Lookup>>,
}

impl MysqlOrigin {
    /// Connects, checks the query, and tries it with an empty key. If the primary cannot be
    /// reached and a replica can, the replica is used.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which names the database without the user and the password: none can be
    /// reached or logged in to, an option is invalid, or the query cannot be used.
    pub async fn open(options: ServerOptions) -> Result<Self, OpenError> {
        let remote = Remote::open(options, "mysql").await?;
        Ok(Self {
            remote: Arc::new(remote),
        })
    }
}

#[async_trait]
impl Origin for MysqlOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        self.remote.load(load).await
    }

    fn max_batch(&self) -> usize {
        self.remote.max_batch()
    }

    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        self.remote.load_many(loads).await
    }
}

impl fmt::Debug for MysqlOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MysqlOrigin").field(&self.remote).finish()
    }
}
