//! A name service as a [`Discovery`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use gaggle_peers::{Discovery, DiscoveryError, Listed};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::{sleep, timeout};

use crate::lookup::{LookupError, addresses};
use crate::{DnsOptions, Family, OptionsError, own_address};

/// The addresses of a name, as a list of members. The crate's documentation lists the lookups and
/// the errors.
pub struct DnsDiscovery {
    options: DnsOptions,
    name: Name,
    resolver: TokioResolver,
    nameservers: Vec<SocketAddr>,
    ipv4_seen: AtomicBool,
}

/// An address of this host, see [`DnsDiscovery::own_address`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAddress {
    /// The address.
    pub ip: IpAddr,
    /// Whether it is one of the name's addresses, and therefore the one that peers use. If not,
    /// it is what the routing table suggests.
    pub listed: bool,
}

impl DnsDiscovery {
    /// Sends no query yet. Reads `/etc/resolv.conf` unless a name server is given.
    ///
    /// # Errors
    ///
    /// If the options are invalid, or the system has no name server.
    pub fn new(options: DnsOptions) -> Result<Self, OptionsError> {
        let name = options.validate()?;
        let (config, found) = match options.nameserver {
            Some(address) => (only(address), ResolverOpts::default()),
            None => read_system_conf().map_err(|failure| OptionsError::System(failure.into()))?,
        };
        Self::with(options, name, config, found)
    }

    fn with(
        options: DnsOptions,
        name: Name,
        config: ResolverConfig,
        found: ResolverOpts,
    ) -> Result<Self, OptionsError> {
        let nameservers = config
            .name_servers()
            .iter()
            .filter_map(address_of)
            .collect();
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = uncached(found, options.timeout);
        let resolver = builder
            .build()
            .map_err(|failure| OptionsError::System(failure.into()))?;
        Ok(Self {
            options,
            name,
            resolver,
            nameservers,
            ipv4_seen: AtomicBool::new(false),
        })
    }

    /// The base URL of the node at `address`, as in the list of members.
    pub fn url_of(&self, address: IpAddr) -> String {
        let scheme = if self.options.https { "https" } else { "http" };
        format!("{scheme}://{}", SocketAddr::new(address, self.options.port))
    }

    /// The address by which peers know this host: the first of the name's addresses that is its
    /// own. If none is, because the name service does not list this node before it is ready, or
    /// does not answer, it is the source address of packets to a member, or to a name server;
    /// never a loopback address. It sends nothing except the queries.
    ///
    /// # Errors
    ///
    /// If the list cannot be obtained, or no route leads to a member, and the name servers give no
    /// address either: Docker's is on the loopback network.
    pub async fn own_address(&self) -> Result<OwnAddress, DiscoveryError> {
        let port = self.options.port;
        let (members, failure) = match self.addresses().await {
            Ok(members) => {
                if let Some(ip) = own_address::listed(&members, port) {
                    return Ok(OwnAddress { ip, listed: true });
                }
                let count = members.len();
                (members, LookupError::NoRoute { count })
            }
            Err(failure) => (BTreeSet::new(), failure),
        };
        let members = members.into_iter().map(|ip| SocketAddr::new(ip, port));
        own_address::towards(members.chain(self.nameservers.iter().copied()))
            .map(|ip| OwnAddress { ip, listed: false })
            .ok_or_else(|| self.failed(failure))
    }

    /// The name's addresses, in order; never none.
    async fn addresses(&self) -> Result<BTreeSet<IpAddr>, LookupError> {
        let after = self.options.timeout;
        timeout(after, self.of_the_family())
            .await
            .unwrap_or(Err(LookupError::Timeout(after)))
    }

    async fn of_the_family(&self) -> Result<BTreeSet<IpAddr>, LookupError> {
        let ask = |kind| addresses(&self.resolver, &self.name, kind, self.options.timeout);
        match self.options.family {
            Family::Ipv4 => ask(RecordType::A).await,
            Family::Ipv6 => ask(RecordType::AAAA).await,
            Family::Ipv4First => match ask(RecordType::A).await {
                Err(none) if none.is_absence() && !self.ipv4_seen.load(Relaxed) => {
                    ask(RecordType::AAAA).await
                }
                answer => {
                    self.ipv4_seen.fetch_or(answer.is_ok(), Relaxed);
                    answer
                }
            },
        }
    }

    fn failed(&self, failure: LookupError) -> DiscoveryError {
        DiscoveryError {
            what: format!("DNS name {:?}", self.options.name),
            source: Arc::new(failure),
        }
    }
}

#[async_trait]
impl Discovery for DnsDiscovery {
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError> {
        let addresses = self
            .addresses()
            .await
            .map_err(|failure| self.failed(failure))?;
        Ok(addresses
            .into_iter()
            .map(|address| Listed::new(self.url_of(address)))
            .collect())
    }

    /// Returns after the interval, plus or minus a tenth, so that nodes that started together soon
    /// ask at different times.
    async fn changed(&self) {
        sleep(self.options.every.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
    }
}

/// That name server, and no search domains.
fn only(address: SocketAddr) -> ResolverConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}

fn address_of(server: &NameServerConfig) -> Option<SocketAddr> {
    let connection = server.connections.first()?;
    Some(SocketAddr::new(server.ip, connection.port))
}

/// The system's `ndots` and similar options, with this crate's timeouts: nothing is cached, and a
/// lost datagram leaves time for a second one.
fn uncached(mut options: ResolverOpts, timeout: Duration) -> ResolverOpts {
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = 0;
    // A cache of size 0 may still return entries that it has not evicted yet.
    options.positive_min_ttl = None;
    options.positive_max_ttl = Some(Duration::ZERO);
    options.negative_min_ttl = None;
    options.negative_max_ttl = Some(Duration::ZERO);
    options.timeout = timeout / 2;
    options.attempts = 1;
    options
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)] // what tests share wants to fail here
mod tests {
    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::{RData, Record};
    use hickory_resolver::system_conf::parse_resolv_conf;
    use tokio::net::UdpSocket;

    use super::*;

    /// Knows one name, and records the names that it is asked for.
    async fn serve(socket: UdpSocket, known: &str, asked: &mut Vec<String>) {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let query = question.queries[0].clone();
            let name = query.name().clone();
            asked.push(name.to_string());
            let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
            answer.add_query(query);
            if name.to_string() == known {
                let data = RData::from(IpAddr::from([10, 0, 0, 1]));
                answer.add_answer(Record::from_rdata(name, 600, data));
            } else {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            let answer = answer.to_vec().unwrap();
            socket.send_to(&answer, from).await.unwrap();
        }
    }

    /// The queries from the name of a service to its addresses, with that resolv.conf.
    async fn names_asked(resolv_conf: &str, name: &str, known: &str) -> Vec<String> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (config, found) = parse_resolv_conf(resolv_conf).unwrap();
        let servers = only(socket.local_addr().unwrap()).name_servers().to_vec();
        let config =
            ResolverConfig::from_parts(config.domain().cloned(), config.search().to_vec(), servers);
        let options = DnsOptions {
            name: name.into(),
            timeout: Duration::from_secs(60),
            ..DnsOptions::default()
        };
        let name = options.validate().unwrap();
        let discovery = DnsDiscovery::with(options, name, config, found).unwrap();
        let mut asked = Vec::new();
        tokio::select! {
            () = serve(socket, known, &mut asked) => {}
            members = discovery.members() => {
                assert_eq!(members.unwrap(), [Listed::new("http://10.0.0.1:8001")]);
            }
        }
        asked
    }

    #[tokio::test]
    async fn a_headless_service_is_found_by_its_short_name() {
        // The resolv.conf of a pod.
        let resolv_conf = "search default.svc.cluster.local svc.cluster.local cluster.local\n\
            nameserver 10.96.0.10\noptions ndots:5\n";
        let known = "gaggle-peers.default.svc.cluster.local.";
        assert_eq!(
            names_asked(resolv_conf, "gaggle-peers", known).await,
            [known]
        );
        let elsewhere = names_asked(resolv_conf, "gaggle-peers.default.svc", known).await;
        assert_eq!(elsewhere.last().map(String::as_str), Some(known));
        assert_eq!(elsewhere.len(), 3, "{elsewhere:?}");
    }

    #[tokio::test]
    async fn a_compose_service_is_found_by_its_name() {
        let resolv_conf = "nameserver 127.0.0.11\noptions edns0 trust-ad ndots:0\n";
        assert_eq!(names_asked(resolv_conf, "node", "node.").await, ["node."]);
    }
}
