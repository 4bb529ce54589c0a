//! A cluster that changes what it asks for, while programs go on asking it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::cluster::free_ports;
use crate::support::config::{Lines, peers};
use crate::support::origin::value_of;
use crate::support::tls::{Files, client, replace};
use crate::support::{Ca, Caller, Node, Origin, Steady, busy, until};

const OLD: &str = "the-old-token-of-the-cluster";
const NEW: &str = "the-new-token-of-the-cluster";

/// Programs ask for these again and again.
const KEYS: usize = 400;

/// The front doors that a load balancer knows to be ready, and how they are asked.
#[derive(Clone, Default)]
struct Doors(Arc<Mutex<Vec<Option<Door>>>>);

type Door = (SocketAddr, Caller);

impl Doors {
    fn open(&self, n: usize, api: SocketAddr, caller: &Caller) {
        let mut doors = self.0.lock().unwrap();
        if doors.len() <= n {
            doors.resize(n + 1, None);
        }
        doors[n] = Some((api, caller.clone()));
    }

    fn close(&self, n: usize) {
        self.0.lock().unwrap()[n] = None;
    }

    fn pick(&self, n: usize) -> Door {
        let doors = self.0.lock().unwrap();
        let ready: Vec<_> = doors.iter().flatten().collect();
        ready[n % ready.len()].clone()
    }

    /// Two programs that ask these doors in turn.
    fn load(&self) -> Steady {
        let doors = self.clone();
        Steady::start(2, move |n| {
            let (api, caller) = doors.pick(n);
            async move {
                let key = format!("key-{}", n % KEYS);
                let answer = caller.get(api, &format!("/v1/scores/{key}")).await;
                let answer = answer.map_err(|failure| format!("{api}: {failure}"))?;
                let is_right = answer.status == 200 && answer.body == value_of(key.as_bytes());
                let wrong = || format!("{api}: {} {:?}", answer.status, answer.body);
                is_right.then_some(()).ok_or_else(wrong)
            }
        })
    }
}

/// Three nodes, and how each of them is asked.
struct Scene {
    nodes: Vec<Node>,
    ports: Vec<SocketAddr>,
    callers: Vec<Caller>,
    doors: Doors,
    origin: Origin,
    dir: PathBuf,
}

impl Scene {
    async fn start(
        dir: &Path,
        caller: &Caller,
        lines: impl Fn(usize, &[SocketAddr]) -> Lines,
    ) -> Self {
        let mut scene = Self {
            nodes: Vec::new(),
            ports: free_ports(3),
            callers: vec![caller.clone(); 3],
            doors: Doors::default(),
            origin: Origin::of_everything().await,
            dir: dir.into(),
        };
        for n in 0..3 {
            let lines = lines(n, &scene.ports);
            let node = scene.start_node(n, &lines).await;
            scene.nodes.push(node);
        }
        for n in 0..3 {
            scene.opens(n).await;
        }
        scene
    }

    async fn start_node(&self, n: usize, lines: &Lines) -> Node {
        let name = format!("node-{n}");
        lines
            .start(&self.dir, &name, self.ports[n], &self.origin)
            .await
    }

    async fn status(&self, n: usize) -> Value {
        self.callers[n].json(self.nodes[n].admin, "/status").await
    }

    async fn opens(&self, n: usize) {
        let admin = self.nodes[n].admin;
        until("a node to be ready", async || {
            self.callers[n].status(admin, "GET", "/readyz").await == 200
        })
        .await;
        self.doors.open(n, self.nodes[n].api, &self.callers[n]);
    }

    /// The one ring of all three.
    async fn ring(&self) -> Value {
        let mut hash = Value::Null;
        until("one ring of three", async || {
            let mut rings = Vec::new();
            for n in 0..3 {
                rings.push(self.status(n).await["ring"].take());
            }
            hash = rings[0]["hash"].clone();
            rings
                .iter()
                .all(|ring| ring["hash"] == hash && ring["members"].as_array().unwrap().len() == 3)
        })
        .await;
        hash
    }

    async fn owners(&self) -> Vec<Vec<String>> {
        let mut owners = Vec::new();
        for (node, caller) in self.nodes.iter().zip(&self.callers) {
            let mut of_node = Vec::new();
            for key in 0..16 {
                of_node.push(
                    caller
                        .owner(node.admin, format!("key-{key}").as_bytes())
                        .await,
                );
            }
            owners.push(of_node);
        }
        owners
    }

    /// As an update does it: the node is told to stop, the load balancer sees that, and takes it back when it is ready.
    async fn restart(&mut self, n: usize, lines: &Lines) {
        let (old, caller) = (&self.nodes[n], &self.callers[n]);
        old.process.signal("TERM");
        until("a node to say that it leaves", async || {
            caller.status(old.admin, "GET", "/readyz").await == 503
        })
        .await;
        self.doors.close(n);
        assert!(self.nodes[n].process.ended().await.success());
        self.nobody_was_refused(n);
        self.nodes[n] = self.start_node(n, lines).await;
        self.opens(n).await;
    }

    fn nobody_was_refused(&self, n: usize) {
        let log = &self.nodes[n].process;
        for refusal in [
            "a request was refused",
            "a TLS handshake failed",
            "refuses this node",
        ] {
            assert_eq!(log.lines_with(refusal), 0, "node {n}: {refusal}");
        }
    }

    /// What the nodes have asked of each other, by how it ended.
    async fn peer_requests(&self, how: &str) -> u64 {
        let mut sum = 0;
        for n in 0..3 {
            let status = self.status(n).await;
            let peers = status["ring"]["peers"].as_array().unwrap().iter();
            sum += peers
                .map(|peer| peer["requests"][how].as_u64().unwrap())
                .sum::<u64>();
        }
        sum
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_http_to_https_no_request_fails_and_no_key_moves() {
    let _busy = busy().await;
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new("cluster");
    let of_all = ca.issue(&["gaggle.internal"]);
    let step = |tls: Option<(&Files, bool)>, scheme: &str, n: usize, ports: &[SocketAddr]| {
        let urls: Vec<_> = ports
            .iter()
            .map(|port| format!("{scheme}://{port}"))
            .collect();
        let tls = tls.map_or_else(String::new, |(files, accept_plain)| {
            let table = files.table();
            format!("{table}peer-name = \"gaggle.internal\"\naccept-plain = {accept_plain}\n")
        });
        Lines {
            node: format!("advertise = {:?}\ndrain-delay = \"700ms\"\n", urls[n]),
            // Each node is restarted within seconds three times.
            cluster: format!("damping = \"500ms\"\n{}", peers(&urls)),
            tables: format!("[security]\ntoken = {OLD:?}\n{tls}"),
            ..Lines::default()
        }
    };
    let plain = Caller::plain().token(OLD);
    let mut scene = Scene::start(dir.path(), &plain, |n, ports| step(None, "http", n, ports)).await;
    let ports = scene.ports.clone();
    let ip = ports[0].ip().to_string();
    let files: Vec<_> = (0..3)
        .map(|n| {
            Files::new(
                dir.path(),
                &format!("tls-{n}"),
                &ca.issue(&["gaggle.internal", &ip]),
                &[&ca],
            )
        })
        .collect();
    let https = Caller::over_tls(client(&[&ca], Some(&of_all))).token(OLD);
    let (ring, owners) = (scene.ring().await, scene.owners().await);
    let load = scene.doors.load();
    load.more(KEYS).await;
    for (number, accept_plain, scheme) in
        [(1, true, "http"), (2, true, "https"), (3, false, "https")]
    {
        if number == 2 {
            // All nodes take both: programs change over.
            for n in 0..3 {
                scene.callers[n] = https.clone();
                scene.doors.open(n, scene.nodes[n].api, &https);
            }
            load.more(50).await;
        }
        for n in 0..3 {
            let lines = step(Some((&files[n], accept_plain)), scheme, n, &ports);
            scene.restart(n, &lines).await;
            assert_eq!(scene.ring().await, ring, "step {number}, node {n}");
            let status = scene.status(n).await;
            assert_eq!(status["address"], format!("{scheme}://{}", ports[n]));
            load.more(50).await;
        }
    }
    let asked = load.end_without_a_failure().await;
    assert_eq!(scene.owners().await, owners);
    for n in 0..3 {
        scene.nobody_was_refused(n);
        let node = &scene.nodes[n];
        assert_eq!(
            plain
                .status(node.peer, "GET", "/_groupcache/scores/key-1")
                .await,
            400
        );
        let without = Caller::over_tls(client(&[&ca], None)).token(OLD);
        assert_eq!(without.status(node.admin, "GET", "/status").await, 403);
    }
    assert!(scene.peer_requests("ok").await > 0);
    assert!(asked > KEYS, "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_rotated_by_its_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..3)
        .map(|n| dir.path().join(format!("token-{n}")))
        .collect();
    for file in &files {
        std::fs::write(file, OLD).unwrap();
    }
    // Gossip is signed with the same tokens.
    let udp = free_ports(3);
    let lines = |n: usize, _: &[SocketAddr]| Lines {
        // Every get of another node's key is asked of it.
        group: "hot-copies = \"off\"".into(),
        cluster: format!(
            "quiet = \"500ms\"\n[cluster.discovery]\nkind = \"gossip\"\nlisten = \"{}\"\nseeds = [\"{}\"]\n\
             interval = \"100ms\"\ndead-after = \"2s\"\n",
            udp[n], udp[0]
        ),
        tables: format!("[security]\ntoken-file = {:?}", files[n]),
        ..Lines::default()
    };
    let mut scene = Scene::start(dir.path(), &Caller::plain().token(OLD), lines).await;
    let ring = scene.ring().await;
    let rings: Vec<_> = scene
        .nodes
        .iter()
        .map(|node| node.process.lines_with("the ring has changed"))
        .collect();
    let load = scene.doors.load();
    load.more(100).await;
    let steps = [
        (format!("{OLD}\n{NEW}\n"), OLD),
        (format!("{NEW}\n{OLD}\n"), NEW),
        (format!("{NEW}\n"), NEW),
    ];
    for (number, (text, sent)) in steps.iter().enumerate() {
        let before = scene.peer_requests("ok").await;
        for file in &files {
            replace(file, text);
        }
        until("all nodes to have looked at the file", async || {
            let changed = "the cluster's token has changed";
            scene
                .nodes
                .iter()
                .all(|node| node.process.lines_with(changed) == number + 1)
        })
        .await;
        for caller in &mut scene.callers {
            *caller = Caller::plain().token(sent);
        }
        load.more(100).await;
        assert!(scene.peer_requests("ok").await > before, "step {number}");
        // Removals are requests between nodes as well.
        let target = format!("/v1/scores/key-{number}");
        let removed = scene.callers[0].send(scene.nodes[0].admin, "DELETE", &target, "");
        let removed = removed.await.unwrap();
        assert_eq!(removed.status, 200, "{}", removed.text());
    }
    load.end_without_a_failure().await;
    assert_eq!(scene.ring().await, ring);
    assert_eq!(scene.peer_requests("error").await, 0);
    let old = Caller::plain().token(OLD);
    for (n, rings) in rings.iter().enumerate() {
        scene.nobody_was_refused(n);
        let log = &scene.nodes[n].process;
        assert_eq!(log.lines_with("without a valid signature"), 0, "node {n}");
        // The ring stayed what it was once there were three.
        assert_eq!(log.lines_with("the ring has changed"), *rings, "node {n}");
        assert_eq!(
            old.status(scene.nodes[n].admin, "GET", "/status").await,
            401
        );
        let status = scene.status(n).await;
        assert_eq!(status["ring"]["disagreements"], Value::Array(vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_their_authority_are_rotated_by_their_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let files = Mutex::new(Vec::new());
    let lines = |_: usize, ports: &[SocketAddr]| {
        let mut files = files.lock().unwrap();
        let pair = old.issue(&[&ports[0].ip().to_string()]);
        let name = format!("tls-{}", files.len());
        let of_node = Files::new(dir.path(), &name, &pair, &[&old]);
        let lines = Lines {
            group: "hot-copies = \"off\"".into(),
            cluster: peers(
                &ports
                    .iter()
                    .map(|port| format!("https://{port}"))
                    .collect::<Vec<_>>(),
            ),
            tables: of_node.table(),
            ..Lines::default()
        };
        files.push(of_node);
        lines
    };
    let (of_old, of_new) = (old.issue(&["operator"]), new.issue(&["operator"]));
    let first = Caller::over_tls(client(&[&old, &new], Some(&of_old)));
    let mut scene = Scene::start(dir.path(), &first, lines).await;
    let files = files.into_inner().unwrap();
    let ring = scene.ring().await;
    let load = scene.doors.load();
    load.more(100).await;

    // 1. Both authorities are believed.
    for of_node in &files {
        of_node.trust(&[&old, &new]);
    }
    let newer = Caller::over_tls(client(&[&old, &new], Some(&of_new)));
    takes(&scene, &newer).await;
    load.more(100).await;
    // 2. Nodes and operators have certificates by the new one.
    for of_node in &files {
        of_node.put(&new.issue(&[&scene.ports[0].ip().to_string()]));
    }
    let newest = Caller::over_tls(client(&[&new], Some(&of_new)));
    takes(&scene, &newest).await;
    scene.callers = vec![newest.clone(); 3];
    load.more(100).await;
    // 3. The old one is believed no more.
    for of_node in &files {
        of_node.trust(&[&new]);
    }
    for n in 0..3 {
        until("the old authority to be forgotten", async || {
            first.get(scene.nodes[n].admin, "/livez").await.is_err()
        })
        .await;
    }
    load.more(100).await;
    load.end_without_a_failure().await;
    assert_eq!(scene.ring().await, ring);
    assert_eq!(scene.peer_requests("error").await, 0);
    for n in 0..3 {
        let status = scene.status(n).await;
        assert_eq!(status["ring"]["disagreements"], Value::Array(vec![]));
        assert!(!scene.nodes[n].process.has_logged("a peer is down"));
    }

    // Connections that nodes had before are still in use. New ones are made as well.
    scene.nodes[0].process.kill();
    let config = dir.path().join("node-0.toml");
    scene.nodes[0] = Node::start(&config).await;
    assert_eq!(scene.ring().await, ring);
    for n in 0..3 {
        until("requests over new connections", async || {
            for key in 0..20 {
                let target = format!("/v1/scores/key-{key}");
                assert_eq!(
                    newest
                        .get(scene.nodes[n].api, &target)
                        .await
                        .unwrap()
                        .status,
                    200
                );
            }
            let status = scene.status(n).await;
            let peers = status["ring"]["peers"].as_array().unwrap();
            let others: Vec<_> = peers.iter().filter(|peer| peer["self"] == false).collect();
            others
                .iter()
                .all(|peer| peer["up"] == true && peer["requests"]["ok"] != 0)
        })
        .await;
    }
}

/// Waits until each port of each node is content with that caller, and it with them.
async fn takes(scene: &Scene, caller: &Caller) {
    for node in &scene.nodes {
        for (addr, target) in [
            (node.admin, "/status"),
            (node.peer, "/_groupcache/scores/key-1"),
            (node.api, "/v1/scores/key-1"),
        ] {
            until("new files to be in use", async || {
                caller.status(addr, "GET", target).await == 200
            })
            .await;
        }
    }
}
