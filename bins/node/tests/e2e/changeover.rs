//! A cluster that changes what it requires of clients, while programs continue to use it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::cluster::free_ports;
use crate::support::config::Lines;
use crate::support::origin::value_of;
use crate::support::{Caller, Node, Origin, Steady, until};

mod https;
mod rotation;

const OLD: &str = "the-old-token-of-the-cluster";

/// Programs ask for these again and again.
const KEYS: usize = 400;

/// The front doors that a load balancer considers ready, and how they are asked.
#[derive(Clone, Default)]
struct FrontDoors(Arc<Mutex<Vec<Option<FrontDoor>>>>);

type FrontDoor = (SocketAddr, Caller);

impl FrontDoors {
    fn open(&self, n: usize, api: SocketAddr, caller: &Caller) {
        let mut front_doors = self.0.lock().unwrap();
        if front_doors.len() <= n {
            front_doors.resize(n + 1, None);
        }
        front_doors[n] = Some((api, caller.clone()));
    }

    fn close(&self, n: usize) {
        self.0.lock().unwrap()[n] = None;
    }

    fn pick(&self, n: usize) -> FrontDoor {
        let front_doors = self.0.lock().unwrap();
        let ready: Vec<_> = front_doors.iter().flatten().collect();
        ready[n % ready.len()].clone()
    }

    /// Two programs that ask these front doors in turn.
    fn load(&self) -> Steady {
        let front_doors = self.clone();
        Steady::start(2, move |n| {
            let (api, caller) = front_doors.pick(n);
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
    front_doors: FrontDoors,
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
            front_doors: FrontDoors::default(),
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
        self.front_doors
            .open(n, self.nodes[n].api, &self.callers[n]);
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

    /// Like an update: the node is told to stop, the load balancer notices, and uses the node
    /// again when it is ready.
    async fn restart(&mut self, n: usize, lines: &Lines) {
        let (old, caller) = (&self.nodes[n], &self.callers[n]);
        old.process.signal("TERM");
        until("a node to say that it leaves", async || {
            caller.status(old.admin, "GET", "/readyz").await == 503
        })
        .await;
        self.front_doors.close(n);
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
            "a peer failed; loading in its place",
        ] {
            assert_eq!(log.lines_with(refusal), 0, "node {n}: {refusal}");
        }
    }

    /// Requests between the nodes, by result.
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
