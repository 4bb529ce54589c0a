//! A name service as a list of members, against a name server on loopback.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod follow;
mod server;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gaggle_discovery_dns::{DnsDiscovery, DnsOptions, Family, LookupError, MAX_ADDRESSES};
use gaggle_peers::{Discovery as _, DiscoveryError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use server::{Answer, Over, Server};
use tokio::time::Instant;

const NAME: &str = "node";

pub fn addresses(list: &[&str]) -> Answer {
    Answer::Addresses(list.iter().map(|text| text.parse().unwrap()).collect())
}

fn many(count: usize) -> Vec<IpAddr> {
    (0..u32::try_from(count).unwrap())
        .map(|n| Ipv4Addr::from(0x0a00_0001 + n).into())
        .collect()
}

pub fn options(server: &Server) -> DnsOptions {
    DnsOptions {
        name: NAME.into(),
        nameserver: Some(server.addr),
        // Long enough for a busy machine; no test waits for it.
        timeout: Duration::from_secs(60),
        ..DnsOptions::default()
    }
}

fn discovery(server: &Server) -> DnsDiscovery {
    DnsDiscovery::new(options(server)).unwrap()
}

fn of_family(server: &Server, family: Family) -> DnsDiscovery {
    DnsDiscovery::new(DnsOptions {
        family,
        ..options(server)
    })
    .unwrap()
}

fn reason(failure: &DiscoveryError) -> &LookupError {
    assert_eq!(failure.what, "DNS name \"node\"");
    failure.source.downcast_ref().unwrap()
}

async fn list_of(discovery: &DnsDiscovery) -> Vec<String> {
    let members = discovery.members().await.unwrap();
    members.into_iter().map(|member| member.address).collect()
}

#[tokio::test]
async fn every_address_is_a_member_once_and_in_order() {
    let server = Server::start().await;
    server.set(NAME, addresses(&["10.0.0.10", "10.0.0.9", "10.0.0.10"]));
    let members = list_of(&discovery(&server)).await;
    assert_eq!(members, ["http://10.0.0.9:8001", "http://10.0.0.10:8001"]);
}

#[tokio::test]
async fn a_long_ttl_does_not_hide_who_came_and_went() {
    let server = Server::start().await;
    let discovery = discovery(&server);
    for list in [
        ["10.0.0.1", "10.0.0.2"].as_slice(),
        &["10.0.0.1", "10.0.0.2", "10.0.0.3"],
        &["10.0.0.3"],
    ] {
        server.set(NAME, addresses(list));
        let members = list_of(&discovery).await;
        let expected: Vec<String> = list.iter().map(|ip| format!("http://{ip}:8001")).collect();
        assert_eq!(members, expected);
    }
    // Neither does a recent absence.
    server.set(NAME, Answer::Code(ResponseCode::NXDomain));
    discovery.members().await.unwrap_err();
    server.set(NAME, addresses(&["10.0.0.4"]));
    assert_eq!(list_of(&discovery).await, ["http://10.0.0.4:8001"]);
}

#[tokio::test]
async fn no_such_name_and_no_addresses_are_errors_and_no_empty_list() {
    let server = Server::start().await;
    let discovery = discovery(&server);
    let unknown = discovery.members().await.unwrap_err();
    assert!(
        matches!(reason(&unknown), LookupError::NoSuchName),
        "{unknown}"
    );
    assert_eq!(
        unknown.to_string(),
        "DNS name \"node\": there is no such name"
    );
    server.set(NAME, addresses(&[]));
    let empty = discovery.members().await.unwrap_err();
    assert!(
        matches!(reason(&empty), LookupError::NoAddresses),
        "{empty}"
    );
}

#[tokio::test]
async fn a_name_server_that_fails_is_asked_twice_and_is_an_error() {
    let server = Server::start().await;
    server.set(NAME, Answer::Code(ResponseCode::ServFail));
    let failure = discovery(&server).members().await.unwrap_err();
    assert!(
        matches!(reason(&failure), LookupError::Server(_)),
        "{failure}"
    );
    assert_eq!(
        server.asked(),
        [(RecordType::A, Over::Udp); 2],
        "and IPv6 is not tried instead"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_ends_with_the_timeout() {
    let server = Server::start().await;
    server.set(NAME, Answer::Silence);
    let after = Duration::from_secs(2);
    let discovery = DnsDiscovery::new(DnsOptions {
        timeout: after,
        ..options(&server)
    })
    .unwrap();
    let begin = Instant::now();
    let failure = discovery.members().await.unwrap_err();
    assert!(
        matches!(reason(&failure), LookupError::Timeout(told) if *told == after),
        "{failure}"
    );
    // The test has a paused clock: it moves to the next timer when no task can run.
    assert!(begin.elapsed() <= after + Duration::from_millis(10));
}

#[tokio::test]
async fn ipv6_addresses_are_members_in_brackets() {
    let server = Server::start().await;
    server.set(NAME, addresses(&["fd00::2", "fd00::1"]));
    let urls = ["http://[fd00::1]:8001", "http://[fd00::2]:8001"];
    for family in [Family::Ipv6, Family::Ipv4First] {
        let members = list_of(&of_family(&server, family)).await;
        assert_eq!(members, urls, "{family:?}");
    }
    of_family(&server, Family::Ipv4)
        .members()
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_node_with_both_addresses_is_one_member() {
    let server = Server::start().await;
    server.set(NAME, addresses(&["fd00::1", "10.0.0.1"]));
    for (family, url) in [
        (Family::Ipv4First, "http://10.0.0.1:8001"),
        (Family::Ipv4, "http://10.0.0.1:8001"),
        (Family::Ipv6, "http://[fd00::1]:8001"),
    ] {
        let members = list_of(&of_family(&server, family)).await;
        assert_eq!(members, [url], "{family:?}");
    }
}

#[tokio::test]
async fn members_do_not_turn_into_their_ipv6_names_when_ipv4_goes_astray() {
    let server = Server::start().await;
    server.set(NAME, addresses(&["fd00::1", "10.0.0.1"]));
    let discovery = discovery(&server);
    list_of(&discovery).await;
    server.set(
        NAME,
        Answer::Each(Box::new(addresses(&[])), Box::new(addresses(&["fd00::1"]))),
    );
    let failure = discovery.members().await.unwrap_err();
    assert!(
        matches!(reason(&failure), LookupError::NoAddresses),
        "{failure}"
    );
}

#[tokio::test]
async fn a_list_too_long_for_a_datagram_comes_over_tcp() {
    let server = Server::start().await;
    server.set(NAME, Answer::Addresses(many(MAX_ADDRESSES)));
    let members = list_of(&discovery(&server)).await;
    let unique: HashSet<&String> = members.iter().collect();
    assert_eq!(unique.len(), MAX_ADDRESSES);
    assert_eq!(
        server.asked(),
        [(RecordType::A, Over::Udp), (RecordType::A, Over::Tcp)]
    );
}

#[tokio::test]
async fn more_addresses_than_may_be_are_refused() {
    let server = Server::start().await;
    server.set(NAME, Answer::Addresses(many(MAX_ADDRESSES + 1)));
    let failure = discovery(&server).members().await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "DNS name \"node\": 1025 addresses; at most 1024 are taken"
    );
}

#[tokio::test]
async fn an_address_that_means_this_host_to_every_host_is_refused() {
    let server = Server::start().await;
    for address in ["0.0.0.0", "224.0.0.1", "255.255.255.255"] {
        server.set(NAME, addresses(&["10.0.0.1", address]));
        let failure = discovery(&server).members().await.unwrap_err();
        assert!(
            matches!(reason(&failure), LookupError::NotANode(told) if told.to_string() == address),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn names_under_local_are_asked_for() {
    let server = Server::start().await;
    let name = "gaggle-peers.default.svc.cluster.local";
    server.set(name, addresses(&["10.0.0.1"]));
    let discovery = DnsDiscovery::new(DnsOptions {
        name: name.into(),
        port: 9,
        ..options(&server)
    })
    .unwrap();
    assert_eq!(list_of(&discovery).await, ["http://10.0.0.1:9"]);
}

#[tokio::test]
async fn a_host_finds_its_own_address_in_the_list() {
    let server = Server::start().await;
    let discovery = discovery(&server);
    server.set(
        NAME,
        addresses(&["203.0.113.1", "127.0.0.1", "203.0.113.2"]),
    );
    let own = discovery.own_address().await.unwrap();
    assert!(own.listed);
    assert_eq!(discovery.url_of(own.ip), "http://127.0.0.1:8001");
    let members = list_of(&discovery).await;
    assert!(members.contains(&discovery.url_of(own.ip)));
}

#[tokio::test]
async fn a_host_that_is_not_listed_never_calls_itself_loopback() {
    let server = Server::start().await;
    let discovery = discovery(&server);
    // The only name server is on loopback, like Docker's, and there is no member to find a route
    // to.
    let failure = discovery.own_address().await.unwrap_err();
    assert!(
        matches!(reason(&failure), LookupError::NoSuchName),
        "{failure}"
    );
    // A machine may have a route to this one or not.
    server.set(NAME, addresses(&["203.0.113.1"]));
    match discovery.own_address().await {
        Ok(own) => assert!(!own.listed && !own.ip.is_loopback(), "{own:?}"),
        Err(failure) => {
            let reason = reason(&failure);
            assert!(
                matches!(reason, LookupError::NoRoute { count: 1 }),
                "{reason}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_do_not_ask_in_step() {
    let every = Duration::from_secs(5);
    let discovery = DnsDiscovery::new(DnsOptions {
        name: NAME.into(),
        nameserver: Some("127.0.0.1:53".parse().unwrap()),
        every,
        ..DnsOptions::default()
    })
    .unwrap();
    let mut waits = HashSet::new();
    for _ in 0..100 {
        let begin = Instant::now();
        discovery.changed().await;
        let waited = begin.elapsed();
        // The paused clock has a resolution of milliseconds.
        assert!(waited >= every.mul_f64(0.9), "{waited:?}");
        assert!(
            waited <= every.mul_f64(1.1) + Duration::from_millis(2),
            "{waited:?}"
        );
        waits.insert(waited);
    }
    assert!(waits.len() > 20, "{} different ones of 100", waits.len());
}
