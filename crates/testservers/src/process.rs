//! A server's process, its directory, and its end.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::user::User;

/// How long a server may take to start, to stop, or to set its directory up.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Polls until `look` returns something, or the bound is over.
pub(crate) fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// A port of 127.0.0.1 that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A server's own directory, and the server that runs in it, if it does.
#[derive(Debug)]
pub(crate) struct Home {
    // Dropped before the directory.
    running: Mutex<Option<Running>>,
    pub(crate) user: User,
    dir: TempDir,
}

impl Home {
    pub(crate) fn new(prefix: &str, user: User) -> Self {
        let dir = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir()
            .expect("a directory");
        // Its owner is the server's user, and no other user needs it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("chmod");
        user.give(dir.path());
        Self {
            running: Mutex::new(None),
            user,
            dir,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that only the server's user may read.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .expect("a file");
        file.write_all(content.as_bytes()).expect("its content");
        self.user.give(&path);
        path
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.path("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the server and waits until it is ready; returns whether it is.
    pub(crate) fn start(&self, command: Command, mut ready: impl FnMut() -> bool) -> bool {
        let mut running = self.running();
        assert!(running.is_none(), "it is running");
        let mut started = Running::start(command, &self.path("server.log"), self.dir.path());
        let came = poll(|| {
            if started.has_ended() {
                return Some(false);
            }
            ready().then_some(true)
        });
        let is_up = came == Some(true);
        if is_up {
            *running = Some(started);
        }
        is_up
    }

    /// Signals the server and waits for its end.
    pub(crate) fn end(&self, signal: Signal) {
        let Some(mut running) = self.running().take() else {
            return;
        };
        running.signal(signal);
        let ended = poll(|| running.has_ended().then_some(()));
        assert!(ended.is_some(), "no end:\n{}", self.end_of_log());
    }
}

/// A running process, and the watchdog that ends it if this process has ended.
#[derive(Debug)]
struct Running {
    child: Child,
    pid: Pid,
    watchdog: Child,
}

/// Waits until the other end of its input is closed, which happens when the test process has
/// ended, and ends the server's processes.
const WATCHDOG: &str = r#"read -r _; kill -s KILL -- "-$1"; sleep 1; rm -rf -- "$2""#;

impl Running {
    fn start(mut command: Command, log: &Path, dir: &Path) -> Self {
        let log = File::options()
            .append(true)
            .create(true)
            .open(log)
            .expect("a log");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let id = child.id();
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(id.to_string())
            .arg(dir)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("pid");
        Self {
            child,
            pid,
            watchdog,
        }
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        // It fails if the process has just ended, which is fine.
        let _ = kill_process(self.pid, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The watchdog first: it must not signal a number that belongs to another process by then.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        if !self.has_ended() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Runs a program to its end; returns its output, or its error text.
pub(crate) fn run(mut command: Command, input: &str) -> Result<String, String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (see deploy/databases/install)"));
    let mut stdin = child.stdin.take().expect("its input");
    let [stdout, stderr] = [
        child.stdout.take().map(reader).expect("its output"),
        child.stderr.take().map(reader).expect("its errors"),
    ];
    // A program that has ended takes no more input; its status says more.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let status = poll(|| child.try_wait().expect("its status"));
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().expect("what it wrote"));
    match status {
        Some(status) if status.success() => Ok(stdout.trim_end_matches('\n').to_owned()),
        Some(status) => Err(format!("{status}: {}", stderr.trim())),
        None => Err(format!("no end within {BOUND:?}: {}", stderr.trim())),
    }
}

fn reader(mut from: impl std::io::Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut read = Vec::new();
        let _ = from.read_to_end(&mut read);
        String::from_utf8_lossy(&read).into_owned()
    })
}
