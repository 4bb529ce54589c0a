//! One lookup and its results.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};

/// The most addresses that a name may have.
pub const MAX_ADDRESSES: usize = 1024;

/// Why a name has no list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The name does not exist (NXDOMAIN).
    #[error("there is no such name")]
    NoSuchName,
    /// The name exists and has no address of the kind asked for.
    #[error("the name has no addresses")]
    NoAddresses,
    /// No name server has answered in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The name has too many addresses.
    #[error("{count} addresses; at most {MAX_ADDRESSES} are taken")]
    TooMany {
        /// How many it has.
        count: usize,
    },
    /// An address at which no node can be: unspecified, multicast or broadcast. Filtering name
    /// servers answer 0.0.0.0 for a name that they block, and a node would consider that its own
    /// address.
    #[error("{0} cannot be the address of a node")]
    NotANode(IpAddr),
    /// The name server failed or refused, or could not be reached.
    #[error("the name server: {0}")]
    Server(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The members are known, but no route leads to any of them, so that this host has no address
    /// among or towards them.
    #[error("this host has no route to any of {count} addresses")]
    NoRoute {
        /// How many were tried.
        count: usize,
    },
}

impl LookupError {
    /// Whether a name server answered that there is no such record, as opposed to no answer.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchName | Self::NoAddresses)
    }

    fn from_net(failure: NetError, timeout: Duration) -> Self {
        match failure {
            NetError::Timeout => Self::Timeout(timeout),
            NetError::Dns(DnsError::NoRecordsFound(none)) => {
                if none.response_code == ResponseCode::NXDomain {
                    Self::NoSuchName
                } else {
                    Self::NoAddresses
                }
            }
            other => Self::Server(Box::new(other)),
        }
    }
}

/// The addresses in the records of one type, each once and in order.
pub(crate) async fn addresses(
    resolver: &TokioResolver,
    name: &Name,
    record_type: RecordType,
    timeout: Duration,
) -> Result<BTreeSet<IpAddr>, LookupError> {
    let answer = resolver
        .lookup(name.clone(), record_type)
        .await
        .map_err(|failure| LookupError::from_net(failure, timeout))?;
    let mut addresses = BTreeSet::new();
    for address in answer
        .answers()
        .iter()
        .filter_map(|record| record.data.ip_addr())
    {
        if !may_be_a_node(address) {
            return Err(LookupError::NotANode(address));
        }
        addresses.insert(address);
    }
    match addresses.len() {
        0 => Err(LookupError::NoAddresses),
        // A message ends at 64 KiB, so the set was never much larger.
        count if count > MAX_ADDRESSES => Err(LookupError::TooMany { count }),
        _ => Ok(addresses),
    }
}

fn may_be_a_node(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}
