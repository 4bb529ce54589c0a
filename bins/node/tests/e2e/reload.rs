//! A configuration that is read again while its node runs.

use std::net::SocketAddr;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::Answer;
use crate::support::cluster::free_ports;
use crate::support::origin::value_of;
use crate::support::{Client, Node, Origin, Setup, command, until};

mod credentials;
mod systemd;

/// A node whose file is rewritten repeatedly.
struct Scene {
    node: Node,
    client: Client,
    file: PathBuf,
    me: SocketAddr,
    _dir: TempDir,
}

impl Scene {
    async fn start(setup: &Setup) -> Self {
        let me = free_ports(1)[0];
        Self::start_at(me, &[me], setup, |_| {}).await
    }

    async fn start_at(
        me: SocketAddr,
        peers: &[SocketAddr],
        setup: &Setup,
        prepare: impl FnOnce(&mut std::process::Command),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gaggle.toml");
        std::fs::write(&file, setup.file(me, peers)).unwrap();
        let mut serve = command();
        prepare(&mut serve);
        Self {
            node: Node::start_by(serve, &file).await,
            client: Client::new(),
            file,
            me,
            _dir: dir,
        }
    }

    fn write(&self, setup: &Setup) {
        std::fs::write(&self.file, setup.file(self.me, &[self.me])).unwrap();
    }

    async fn post(&self) -> Answer {
        let none = String::new();
        self.client
            .send(Method::POST, self.node.admin, "/reload", none)
            .await
            .unwrap()
    }

    /// The names that a reload says have changed.
    async fn changed(&self) -> Value {
        let answer = self.post().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["changed"].clone()
    }

    async fn status(&self) -> Value {
        self.client.get(self.node.admin, "/status").await.json()
    }

    async fn generation(&self) -> Value {
        self.status().await["generation"].clone()
    }

    /// Sends SIGHUP and waits until the configuration has this generation.
    async fn hang_up(&self, generation: u64) {
        self.node.process.signal("HUP");
        until("the configuration to be read again", async || {
            self.generation().await == generation
        })
        .await;
    }

    async fn limit(&self) -> Value {
        self.status().await["groups"]["scores"]["cache_limit_bytes"].clone()
    }

    async fn ask_for(&self, keys: &[Vec<u8>]) {
        for key in keys {
            let answer = self.client.key(&self.node, key).await;
            assert_eq!((answer.status, answer.body), (200, value_of(key)));
        }
    }
}

fn keys(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| format!("key-{n}").into_bytes())
        .collect()
}

fn with_node(setup: &Setup, lines: &str) -> Setup {
    Setup {
        node: lines.into(),
        ..setup.clone()
    }
}

#[tokio::test]
async fn what_can_change_does_and_the_cache_stays_warm() {
    let origin = Origin::of_everything().await;
    let setup = Setup::of(&origin);
    let begin = setup.clone().group("ttl = \"1h\"\ncapacity = \"16MiB\"");
    let scene = Scene::start(&begin).await;
    let keys = keys(300);
    scene.ask_for(&keys).await;
    assert_eq!(scene.generation().await, 1);
    assert_eq!(scene.limit().await, 16 << 20);
    assert!(!scene.node.process.has_logged("asking the origin"));

    let more = with_node(&setup, "log-level = \"info,gaggle_group=debug\"");
    scene.write(&more.clone().group("ttl = \"2h\"\ncapacity = \"32MiB\""));
    let answer = scene.post().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = json!({
        "generation": 2,
        "changed": ["groups.scores.capacity", "groups.scores.ttl", "node.log-level"],
    });
    assert_eq!(answer.json(), expected);
    let told = scene
        .node
        .process
        .logged("the configuration was read again")
        .await;
    assert_eq!(
        told["changed"],
        "groups.scores.capacity, groups.scores.ttl, node.log-level"
    );
    assert_eq!(scene.generation().await, 2);
    assert_eq!(scene.limit().await, 32 << 20);
    scene.ask_for(&keys).await;
    origin.assert_asked_once(&keys);
    // The new level applies.
    scene.ask_for(&[b"one more".to_vec()]).await;
    scene.node.process.logged("asking the origin").await;

    // The lower capacity is enough for the present values, so that all of them stay.
    let group = "capacity = \"8MiB\"\nhot-copies = \"off\"\nmax-key = \"64B\"\nmax-wait = \"3s\"";
    let fewer = with_node(&setup, "max-in-flight = \"32MiB\"").group(group);
    scene.write(&fewer);
    scene.hang_up(3).await;
    assert_eq!(scene.limit().await, 8 << 20);
    assert_eq!(scene.status().await["in_flight"]["limit"], 32 << 20);
    let long = scene.client.key(&scene.node, &[b'k'; 65]).await;
    assert_eq!(long.status, 414);
    scene.ask_for(&keys).await;
    let asked: Vec<_> = keys.iter().map(|key| origin.asked_for(key)).collect();
    assert!(asked.iter().all(|times| *times == 1), "{asked:?}");

    // Earlier values without an end get one.
    scene.write(&fewer.clone().group(&format!("{group}\nttl = \"100ms\"")));
    assert_eq!(scene.changed().await, json!(["groups.scores.ttl"]));
    until("a value to be loaded again", async || {
        scene.ask_for(&keys[..1]).await;
        origin.asked_for(&keys[0]) > 1
    })
    .await;
    // A reload without changes counts as well.
    assert_eq!(scene.changed().await, json!([]));
    assert_eq!(scene.generation().await, 5);
}

#[tokio::test]
async fn a_node_joins_by_the_list_of_the_others() {
    let origin = Origin::of_everything().await;
    let both = free_ports(2);
    let by =
        |me: SocketAddr| with_node(&Setup::of(&origin), &format!("advertise = \"http://{me}\""));
    let setup = by(both[0]);
    let first = Scene::start_at(both[0], &both[..1], &setup, |_| {}).await;
    let keys = keys(200);
    first.ask_for(&keys).await;
    let second = Scene::start_at(both[1], &both, &by(both[1]), |_| {}).await;
    std::fs::write(&first.file, setup.file(both[0], &both)).unwrap();
    first.hang_up(2).await;
    let ring = async |scene: &Scene| scene.status().await["ring"].clone();
    until("both to have one ring", async || {
        let (one, other) = (ring(&first).await, ring(&second).await);
        one["hash"] == other["hash"] && one["members"].as_array().unwrap().len() == 2
    })
    .await;
    // It still has what it has loaded, whichever node owns it now.
    first.ask_for(&keys).await;
    origin.assert_asked_once(&keys);
    let others: Vec<_> = (0..100).map(|n| format!("new-{n}").into_bytes()).collect();
    first.ask_for(&others).await;
    let of_peers = ["source=\"peer\"", "result=\"ok\""];
    let fetched = first
        .client
        .metric(&first.node, "gaggle_loads_total", &of_peers);
    let fetched = fetched.await;
    assert!((1..100).contains(&fetched), "{fetched}");

    // A list that cannot contain this node is refused.
    std::fs::write(&first.file, setup.file(both[0], &both[1..])).unwrap();
    let answer = first.post().await;
    assert_eq!(answer.status, 422);
    let line = answer.text();
    assert!(line.contains("is not in cluster.peers"), "{line}");
    std::fs::write(&first.file, setup.file(both[0], &[both[0], both[0]])).unwrap();
    let answer = first.post().await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.text().contains("is listed twice"),
        "{}",
        answer.text()
    );
    assert_eq!(ring(&first).await["members"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_change_is_one_line_and_nothing_changes() {
    let origin = Origin::of_everything().await;
    let setup = Setup::of(&origin).group("capacity = \"16MiB\"\nttl = \"1h\"");
    let scene = Scene::start(&setup).await;
    scene.ask_for(&keys(1)).await;
    let refused = async |setup: &Setup, status: u16, line: &str| {
        scene.write(setup);
        let answer = scene.post().await;
        let text = answer.text();
        assert_eq!(answer.status, status, "{text}");
        assert!(text.starts_with(line), "{text:?} and {line:?}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(scene.generation().await, 1);
        assert_eq!(scene.limit().await, 16 << 20);
        text
    };
    // The capacity could change, but only together with all other fields.
    let wanted = "capacity = \"32MiB\"\nttl = \"1h\"";
    let elsewhere = Setup {
        node: "max-connections = 7\ndrain-timeout = \"3s\"".into(),
        origin: "kind = \"http\"\nurl = \"http://127.0.0.1:1/{key}?sig=secret\"".into(),
        ..setup.clone()
    };
    let text = refused(
        &elsewhere.group(wanted),
        409,
        "groups.scores.origin.url: cannot change while the node runs; restart it for this and 2 more fields (from ",
    )
    .await;
    assert!(!text.contains("secret"), "{text}");
    let told = scene
        .node
        .process
        .logged("the configuration stays as it is")
        .await;
    assert_eq!(told["error"], text);
    assert_eq!(told["generation"], 1);

    let files = Setup {
        origin: "kind = \"files\"\nroot = \"/\"".into(),
        ..setup.clone()
    };
    let line =
        "groups.scores.origin.kind: cannot change while the node runs; restart it for this (from ";
    refused(&files.group(wanted), 409, line).await;
    let another = Setup {
        tables: format!("[groups.users.origin]\n{}", origin.table()),
        ..setup.clone()
    };
    let line = "groups.users: no group comes or goes while the node runs; restart it for this";
    refused(&another.group(wanted), 409, line).await;
    let named = setup.clone().cluster("name = \"other\"");
    let line = "cluster.name: cannot change while the node runs; restart it for this (from ";
    refused(&named.group(wanted), 409, line).await;
    let open = Setup {
        tables: "[security]\ntoken = \"sixteen-bytes-at-least\"".into(),
        ..setup.clone()
    };
    let line = "security.token: whether there is a token cannot change while the node runs";
    refused(&open.group(wanted), 409, line).await;
    // A configuration with which no node could start is refused, too.
    let nonsense = setup.clone().group("capacity = \"32MiB\"\nttl = \"0s\"");
    refused(&nonsense, 422, "groups.scores.ttl: ").await;
    refused(&setup.clone().group("capacity = 32MiB"), 422, "line ").await;
    std::fs::remove_file(&scene.file).unwrap();
    let answer = scene.post().await;
    assert_eq!(answer.status, 422);
    assert!(answer.text().starts_with("--config: "), "{}", answer.text());
    // The configuration is as it was, and can still be changed.
    scene.ask_for(&keys(1)).await;
    origin.assert_asked_once(&keys(1));
    scene.write(&setup.clone().group(wanted));
    assert_eq!(scene.changed().await, json!(["groups.scores.capacity"]));
    assert_eq!(scene.limit().await, 32 << 20);
}

#[tokio::test]
async fn reloads_come_one_after_the_other() {
    let origin = Origin::of_everything().await;
    let setup = Setup::of(&origin);
    let scene = Scene::start(&setup).await;
    let posts = futures_util::future::join_all((0..6).map(|_| scene.post())).await;
    let mut generations: Vec<_> = posts
        .iter()
        .map(|answer| answer.json()["generation"].as_u64().unwrap())
        .collect();
    generations.sort_unstable();
    assert_eq!(generations, [2, 3, 4, 5, 6, 7]);
    let get = scene.client.get(scene.node.admin, "/reload").await;
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    assert_eq!(scene.generation().await, 7);
}

#[tokio::test]
async fn flags_and_variables_stay_over_the_file() {
    let origin = Origin::of_everything().await;
    let setup = Setup::of(&origin).group("capacity = \"16MiB\"");
    let me = free_ports(1)[0];
    let scene = Scene::start_at(me, &[me], &setup, |serve| {
        serve.env("GAGGLE_GROUPS__SCORES__CAPACITY", "24MiB");
    })
    .await;
    assert_eq!(scene.limit().await, 24 << 20);
    scene.write(&setup.clone().group("capacity = \"32MiB\"\nttl = \"1h\""));
    assert_eq!(scene.changed().await, json!(["groups.scores.ttl"]));
    assert_eq!(scene.limit().await, 24 << 20);
}
