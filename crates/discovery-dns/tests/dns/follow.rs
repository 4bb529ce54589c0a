//! A ring that follows a name.

use std::sync::Arc;

use gaggle_discovery_dns::DnsDiscovery;
use gaggle_group::{Group, Peer, Router as _, async_trait};
use gaggle_peers::{Discovery, DiscoveryError, Listed, Options, Peers, Profile};
use gaggle_testkit::{CountingOrigin, Network};
use hickory_resolver::proto::op::ResponseCode;
use tokio::sync::Notify;

use crate::server::{Answer, Server};
use crate::{NAME, addresses, options};

const ME: &str = "http://10.0.0.1:8001";

/// Asks the name server when the test says so, and notifies the test when the ring has the answer:
/// `follow` waits for `changed` only when it has applied the last list.
struct Stepped {
    dns: DnsDiscovery,
    go: Notify,
    done: Notify,
}

#[async_trait]
impl Discovery for Stepped {
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError> {
        self.dns.members().await
    }

    async fn changed(&self) {
        self.done.notify_one();
        self.go.notified().await;
    }
}

impl Stepped {
    async fn step(&self) {
        self.go.notify_one();
        self.done.notified().await;
    }
}

fn names(peers: &Peers) -> Vec<String> {
    peers
        .peers()
        .iter()
        .map(|peer| format!("http://{}", peer.name()))
        .collect()
}

#[tokio::test]
async fn the_ring_follows_the_name_and_a_failure_changes_nothing() {
    let server = Server::start().await;
    let network = Network::default();
    let origin = CountingOrigin::default();
    for n in 2..=3 {
        let group = Group::builder("things").origin(origin.clone());
        network.attach(&format!("http://10.0.0.{n}:8001"), group.build().unwrap());
    }
    let wires = network.clone();
    let connect = move |_: &str, to: &str| Ok(Arc::new(wires.peer(ME, to)) as Arc<dyn Peer>);
    let peers = Peers::new(ME, Profile::Gaggle, Options::default(), connect).unwrap();
    let group = Group::builder("things")
        .origin(origin.clone())
        .router(Arc::new(peers.clone()))
        .build()
        .unwrap();
    let discovery = Stepped {
        dns: DnsDiscovery::new(options(&server)).unwrap(),
        go: Notify::new(),
        done: Notify::new(),
    };

    let test = async {
        discovery.done.notified().await;
        assert!(names(&peers).is_empty(), "no such name yet: alone");

        server.set(NAME, addresses(&["10.0.0.1", "10.0.0.2"]));
        discovery.step().await;
        assert_eq!(names(&peers), ["http://10.0.0.2:8001"]);

        let three = ["http://10.0.0.2:8001", "http://10.0.0.3:8001"];
        server.set(NAME, addresses(&["10.0.0.3", "10.0.0.1", "10.0.0.2"]));
        discovery.step().await;
        assert_eq!(names(&peers), three);
        for n in 0..50 {
            let key = format!("key-{n}");
            assert_eq!(
                group.get(key.as_str()).await.unwrap(),
                CountingOrigin::value_of(key.as_bytes())
            );
        }
        assert_eq!(origin.total_loads(), 50, "one load a key in three nodes");

        for failure in [
            Answer::Code(ResponseCode::NXDomain),
            Answer::Code(ResponseCode::ServFail),
            Answer::Code(ResponseCode::Refused),
            addresses(&[]),
            addresses(&["0.0.0.0"]),
        ] {
            server.set(NAME, failure);
            discovery.step().await;
            assert_eq!(names(&peers), three, "the last good list");
        }

        for partial in [&["10.0.0.1", "10.0.0.3"][..], &["10.0.0.2"], &["10.0.0.1"]] {
            server.set(NAME, addresses(partial));
            discovery.step().await;
            assert_eq!(
                names(&peers),
                three,
                "those that it lacks for a moment are up"
            );
        }

        network.detach(three[0]);
        server.set(NAME, addresses(&["10.0.0.1", "10.0.0.3"]));
        discovery.step().await;
        // It is pinged because it is not listed, and the list is requested again once it is known
        // to be down.
        let gone = async {
            while names(&peers) != [three[1]] {
                discovery.done.notified().await;
            }
        };
        let within = std::time::Duration::from_secs(10);
        tokio::time::timeout(within, gone).await.unwrap();
    };
    tokio::select! {
        () = peers.follow(&discovery) => panic!("follow ends"),
        () = test => {}
    }
}
