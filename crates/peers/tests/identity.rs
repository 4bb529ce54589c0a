//! Identity: one node under several addresses, names that stay, nodes of other clusters.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle_group::{
    Entry, Fetch, Fetched, Greeting, Hello, Notice, Peer, PeerError, Router, Word, async_trait,
};
use gaggle_peers::{
    Discovery, DiscoveryError, Listed, Options, Peers, Profile, Settled, StaticList,
};

const SECOND: Duration = Duration::from_secs(1);

/// The program that answers at each address: a node, or something else.
#[derive(Clone, Default)]
struct Net {
    there: Arc<Mutex<BTreeMap<String, Answers>>>,
}

#[derive(Clone)]
enum Answers {
    As(Peers),
    /// A balancer: each greeting goes to the next node.
    InTurn(Vec<Peers>, Arc<AtomicUsize>),
    Nameless,
    Stranger,
}

impl Net {
    fn put(&self, address: &str, answers: Answers) {
        self.there
            .lock()
            .unwrap()
            .insert(address.to_owned(), answers);
    }

    fn take(&self, address: &str) {
        self.there.lock().unwrap().remove(address);
    }

    /// A node that answers at those addresses, and calls itself by the first.
    fn node(&self, me: &str, at: &[&str], options: Options) -> Peers {
        self.node_of(Profile::Gaggle, me, at, options)
    }

    fn node_of(&self, profile: Profile, me: &str, at: &[&str], options: Options) -> Peers {
        let net = self.clone();
        let connect = move |name: &str, address: &str| {
            Ok(Arc::new(Wire {
                net: net.clone(),
                name: name.to_owned(),
                address: address.to_owned(),
            }) as Arc<dyn Peer>)
        };
        let peers = Peers::new(me, profile, options, connect).unwrap();
        for address in at {
            self.put(address, Answers::As(peers.clone()));
        }
        peers
    }
}

struct Wire {
    net: Net,
    name: String,
    address: String,
}

impl Wire {
    fn there(&self) -> Result<Answers, PeerError> {
        let there = self.net.there.lock().unwrap().get(&self.address).cloned();
        there.ok_or_else(|| PeerError::Unavailable {
            peer: self.name.as_str().into(),
            reason: "connection refused".into(),
        })
    }
}

#[async_trait]
impl Peer for Wire {
    fn name(&self) -> &str {
        &self.name
    }

    async fn fetch(&self, _: Fetch<'_>) -> Result<Fetched, PeerError> {
        self.there().map(|_| Entry::absent().into())
    }

    async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
        self.there().map(drop)
    }

    async fn leaving(&self, word: &Word) -> Result<(), PeerError> {
        if let Answers::As(node) = self.there()? {
            node.leaves(word);
        }
        Ok(())
    }

    async fn hello(&self, from: &Hello) -> Result<Greeting, PeerError> {
        Ok(match self.there()? {
            Answers::As(node) => {
                node.greeted(from);
                Greeting::Node(node.hello())
            }
            Answers::InTurn(nodes, turn) => {
                let node = &nodes[turn.fetch_add(1, Relaxed) % nodes.len()];
                Greeting::Node(node.hello())
            }
            Answers::Nameless => Greeting::Nameless,
            Answers::Stranger => Greeting::Stranger("404 Not Found".into()),
        })
    }

    async fn ping(&self) -> Result<(), PeerError> {
        self.there().map(drop)
    }
}

fn names(peers: &Peers) -> Vec<String> {
    let members = peers.members();
    members
        .iter()
        .map(|member| member.name.to_string())
        .collect()
}

async fn settled(peers: &Peers, list: &[&str]) -> Settled {
    let list = StaticList(list.iter().map(|&address| address.into()).collect());
    peers.settle(Some(&list), 10 * SECOND).await
}

#[tokio::test(start_paused = true)]
async fn one_node_spelled_in_four_ways_is_one_member() {
    let net = Net::default();
    let a = [
        "http://10.0.0.1:80",
        "http://10.0.0.1",
        "http://localhost:80",
        "http://node-a",
    ];
    let b = [
        "http://10.0.0.2:8001",
        "http://node-b:8001",
        "HTTP://NODE-B:8001",
    ];
    let first = net.node(a[0], &a, Options::default());
    let second = net.node(b[0], &b, Options::default());
    first.update([a[1], b[1]]).unwrap();
    second.update([a[3], a[2], b[2], b[1]]).unwrap();
    for (peers, list) in [
        (&first, &[a[1], b[1]][..]),
        (&second, &[a[3], a[2], b[2], b[1]]),
    ] {
        assert_eq!(settled(peers, list).await, Settled::Yes);
        assert_eq!(names(peers), ["10.0.0.1:80", "10.0.0.2:8001"]);
        assert_eq!(peers.peers().len(), 1);
    }
    assert_eq!(first.digest(), second.digest());
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_name_finds_itself_by_asking() {
    let net = Net::default();
    let list = ["http://node-a:8001", "http://node-b:8001"];
    let first = net.node("", &list[..1], Options::default());
    let second = net.node("", &list[1..], Options::default());
    assert!(first.members().is_empty() && first.me().is_empty());
    for peers in [&first, &second] {
        peers.update(list).unwrap();
    }
    for (peers, me) in [(&first, "node-a:8001"), (&second, "node-b:8001")] {
        assert_eq!(settled(peers, &list).await, Settled::Yes);
        assert_eq!(*peers.me(), *me);
        assert_eq!(
            peers
                .members()
                .iter()
                .filter(|member| member.is_self)
                .count(),
            1
        );
    }
    // Each may have met the other before it knew its name.
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(names(&first), ["node-a:8001", "node-b:8001"]);
    assert_eq!(first.digest(), second.digest());
    let nowhere = net.node("", &[], Options::default());
    nowhere.update(list).unwrap();
    assert_eq!(settled(&nowhere, &list).await, Settled::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_elsewhere_keeps_its_keys() {
    let net = Net::default();
    let named = |name: &str| Options {
        name: Some(name.into()),
        ..Options::default()
    };
    let me = net.node("http://10.0.0.1:8001", &[], named("pod-0"));
    let earlier = net.node(
        "http://10.0.0.2:8001",
        &["http://10.0.0.2:8001"],
        named("pod-1"),
    );
    me.update(["http://10.0.0.2:8001"]).unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(names(&me), ["pod-0", "pod-1"]);
    let digest = me.digest();
    net.take("http://10.0.0.2:8001");
    let again = loop {
        let again = net.node(
            "http://10.0.0.9:8001",
            &["http://10.0.0.9:8001"],
            named("pod-1"),
        );
        // By the wall clock, which runs while the test's clock stands still.
        if again.instance().started > earlier.instance().started {
            break again;
        }
    };
    // The old address is still listed.
    me.update(["http://10.0.0.2:8001", "http://10.0.0.9:8001"])
        .unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(me.digest(), digest);
    let member = me
        .members()
        .into_iter()
        .find(|member| *member.name == *"pod-1");
    assert_eq!(*member.unwrap().address, *"http://10.0.0.9:8001");
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn https_in_place_of_http_moves_no_key() {
    let net = Net::default();
    let me = net.node("http://10.0.0.1:8001", &[], Options::default());
    let both = ["http://10.0.0.2:8001", "https://10.0.0.2:8001"];
    let _other = net.node(both[1], &both, Options::default());
    me.update([both[0]]).unwrap();
    tokio::time::sleep(SECOND).await;
    let digest = me.digest();
    for list in [&both[..], &both[1..]] {
        me.update(list.iter().copied()).unwrap();
        assert_eq!(me.digest(), digest);
        tokio::time::sleep(SECOND).await;
        assert_eq!(me.digest(), digest);
    }
    assert_eq!(me.peers().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nodes_of_other_clusters_and_strangers_own_nothing() {
    let net = Net::default();
    let of = |cluster: &str| Options {
        cluster: cluster.into(),
        ..Options::default()
    };
    let me = net.node("http://10.0.0.1:8001", &[], of("ours"));
    let _theirs = net.node(
        "http://10.0.0.2:8001",
        &["http://10.0.0.2:8001"],
        of("theirs"),
    );
    net.put("http://10.0.0.3:8001", Answers::Stranger);
    net.put("http://10.0.0.4:8001", Answers::Nameless);
    me.update((2..=4).map(|n| format!("http://10.0.0.{n}:8001")))
        .unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(names(&me), ["10.0.0.1:8001", "10.0.0.4:8001"]);
    let said = me.disagreements();
    let how: Vec<&str> = said.iter().map(|said| &*said.how).collect();
    assert_eq!(said.len(), 2, "{how:?}");
    assert!(
        how[0].contains("\"theirs\"") && how[0].contains("\"ours\""),
        "{how:?}"
    );
    assert!(how[1].contains("no node of Gaggle"), "{how:?}");
    // It now answers at the stranger's address.
    let _node = net.node(
        "http://10.0.0.3:8001",
        &["http://10.0.0.3:8001"],
        of("ours"),
    );
    tokio::time::sleep(5 * SECOND).await;
    assert!(names(&me).contains(&"10.0.0.3:8001".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn gateways_of_a_list_own_nothing_and_are_told_of_removals() {
    let net = Net::default();
    let me = net.node("http://10.0.0.1:8001", &[], Options::default());
    let gateway = Options {
        member: false,
        ..Options::default()
    };
    let _gateway = net.node("http://10.0.0.2:8001", &["http://10.0.0.2:8001"], gateway);
    me.update(["http://10.0.0.2:8001"]).unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(names(&me), ["10.0.0.1:8001"]);
    // For as long as it is listed, whether or not it asks for them.
    tokio::time::sleep(600 * SECOND).await;
    assert_eq!(me.listeners().len(), 1);
    let listed = Listed::new("http://10.0.0.7:8001").named("x").member(false);
    me.update([listed]).unwrap();
    assert_eq!(names(&me), ["10.0.0.1:8001"]);
    assert!(me.listeners().iter().any(|peer| peer.name() == "x"));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_disagree_say_so_after_a_while_and_stop_when_they_agree() {
    let net = Net::default();
    let address = |n: usize| format!("http://10.0.0.{n}:8001");
    let with = |groups: &[&str]| Options {
        groups: groups.iter().map(|&group| group.into()).collect(),
        ..Options::default()
    };
    let one = net.node(&address(1), &[&address(1)], with(&["scores"]));
    let two = net.node(&address(2), &[&address(2)], with(&["scores", "names"]));
    one.update([address(2)]).unwrap();
    two.update([address(1), address(3)]).unwrap();
    tokio::time::sleep(3 * SECOND).await;
    assert!(one.disagreements().is_empty(), "changes take their time");
    tokio::time::sleep(7 * SECOND).await;
    let said = one.disagreements();
    assert_eq!(said.len(), 1);
    assert_eq!(*said[0].node, *"10.0.0.2:8001");
    assert!(said[0].how.contains("3 members there"), "{}", said[0].how);
    assert!(said[0].how.contains("of 2 here"), "{}", said[0].how);
    assert!(said[0].how.contains("groups"), "{}", said[0].how);
    assert_eq!(two.disagreements().len(), 1);

    let agrees = net.node(&address(2), &[&address(2)], with(&["scores"]));
    agrees.update([address(1)]).unwrap();
    tokio::time::sleep(5 * SECOND).await;
    assert!(one.disagreements().is_empty());
}

#[tokio::test(start_paused = true)]
async fn announcements_that_arrive_late_have_no_effect() {
    let net = Net::default();
    let me = net.node("http://10.0.0.1:8001", &[], Options::default());
    let other = net.node(
        "http://10.0.0.2:8001",
        &["http://10.0.0.2:8001"],
        Options::default(),
    );
    me.update(["http://10.0.0.2:8001"]).unwrap();
    tokio::time::sleep(SECOND).await;
    let word = |number: u64, gone_within: Option<Duration>| {
        Word::new("10.0.0.2:8001", gone_within).of(other.instance(), number)
    };
    me.leaves(&word(2, Some(60 * SECOND)));
    me.leaves(&word(1, None));
    assert_eq!(names(&me), ["10.0.0.1:8001"], "it was there before it left");
    me.leaves(&word(3, None));
    me.leaves(&word(2, Some(60 * SECOND)));
    assert_eq!(names(&me).len(), 2);
    let mut earlier = other.instance();
    (earlier.id, earlier.started) = (earlier.id ^ 1, earlier.started - 1);
    me.leaves(&Word::new("10.0.0.2:8001", Some(60 * SECOND)).of(earlier, 9));
    assert_eq!(names(&me).len(), 2, "of an earlier run");
}

#[tokio::test(start_paused = true)]
async fn two_nodes_of_one_name_do_not_share_it() {
    let net = Net::default();
    let named = || Options {
        name: Some("pod-0".into()),
        ..Options::default()
    };
    let me = net.node("http://10.0.0.1:8001", &[], named());
    let _other = net.node("http://10.0.0.2:8001", &["http://10.0.0.2:8001"], named());
    me.update(["http://10.0.0.2:8001"]).unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(names(&me), ["pod-0"]);
    assert!(me.members()[0].is_self);
}

#[tokio::test(start_paused = true)]
async fn one_address_of_several_nodes_is_one_member_and_reported_as_ambiguous() {
    let net = Net::default();
    let gateway = Options {
        member: false,
        ..Options::default()
    };
    let gateway = net.node("http://10.0.0.9:8001", &[], gateway);
    let vip = "http://gaggle:8001";
    let nodes =
        [1, 2].map(|n| net.node(&format!("http://10.0.0.{n}:8001"), &[], Options::default()));
    net.put(vip, Answers::InTurn(nodes.to_vec(), Arc::default()));
    gateway.update([vip]).unwrap();
    let mut rings = BTreeSet::new();
    for second in 0..60 {
        tokio::time::sleep(SECOND).await;
        rings.insert(gateway.digest());
        if second >= 20 {
            // It is reported, whichever of them answered last.
            let said = gateway.disagreements();
            assert_eq!(said.len(), 1, "after {second} s: {said:?}");
            assert!(said[0].how.contains("several nodes"), "{said:?}");
        }
    }
    assert!(rings.len() <= 2, "{} rings", rings.len());
    assert_eq!(gateway.members().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn announcements_of_an_earlier_run_do_not_concern_a_node() {
    let net = Net::default();
    let me = net.node("http://10.0.0.1:8001", &[], Options::default());
    let other = net.node(
        "http://10.0.0.2:8001",
        &["http://10.0.0.2:8001"],
        Options::default(),
    );
    me.update(["http://10.0.0.2:8001"]).unwrap();
    me.leaves(&Word::new("10.0.0.1:8001", Some(60 * SECOND)).of(other.instance(), 1));
    assert_eq!(names(&me).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_addresses_the_one_that_answers_is_used() {
    let net = Net::default();
    let me = net.node("http://10.0.0.1:8001", &[], Options::default());
    let both = ["http://10.0.0.2:8001", "http://node-2:8001"];
    let _other = net.node(both[0], &both, Options::default());
    me.update(both).unwrap();
    tokio::time::sleep(5 * SECOND).await;
    for (gone, there) in [(both[0], both[1]), (both[1], both[0])] {
        net.take(gone);
        tokio::time::sleep(5 * SECOND).await;
        let members = me.members();
        let member = members.iter().find(|member| !member.is_self).unwrap();
        assert_eq!((&*member.name, &*member.address), ("10.0.0.2:8001", there));
        assert!(member.up);
        net.put(gone, Answers::As(_other.clone()));
        tokio::time::sleep(15 * SECOND).await;
    }
}

/// A source that answers late, and with more and more.
struct Late {
    answers: Mutex<Vec<usize>>,
}

#[async_trait]
impl Discovery for Late {
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError> {
        let size = match &mut *self.answers.lock().unwrap() {
            answers if answers.len() > 1 => answers.remove(0),
            answers => answers[0],
        };
        if size == 0 {
            return Err(DiscoveryError {
                what: "a test".into(),
                source: Arc::new(std::io::Error::other("not yet")),
            });
        }
        Ok((1..=size)
            .map(|n| Listed::new(format!("http://10.0.0.{n}:8001")))
            .collect())
    }

    async fn changed(&self) {
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_membership_has_not_settled_before_there_is_a_list_nor_while_it_grows() {
    let net = Net::default();
    let me = net.node("http://10.0.0.1:8001", &[], Options::default());
    let _others: Vec<Peers> = (2..=9)
        .map(|n| format!("http://10.0.0.{n}:8001"))
        .map(|address| net.node(&address, &[&address], Options::default()))
        .collect();
    let late = Arc::new(Late {
        answers: Mutex::new(vec![0, 0, 0, 0, 2, 3, 4, 5, 6, 7, 8, 9]),
    });
    let (peers, source) = (me.clone(), Arc::clone(&late));
    tokio::spawn(async move { peers.follow(&*source).await });
    assert_eq!(me.settle(Some(&*late), 60 * SECOND).await, Settled::Yes);
    assert_eq!(me.members().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_name_in_the_list_means_nothing_in_groupcaches_ring() {
    let net = Net::default();
    let wires = net.clone();
    let connect = move |name: &str, address: &str| {
        Ok(Arc::new(Wire {
            net: wires.clone(),
            name: name.to_owned(),
            address: address.to_owned(),
        }) as Arc<dyn Peer>)
    };
    let me = "http://10.0.0.1:8001";
    let peers = Peers::new(me, Profile::GROUPCACHE, Options::default(), connect).unwrap();
    peers
        .update([Listed::new("http://10.0.0.2:8001").named("pod-2")])
        .unwrap();
    assert_eq!(names(&peers), ["http://10.0.0.2:8001", me]);
}

#[tokio::test(start_paused = true)]
async fn one_node_leads_and_in_groupcaches_ring_one_of_ours() {
    let list = ["http://a:1", "http://b:1", "http://c:1"];
    for (profile, ours) in [(Profile::Gaggle, 3), (Profile::GROUPCACHE, 2)] {
        let net = Net::default();
        let nodes: Vec<Peers> = list[..ours]
            .iter()
            .map(|me| net.node_of(profile, me, &[me], Options::default()))
            .collect();
        for address in &list[ours..] {
            net.put(address, Answers::Nameless);
        }
        for node in &nodes {
            node.update(list).unwrap();
            settled(node, &list).await;
        }
        let leads = |what: &str| {
            nodes
                .iter()
                .filter(|node| node.leads(what.as_bytes()))
                .count()
        };
        let names: Vec<String> = (0..200).map(|n| format!("follow:{n}")).collect();
        // By then each has greeted all others.
        tokio::time::sleep(5 * SECOND).await;
        let counts: Vec<usize> = names.iter().map(|name| leads(name)).collect();
        assert_eq!(counts, [1; 200], "{profile:?}");
        let first = names
            .iter()
            .filter(|name| nodes[0].leads(name.as_bytes()))
            .count();
        assert!((30..170).contains(&first), "{profile:?}: {first} of 200");
    }
}
