//! A node with a port for Redis' clients, whose tokens change, and which is asked by what nobody
//! here wrote: redis-cli, redis-benchmark and redis-py.
//!
//! What needs these is ignored by default: `deploy/redis/install`. redis-py comes from PyPI, into
//! an environment under `target`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "helpers of tests are tests"
)]

/// The parts of the end-to-end tests; these tests do not use all of them.
#[path = "../e2e"]
#[allow(dead_code, unused_imports)]
mod e2e {
    pub(crate) mod support;
}

mod token;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use e2e::support::Node;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Duration, timeout};

/// Longer than anything here takes; a test that hits it has failed.
const LONG: Duration = Duration::from_secs(300);

const TOKEN: &str = "a-token-of-more-than-16-bytes";

struct World {
    resp: SocketAddr,
    node: Node,
    dir: TempDir,
}

/// One node on a folder of values, with these lines in `[node]`, and these tables.
async fn start(node: &str, tables: &str) -> World {
    start_in(tempfile::tempdir().unwrap(), node, tables).await
}

async fn start_in(dir: TempDir, node: &str, tables: &str) -> World {
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for (key, value) in [("Tom", "630"), ("Jack", "589"), ("Sam", "567")] {
        std::fs::write(data.join(key), value).unwrap();
    }
    let config = dir.path().join("node.toml");
    let text = format!(
        "[node]\npeer-addr = \"127.0.0.1:0\"\napi-addr = \"127.0.0.1:0\"\nadmin-addr = \"127.0.0.1:0\"\n\
         resp-addr = \"127.0.0.1:0\"\nlog-format = \"json\"\ndrain-delay = \"0s\"\n{node}\n\
         [groups.scores.origin]\nkind = \"files\"\nroot = {data:?}\n{tables}\n"
    );
    std::fs::write(&config, text).unwrap();
    let node = Node::start(&config).await;
    let listening = node.process.logged("listening for Redis' clients").await;
    World {
        resp: listening["resp"].as_str().unwrap().parse().unwrap(),
        node,
        dir,
    }
}

/// The output of a program, which must succeed.
async fn output(mut command: Command) -> String {
    let done = timeout(LONG, command.kill_on_drop(true).output());
    let done = done.await.unwrap().expect("deploy/redis/install");
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

async fn cli(world: &World, args: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command
        .args(["-p", &world.resp.port().to_string()])
        .args(args);
    output(command).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: deploy/redis/install"]
async fn redis_cli() {
    let world = start("", "").await;
    for (args, expected) in [
        (&["get", "scores:Tom"][..], "630\n"),
        (&["get", "Tom"], "630\n"),
        (&["-3", "get", "Tom"], "630\n"),
        (&["get", "scores:Nobody"], "\n"),
        (&["mget", "Tom", "Nobody", "Sam"], "630\n\n567\n"),
        (&["exists", "Tom", "Nobody"], "1\n"),
        (&["strlen", "Tom"], "3\n"),
        (&["set", "Tom", "631", "ex", "1000"], "OK\n"),
        (&["get", "Tom"], "631\n"),
        (&["del", "Tom"], "1\n"),
        (&["get", "Tom"], "630\n"),
        (&["flushall"], "OK\n"),
        (&["select", "0"], "OK\n"),
        (&["ping"], "PONG\n"),
    ] {
        assert_eq!(cli(&world, args).await, expected, "{args:?}");
    }
    let refused = cli(&world, &["expire", "Tom", "1"]).await;
    assert!(refused.contains("EXPIRE is not supported"), "{refused}");
    let docs = cli(&world, &["command", "docs"]).await;
    assert!(docs.contains("mget"), "{docs}");
    let info = cli(&world, &["info"]).await;
    assert!(info.contains("gaggle_version:"), "{info}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: deploy/redis/install"]
async fn redis_cli_with_a_token() {
    let world = start("", &format!("[security]\ntoken = \"{TOKEN}\"\n")).await;
    let refused = cli(&world, &["get", "Tom"]).await;
    assert!(refused.contains("NOAUTH"), "{refused}");
    let auth = ["--no-auth-warning", "-a", TOKEN];
    let asked = [&auth[..], &["get", "Tom"]].concat();
    assert_eq!(cli(&world, &asked).await, "630\n");
    let asked = [&auth[..], &["set", "Tom", "1"]].concat();
    assert_eq!(cli(&world, &asked).await, "OK\n");
    let read_only = start(
        "[node.resp]\nread-only = true",
        &format!("[security]\ntoken = \"{TOKEN}\"\n"),
    )
    .await;
    let asked = [&auth[..], &["set", "Tom", "1"]].concat();
    let refused = cli(&read_only, &asked).await;
    assert!(refused.contains("NOPERM"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: deploy/redis/install"]
async fn redis_benchmark() {
    let world = start("", "").await;
    for pipeline in ["1", "32"] {
        let mut command = Command::new("redis-benchmark");
        command
            .args([
                "-p",
                &world.resp.port().to_string(),
                "--csv",
                "-P",
                pipeline,
            ])
            .args(["-t", "ping,set,get", "-n", "20000", "-r", "1000"]);
        let rows = output(command).await;
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET"] {
            assert!(rows.contains(&format!("\"{test}\",")), "{rows}");
        }
        println!("-P {pipeline}\n{rows}");
    }
}

/// An environment with redis-py.
async fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/redis-py");
    let python = root.join("bin/python");
    let has_it = Command::new(&python)
        .args(["-c", "import redis"])
        .status()
        .await
        .is_ok_and(|status| status.success());
    if !has_it {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&root);
        output(venv).await;
        let mut pip = Command::new(root.join("bin/pip"));
        pip.args(["install", "--quiet", "redis"]);
        output(pip).await;
    }
    python
}

const SCRIPT: &str = r#"
import redis, sys
port, token = int(sys.argv[1]), sys.argv[2]
for protocol in (2, 3):
    r = redis.Redis(port=port, password=token, protocol=protocol)
    assert r.ping()
    assert r.get("scores:Tom") == b"630"
    assert r.get("Nobody") is None
    assert r.mget("Tom", "Nobody", "Sam") == [b"630", None, b"567"]
    assert r.exists("Tom", "Nobody") == 1
    assert r.strlen("Tom") == 3 and r.getrange("Tom", 0, 1) == b"63"
    assert r.type("Tom") == b"string" and r.ttl("Tom") == -1 and r.ttl("Nobody") == -2
    assert r.set("new\0\r\n", b"\xff\0", ex=100) and r.get("new\0\r\n") == b"\xff\0"
    assert 0 < r.ttl("new\0\r\n") <= 100
    assert r.setex("new", 100, "x") and r.delete("new") == 1 and r.get("new") is None
    with r.pipeline(transaction=False) as pipe:
        for _ in range(1000):
            pipe.get("Tom").get("Nobody")
        assert pipe.execute() == [b"630", None] * 1000
    for refused in (lambda: r.set("Tom", 1, nx=True), lambda: r.expire("Tom", 1), lambda: r.incr("n")):
        try:
            refused()
            raise SystemExit("it was not refused")
        except redis.ResponseError:
            pass
    assert r.client_setname("me") and r.client_id() > 0
    assert r.info()["redis_mode"] == "standalone"
    assert r.dbsize() >= 2
    assert r.flushall()
try:
    redis.Redis(port=port, password="wrong").ping()
    raise SystemExit("the password was not refused")
except redis.AuthenticationError:
    pass
print("good")
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: deploy/redis/install"]
async fn redis_py() {
    let world = start("", &format!("[security]\ntoken = \"{TOKEN}\"\n")).await;
    let mut command = Command::new(python().await);
    let port = world.resp.port().to_string();
    command.args(["-c", SCRIPT, &port, TOKEN]);
    assert_eq!(output(command).await, "good\n");
}
