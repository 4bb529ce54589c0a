//! Addresses that no origin has: link-local ones, and those of the clouds' metadata services,
//! which return a machine's secrets.
//!
//! They are refused after names are resolved, and connections are made only to the rest: a name
//! that resolves to another address a moment later, or that is spelled as a number, makes no
//! difference.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

/// Metadata services that have an address other than a link-local one.
const METADATA_V4: [Ipv4Addr; 3] = [
    // Alibaba Cloud.
    Ipv4Addr::new(100, 100, 100, 200),
    // Azure's platform services.
    Ipv4Addr::new(168, 63, 129, 16),
    // Oracle Cloud, classic.
    Ipv4Addr::new(192, 0, 0, 192),
];
/// Google Cloud's. AWS and its services use all of `fd00:ec2::/32`.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);

/// Whether requests to this address are refused.
pub(crate) fn is_refused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || METADATA_V4.contains(&address),
        IpAddr::V6(address) => {
            let segments = address.segments();
            address.is_unicast_link_local()
                || address == METADATA_V6
                || segments[..2] == [0xfd00, 0xec2]
                || embedded(address).is_some_and(|v4| is_refused(v4.into()))
        }
    }
}

/// The IPv4 address to which packets to this one go: `::ffff:a.b.c.d`, `::a.b.c.d`, and
/// `64:ff9b::a.b.c.d` (RFC 6052).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., a, b, c, d] = address.octets();
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    address.to_ipv4()
}

/// All addresses of a name are refused. (The text is for the log.)
#[derive(Debug, thiserror::Error)]
#[error(
    "the host has the address {0}, which is link-local or a cloud's metadata service, and refused"
)]
pub(crate) struct Refused(IpAddr);

/// The same for a host that is written as an address, which is not resolved.
pub(crate) fn check_host(host: &str) -> Result<(), Refused> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare.unwrap_or(host).parse() {
        Ok(address) if is_refused(address) => Err(Refused(address)),
        _ => Ok(()),
    }
}

/// A resolver that leaves out refused addresses.
#[derive(Debug, Clone)]
pub(crate) struct Resolver<R = GaiResolver> {
    inner: R,
    refuses: bool,
}

impl Resolver {
    /// The system's resolver. `refuses` is whether anything is left out.
    pub(crate) fn new(refuses: bool) -> Self {
        Self {
            inner: GaiResolver::new(),
            refuses,
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Addresses = std::vec::IntoIter<SocketAddr>;

impl<R> Service<Name> for Resolver<R>
where
    R: Service<Name, Error: Into<BoxError>, Future: Send + 'static>,
    R::Response: Iterator<Item = SocketAddr>,
{
    type Response = Addresses;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Addresses, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.inner.call(name);
        let refuses = self.refuses;
        Box::pin(async move {
            let found = found.await.map_err(Into::into)?.collect();
            if refuses {
                allowed(found)
            } else {
                Ok(found.into_iter())
            }
        })
    }
}

fn allowed(found: Vec<SocketAddr>) -> Result<Addresses, BoxError> {
    let refused = found
        .iter()
        .find(|address| is_refused(address.ip()))
        .copied();
    let left: Vec<_> = found
        .into_iter()
        .filter(|address| !is_refused(address.ip()))
        .collect();
    match refused {
        Some(refused) if left.is_empty() => Err(Refused(refused.ip()).into()),
        _ => Ok(left.into_iter()),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[test]
    fn link_local_addresses_and_metadata_services_are_refused() {
        for refused in [
            "169.254.169.254",
            "169.254.0.1",
            "169.254.170.2",
            "fe80::1",
            "febf::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:168.63.129.16",
            "192.0.0.192",
        ] {
            assert!(is_refused(refused.parse().unwrap()), "{refused}");
        }
    }

    #[test]
    fn loopback_private_and_public_addresses_are_not() {
        for allowed in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "100.64.0.1",
            "fd00::1",
            "fd20::254",
            "fec0::1",
            "64:ff9b::10.0.0.1",
            "1.1.1.1",
            "2606:4700:4700::1111",
        ] {
            assert!(!is_refused(allowed.parse().unwrap()), "{allowed}");
        }
    }

    /// A resolver that answers each query with the next of its answers, like a name server that
    /// shows a check another address than the one that is then connected to.
    #[derive(Clone)]
    struct Rebinding(Vec<&'static [&'static str]>);

    impl Service<Name> for Rebinding {
        type Response = Addresses;
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<Addresses, std::io::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            let addresses = self.0.remove(0).iter();
            let addresses: Vec<_> = addresses
                .map(|ip| SocketAddr::new(ip.parse().unwrap(), 80))
                .collect();
            std::future::ready(Ok(addresses.into_iter()))
        }
    }

    #[tokio::test]
    async fn each_answer_of_a_name_server_is_looked_at() {
        let answers: Vec<&[&str]> = vec![
            &["10.0.0.1"],
            &["169.254.169.254"],
            &["169.254.169.254", "10.0.0.1", "fe80::1"],
            &[],
        ];
        let ask = |refuses| {
            let answers = answers.clone();
            async move {
                let mut resolver = Resolver {
                    inner: Rebinding(answers.clone()),
                    refuses,
                };
                let mut told = Vec::new();
                for _ in answers {
                    let name = Name::from_str("origin.internal").unwrap();
                    let found = resolver.call(name).await;
                    told.push(found.map(|found| found.map(|it| it.ip().to_string()).collect()));
                }
                told.into_iter()
                    .map(|it: Result<Vec<_>, _>| it.map_err(|error| error.to_string()))
                    .collect::<Vec<_>>()
            }
        };
        let told = ask(true).await;
        assert_eq!(told[0], Ok(vec!["10.0.0.1".to_owned()]));
        let error = told[1].as_ref().unwrap_err();
        assert!(error.contains("169.254.169.254") && error.contains("refused"));
        assert_eq!(told[2], Ok(vec!["10.0.0.1".to_owned()]));
        assert_eq!(told[3], Ok(vec![]));
        for (told, answer) in ask(false).await.iter().zip(&answers) {
            assert_eq!(told.as_ref().unwrap(), answer);
        }
    }

    #[test]
    fn a_host_that_is_an_address_is_looked_at_as_it_is() {
        for refused in ["169.254.169.254", "[fe80::1]", "[::ffff:a9fe:a9fe]"] {
            assert!(check_host(refused).is_err(), "{refused}");
        }
        for allowed in ["127.0.0.1", "[::1]", "origin.internal", "fe80"] {
            assert!(check_host(allowed).is_ok(), "{allowed}");
        }
    }
}
