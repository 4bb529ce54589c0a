//! Processes of the binary under test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{PATIENCE, until};

/// Lines of a process's log that are kept.
const LINES: usize = 40_000;

/// The binary, with an empty environment: the machine's own settings (proxies, `GAGGLE_*`) must
/// not affect the tests.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gaggle-node"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A running process, killed when it goes out of scope. What it writes to standard error is kept,
/// and shown if the test fails.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: watch::Receiver<Vec<String>>,
}

impl Process {
    pub(crate) fn spawn(name: &str, mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.send_modify(|lines| {
                    if lines.len() >= LINES {
                        // The first lines have the ports, and the last ones what went wrong.
                        lines.drain(LINES / 4..LINES / 2);
                    }
                    lines.push(line);
                });
            }
        });
        Self {
            name: name.into(),
            child,
            log,
        }
    }

    /// The first log line with that message, as JSON; waits for it.
    pub(crate) async fn logged(&self, message: &str) -> Value {
        let named = |line: &String| {
            serde_json::from_str::<Value>(line).is_ok_and(|line| line["message"] == message)
        };
        let mut log = self.log.clone();
        let waited = timeout(PATIENCE, log.wait_for(|lines| lines.iter().any(named))).await;
        let Ok(Ok(lines)) = waited else {
            panic!("{} never logged {message:?}", self.name);
        };
        serde_json::from_str(lines.iter().find(|line| named(line)).unwrap()).unwrap()
    }

    /// Whether a log line with that message has been seen so far.
    pub(crate) fn has_logged(&self, message: &str) -> bool {
        let message = format!("\"message\":\"{message}\"");
        self.log.borrow().iter().any(|line| line.contains(&message))
    }

    /// How many lines of the log so far contain that.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        let log = self.log.borrow();
        log.iter().filter(|line| line.contains(text)).count()
    }

    /// Sends a signal, by its name without SIG, through the shell's own `kill`: any other way
    /// would need unsafe code.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid])
            .status()
            .unwrap();
        assert!(sent.success(), "SIG{signal} to {}: {sent}", self.name);
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the end of a process", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    /// Its id, to find it in the kernel's files.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Descriptors that it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id()));
        open.unwrap().count()
    }

    /// Bytes of its memory that are resident.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<u64>().unwrap() << 10
    }

    /// Sends SIGKILL, and returns once the process is gone.
    pub(crate) fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log.borrow();
            println!("--- the last lines of {} ---", self.name);
            for line in log.iter().skip(log.len().saturating_sub(40)) {
                println!("{line}");
            }
        }
    }
}

/// A `gaggle-node serve`.
pub(crate) struct Node {
    /// The base URL of its peers' port: its name in the ring.
    pub(crate) name: String,
    pub(crate) peer: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) process: Process,
    config: PathBuf,
}

impl Node {
    /// Its name in a ring of Gaggle's own.
    pub(crate) fn ring_name(&self) -> &str {
        self.name.trim_start_matches("http://")
    }

    /// Starts a node and waits until it listens. Its log must be JSON, since it has the ports.
    pub(crate) async fn start(config: &Path) -> Self {
        Self::start_by(command(), config).await
    }

    /// Like [`start`](Self::start), with a command to which the arguments are added.
    pub(crate) async fn start_by(mut serve: Command, config: &Path) -> Self {
        serve.arg("serve").arg("--config").arg(config);
        let process = Process::spawn(&config.display().to_string(), serve);
        let listening = process.logged("listening").await;
        let addr = |port: &str| listening[port].as_str().unwrap().parse().unwrap();
        let peer = addr("peer");
        Self {
            name: format!("http://{peer}"),
            peer,
            api: addr("api"),
            admin: addr("admin"),
            process,
            config: config.into(),
        }
    }

    /// Starts a node that was killed again: the same name, other ports for the front door and the
    /// admin endpoints.
    pub(crate) async fn restart(&mut self) {
        self.process.kill();
        let (config, name) = (self.config.clone(), self.name.clone());
        *self = Self::start(&config).await;
        self.name = name;
    }
}
