//! Connects for the first time, and checks the query.

use std::sync::Arc;

use gaggle_group::Key;
use tokio::time::timeout;

use super::dialect::Unusable;
use super::failure::{Trouble, kind};
use super::options::named;
use super::origin::Remote;
use super::pool::Pool;
use super::replicas::Servers;
use super::{Dialect, Kind, ServerOptions};
use crate::OpenError;
use crate::error::said;

impl<D: Dialect> Remote<D> {
    /// Connects, checks the query, and tries it.
    pub(crate) async fn open(options: ServerOptions, scheme: &str) -> Result<Self, OpenError> {
        let refused = |database: &str, reason: String| OpenError::Open {
            database: database.to_owned(),
            reason,
        };
        let pool = |url: &str| -> Result<Pool<D>, OpenError> {
            let name = named(url).map_err(|reason| refused(scheme, reason))?;
            if !name.starts_with(&format!("{scheme} ")) {
                let reason = format!("the URL must begin with {scheme}://");
                return Err(refused(&name, reason));
            }
            let address = D::address(url, &options).map_err(|reason| refused(&name, reason))?;
            Ok(Pool::new(name, address, &options))
        };
        let primary = pool(&options.url)?;
        options
            .check()
            .map_err(|reason| refused(primary.name(), reason))?;
        let replicas = options.replicas.iter().map(|url| pool(url));
        let servers = Servers::new(primary, replicas.collect::<Result<_, _>>()?);
        let lookup = checked(&servers, &options).await?;
        Ok(Self {
            servers,
            lookup: Arc::new(lookup),
            key_type: options.key_type,
        })
    }
}

/// The checked query.
async fn checked<D: Dialect>(
    servers: &Servers<D>,
    options: &ServerOptions,
) -> Result<D, OpenError> {
    let leased = servers.lease_from_any(options.statement_timeout).await;
    let (mut lease, pool) = leased.map_err(|(trouble, database)| {
        let database = database.to_owned();
        let reason = match trouble {
            Trouble::Unreachable(reason) => format!("it cannot be reached: {reason}"),
            Trouble::Refused(reason) => return OpenError::Open { database, reason },
            Trouble::Failed(error) => {
                let reason = said(&error);
                return OpenError::Open { database, reason };
            }
            other => format!("{other:?}"),
        };
        OpenError::Unavailable { database, reason }
    })?;
    let database = pool.name();
    let unusable = |reason: String| OpenError::Query {
        database: database.to_owned(),
        reason,
    };
    let connection = &mut lease.connection;
    let checking = async {
        let (query, key_type) = (&options.query, options.key_type);
        let checked = D::check(connection, query, key_type, options.max_batch).await;
        let mut lookup = checked.map_err(|error| match error {
            Unusable::Query(reason) => reason,
            Unusable::Failed(error) => said(&error),
        })?;
        // Some mistakes show only when a statement runs, such as a missing privilege.
        if let Err(error) = tried(&lookup, connection, 1).await {
            return Err(said(&error));
        }
        if lookup.max_batch() > 1
            && let Err(error) = tried(&lookup, connection, 2).await
        {
            tracing::warn!(
                database,
                reason = said(&error),
                "the query cannot look up several keys in one statement: each key takes one of its own"
            );
            lookup.without_batches();
        }
        Ok(lookup)
    };
    let limit = options.statement_timeout * 4;
    let lookup = match timeout(limit, checking).await {
        Ok(checked) => checked.map_err(unusable)?,
        Err(_) => return Err(unusable(format!("no answer within {limit:?}"))),
    };
    lease.give_back();
    Ok(lookup)
}

/// Looks up that many empty keys, so that the text of an error contains no key. If the query
/// cannot use empty keys, the result is unknown.
async fn tried<D: Dialect>(
    lookup: &D,
    connection: &mut D::Connection,
    keys: usize,
) -> Result<(), sqlx::Error> {
    let keys = vec![Key::new(); keys];
    match lookup.look_up(connection, &keys, 0).await {
        Err(error) if !matches!(kind::<D>(&error), Kind::Data | Kind::Key) => Err(error),
        _ => Ok(()),
    }
}
