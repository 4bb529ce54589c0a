//! A cluster that Compose has started, taken down when it goes out of scope.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::engine::{built, checkout, run, spellings};
use crate::node::Node;
use crate::{FOLLOWS, PATIENCE, until};

/// Compose's name for the cluster, so that the user's own clusters stay as they are.
const PROJECT: &str = "gaggle-containers-test";

/// The front door, as published on this machine.
pub(crate) const GATEWAY: &str = "http://localhost:9999";

/// The engine and the published port belong to one test at a time.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

pub(crate) struct Stack {
    compose: Vec<String>,
    scores: Option<TempDir>,
    _alone: MutexGuard<'static, ()>,
}

impl Stack {
    /// The cluster of the checkout, started with this spelling of Compose.
    pub(crate) async fn quick_start(spelling: &[&str]) -> Self {
        Self::start(spelling, None).await
    }

    /// The same cluster on an origin of `keys` files, `key-0` to the last, each holding its own
    /// name. Compose resolves the paths of the file against a directory that differs only in the
    /// scores.
    pub(crate) async fn with_keys(keys: usize) -> Self {
        let spelling = spellings().await.remove(0);
        let project = TempDir::new().unwrap();
        let compose = project.path().join("deploy/compose");
        fs::create_dir_all(compose.join("scores")).unwrap();
        for file in ["gaggle.toml", "gateway.toml"] {
            fs::copy(
                checkout().join("deploy/compose").join(file),
                compose.join(file),
            )
            .unwrap();
        }
        for n in 0..keys {
            fs::write(compose.join("scores").join(key(n)), key(n)).unwrap();
        }
        Self::start(&spelling, Some(project)).await
    }

    /// Gives a key of [`with_keys`](Self::with_keys) another value at the origin.
    pub(crate) fn write(&self, n: usize, value: &str) {
        let project = self.scores.as_ref().unwrap().path();
        let scores = project.join("deploy/compose/scores");
        fs::write(scores.join(key(n)), value).unwrap();
    }

    async fn start(spelling: &[&str], project: Option<TempDir>) -> Self {
        let guard = alone().await;
        built().await;
        let directory: PathBuf = project
            .as_ref()
            .map_or_else(checkout, |project| project.path().into());
        let file = checkout().join("docker-compose.yml");
        let words = |path: &Path| path.to_str().unwrap().to_owned();
        let mut compose: Vec<String> = spelling.iter().map(|&word| word.into()).collect();
        compose.extend(
            [
                "--file",
                &words(&file),
                "--project-directory",
                &words(&directory),
                "--project-name",
                PROJECT,
            ]
            .map(Into::into),
        );
        let stack = Self {
            compose,
            scores: project,
            _alone: guard,
        };
        // What an interrupted run left.
        stack.compose(&["down", "--volumes"]).await;
        stack.compose(&["up", "--detach", "--no-build"]).await;
        stack.until_ring(3, PATIENCE).await;
        stack.until_door_open().await;
        stack
    }

    /// Runs Compose on this cluster.
    pub(crate) async fn compose(&self, words: &[&str]) -> String {
        let command: Vec<&str> = self
            .compose
            .iter()
            .map(String::as_str)
            .chain(words.iter().copied())
            .collect();
        run(&command).await
    }

    /// The containers of one service.
    async fn containers(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={PROJECT}");
        let service = format!("label=com.docker.compose.service={service}");
        let ids = run(&[
            "docker",
            "ps",
            "--quiet",
            "--no-trunc",
            "--filter",
            &project,
            "--filter",
            &service,
        ])
        .await;
        ids.lines().map(Into::into).collect()
    }

    pub(crate) async fn gateway(&self) -> String {
        self.containers("gateway").await.remove(0)
    }

    /// The nodes that run.
    pub(crate) async fn nodes(&self) -> Vec<Node> {
        let mut nodes = Vec::new();
        for id in self.containers("node").await {
            // A node that stops meanwhile has no address any more.
            nodes.extend(Node::of(id).await);
        }
        nodes
    }

    /// Waits until that many nodes run, are ready, have each other in the ring, and consider each
    /// other up.
    pub(crate) async fn until_ring(
        &self,
        size: usize,
        within: std::time::Duration,
    ) -> std::time::Duration {
        let what = format!("{size} nodes with a ring of {size}");
        until(&what, within, async || {
            let nodes = self.nodes().await;
            if nodes.len() != size {
                return false;
            }
            for node in &nodes {
                let Some(status) = node.status().await else {
                    return false;
                };
                let peers = status["ring"]["peers"].as_array().unwrap();
                let all_up = peers.iter().all(|peer| peer["up"] == true);
                if status["state"] != "ready" || peers.len() != size || !all_up {
                    return false;
                }
            }
            true
        })
        .await
    }

    /// Waits until the gateway forwards requests.
    async fn until_door_open(&self) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        until("the gateway", PATIENCE, async || {
            let answer = client
                .get(format!("{GATEWAY}/v1/scores/Nobody"))
                .send()
                .await;
            answer.is_ok_and(|answer| answer.status().as_u16() == 404)
        })
        .await;
    }

    /// Scales the nodes, waits for the ring to follow, and prints both durations.
    pub(crate) async fn scale(&self, size: usize) {
        let begun = std::time::Instant::now();
        self.compose(&[
            "up",
            "--detach",
            "--no-build",
            "--scale",
            &format!("node={size}"),
        ])
        .await;
        let compose = begun.elapsed();
        let ring = self.until_ring(size, FOLLOWS).await;
        println!("scaled to {size} in {compose:.1?}, the rings followed {ring:.1?} later");
    }
}

/// The name, and the value, of a key of [`Stack::with_keys`].
pub(crate) fn key(n: usize) -> String {
    format!("key-{n}")
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Not async, because a drop cannot wait; and no assertion, because a test may be failing
        // already.
        let compose = |words: &[&str]| {
            std::process::Command::new(&self.compose[0])
                .args(&self.compose[1..])
                .args(words)
                .output()
        };
        if std::thread::panicking()
            && let Ok(logs) = compose(&["logs", "--tail", "30"])
        {
            println!("{}", String::from_utf8_lossy(&logs.stdout));
        }
        let down = compose(&["down", "--volumes", "--timeout", "20"]);
        println!("taken down: {:?}", down.map(|down| down.status.success()));
        drop(self.scores.take());
    }
}
