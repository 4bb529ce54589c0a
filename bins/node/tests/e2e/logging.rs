//! The log under a flood of failures, and when no process reads it: standard error that is closed,
//! or a pipe that is full.

use std::fs::File;
use std::io::{PipeReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::origin::{Mode, value_of};
use crate::support::{Client, Origin, Setup, busy, command, loopback, until};

const CALLERS: usize = 32;

/// A node whose standard error belongs to the test. Its ports are chosen here, as its log may not
/// be readable.
struct Node {
    child: Child,
    api: SocketAddr,
    admin: SocketAddr,
    _dir: TempDir,
}

impl Node {
    async fn start(setup: &Setup, client: &Client, stderr: Stdio) -> Self {
        let ip = loopback();
        let held = [(); 3].map(|()| TcpListener::bind((ip, 0)).unwrap());
        let [peer, api, admin] = held.map(|port| port.local_addr().unwrap());
        let file = setup.file(peer, &[peer]);
        let chosen = [("api-addr", api), ("admin-addr", admin)];
        let file = chosen.into_iter().fold(file, |file, (field, addr)| {
            let any = format!("{field} = \"{ip}:0\"");
            assert!(file.contains(&any), "{file}");
            file.replace(&any, &format!("{field} = \"{addr}\""))
        });
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("node.toml");
        std::fs::write(&config, file).unwrap();
        let mut serve = command();
        serve.arg("serve").arg("--config").arg(config);
        let node = Self {
            child: serve.stderr(stderr).spawn().unwrap(),
            api,
            admin,
            _dir: dir,
        };
        until("the node to be ready", async || {
            node.admin(client, "/readyz").await == Some(200)
        })
        .await;
        node
    }

    /// The status of an admin endpoint, if there is an answer.
    async fn admin(&self, client: &Client, target: &str) -> Option<u16> {
        let asked = client.send(Method::GET, self.admin, target, String::new());
        asked.await.ok().map(|answer| answer.status)
    }

    async fn metric(&self, client: &Client, name: &str) -> u64 {
        let page = client.get(self.admin, "/metrics").await.text();
        let sample = page.lines().find_map(|line| line.strip_prefix(name));
        let sample = sample.unwrap_or_else(|| panic!("no {name} in {page}"));
        sample.trim().parse().unwrap()
    }

    /// Gets of new keys until `over`, all of which fail. Returns how many.
    async fn failing_gets(&self, client: &Client, over: impl Fn(usize) -> bool) -> usize {
        let asked = AtomicUsize::new(0);
        join_all((0..CALLERS).map(async |_| {
            loop {
                let n = asked.fetch_add(1, Relaxed);
                if over(n) {
                    asked.fetch_sub(1, Relaxed);
                    return;
                }
                let answer = client.get(self.api, &format!("/v1/scores/key-{n}")).await;
                assert!([502, 503].contains(&answer.status), "{}", answer.status);
            }
        }))
        .await;
        asked.into_inner()
    }

    /// Sends SIGTERM; returns how long the node took to end.
    async fn terminate(&mut self) -> Duration {
        let began = Instant::now();
        let pid = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s TERM \"$0\"", &pid])
            .status();
        assert!(sent.unwrap().success());
        let mut status = None;
        until("the end of the node", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert_eq!(status.unwrap().code(), Some(0));
        began.elapsed()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What must work whatever happens to the log: gets, the admin endpoints, and the shutdown.
async fn goes_on(origin: &Origin, mut node: Node, client: &Client) {
    const GETS: usize = 4000;
    origin.set(Mode::Failing);
    node.failing_gets(client, |n| n >= GETS).await;
    assert_eq!(node.admin(client, "/livez").await, Some(200));
    assert_eq!(node.admin(client, "/readyz").await, Some(200));
    let lost = node.metric(client, "gaggle_log_lines_lost_total").await;
    let left_out = node.metric(client, "gaggle_log_lines_left_out_total").await;
    assert!(lost > 0 && left_out > 0, "{lost} {left_out}");
    origin.set(Mode::Open);
    until("a value from the origin", async || {
        let answer = client.get(node.api, "/v1/scores/later").await;
        answer.status == 200 && answer.body == value_of(b"later")
    })
    .await;
    let took = node.terminate().await;
    println!(
        "{GETS} failed gets, {lost} lines lost, {left_out} left out; SIGTERM to exit: {took:?}"
    );
    // The drain timeout, and one second.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

fn setup(origin: &Origin, level: &str) -> Setup {
    let setup = Setup::of(origin);
    Setup {
        node: format!("log-level = \"{level}\"\ndrain-timeout = \"2s\""),
        // Otherwise most gets would be refused, and an origin that is not asked causes no log
        // line.
        group: format!("{}\ncircuit-breaker = false", setup.group),
        ..setup
    }
}

#[tokio::test]
async fn a_node_whose_standard_error_is_closed_goes_on() {
    let _busy = busy().await;
    let (origin, client) = (Origin::of_everything().await, Client::new());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let node = Node::start(&setup(&origin, "info"), &client, writer.into()).await;
    goes_on(&origin, node, &client).await;
}

/// The end of a pipe that no process reads, and which is kept full.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filling = writer.try_clone().unwrap();
    // Ends when the reader is dropped.
    std::thread::spawn(move || while filling.write_all(&[b'\n'; 4096]).is_ok() {});
    (reader, writer.into())
}

#[tokio::test]
async fn a_node_whose_standard_error_nobody_reads_goes_on() {
    let _busy = busy().await;
    let (origin, client) = (Origin::of_everything().await, Client::new());
    let (_unread, stderr) = full_pipe();
    // At this level there is more to write than the queue holds.
    let node = Node::start(&setup(&origin, "debug"), &client, stderr).await;
    goes_on(&origin, node, &client).await;
}

#[tokio::test]
async fn a_full_disk_costs_lines_and_no_more() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        println!("SKIPPED: this machine has no /dev/full");
        return;
    };
    let _busy = busy().await;
    let (origin, client) = (Origin::of_everything().await, Client::new());
    let node = Node::start(&setup(&origin, "info"), &client, full.into()).await;
    goes_on(&origin, node, &client).await;
}

#[tokio::test]
async fn three_seconds_of_a_failing_origin_are_a_few_lines_whose_counts_add_up() {
    const TIME: Duration = Duration::from_secs(3);
    let _busy = busy().await;
    let (origin, client) = (Origin::of_everything().await, Client::new());
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut node = Node::start(&setup(&origin, "info"), &client, writer.into()).await;
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    origin.set(Mode::Failing);
    let over = AtomicBool::new(false);
    let (failed, ()) = tokio::join!(node.failing_gets(&client, |_| over.load(Relaxed)), async {
        tokio::time::sleep(TIME).await;
        over.store(true, Relaxed);
    });
    let left_out = node
        .metric(&client, "gaggle_log_lines_left_out_total")
        .await;
    node.terminate().await;
    let text = reading.join().unwrap().unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let failures = lines.iter().filter(|line| line["level"] == "WARN");
    let told: u64 = failures
        .clone()
        .filter_map(|line| line["left_out"].as_u64())
        .sum();
    println!(
        "{failed} failed gets in {TIME:?}: {} lines of failures, {left_out} left out, {} bytes of log in all",
        failures.clone().count(),
        text.len()
    );
    assert!(left_out > 0);
    assert_eq!(told, left_out, "{text}");
    assert!(!text.contains("key-"), "a key is in the log");
    // One line a second of each kind, the first one, and the summary.
    let of_the_origin = failures.filter(|line| {
        let message = line["message"].as_str().unwrap();
        message.ends_with("the origin failed")
    });
    assert!((2..=6).contains(&of_the_origin.count()), "{text}");
}
