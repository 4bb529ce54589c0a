//! A shell that runs commands, one after the other.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The longest that one command may take, the start of a cluster included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends what a command has printed. No command prints it.
const END: &str = "\u{1e}end of the output";

/// An address of 127/8 that no other session uses.
pub(crate) fn loopback() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // The other tests of this package use other ones.
    Ipv4Addr::new(
        127,
        high % 254 + 1,
        low,
        255 - COUNT.fetch_add(1, Relaxed) % 100,
    )
}

/// A shell and all that it has started, which end with it.
pub(crate) struct Session {
    group: Pid,
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: PathBuf,
}

impl Session {
    /// Starts a shell in a directory, with the programs before all others in its path.
    pub(crate) fn start(directory: &Path, ip: Ipv4Addr, programs: &Path) -> Self {
        let mut path = OsString::from(programs);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let errors = directory.join("stderr.log");
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(directory)
            .env_clear()
            .env("PATH", path)
            .env("HOME", directory)
            // The settings that the manual leaves at their defaults, on the address of this
            // session.
            .env("GAGGLE_PEER_ADDR", format!("{ip}:8001"))
            .env("GAGGLE_API_ADDR", format!("{ip}:9999"))
            .env("GAGGLE_ADMIN_ADDR", format!("{ip}:9990"))
            .env("GAGGLECTL_API_ADDR", format!("{ip}:9999"))
            .env("GAGGLECTL_ADMIN_ADDR", format!("{ip}:9990"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&errors).unwrap())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let id = i32::try_from(child.id().unwrap()).unwrap();
        Self {
            group: Pid::from_raw(id).unwrap(),
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            _child: child,
            errors,
        }
    }

    /// Runs a command, and returns its standard output.
    pub(crate) async fn run(&mut self, command: &str) -> String {
        // A command that ends without a line end gets one, which is no part of what is compared.
        // Its own input is empty: it must not read the commands that follow.
        let script = format!("{{ {command}\n}} < /dev/null\nprintf '\\n%s\\n' '{END}'\n");
        let run = async {
            self.input.write_all(script.as_bytes()).await.unwrap();
            self.input.flush().await.unwrap();
            let mut printed = String::new();
            loop {
                let mut line = Vec::new();
                let read = self.output.read_until(b'\n', &mut line).await.unwrap();
                let line = String::from_utf8_lossy(&line).replace('\r', "");
                if read == 0 || line.trim_end() == END {
                    break printed;
                }
                printed.push_str(&line);
            }
        };
        let Ok(printed) = timeout(PATIENCE, run).await else {
            let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
            panic!("no end after {PATIENCE:?}: $ {command}\n{errors}");
        };
        printed.strip_suffix('\n').unwrap_or(&printed).to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // An error means that nothing of it runs any more.
        let _ = kill_process_group(self.group, Signal::KILL);
        if std::thread::panicking() {
            let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
            println!("--- the end of the session's standard error ---");
            for line in errors
                .lines()
                .rev()
                .take(30)
                .collect::<Vec<_>>()
                .iter()
                .rev()
            {
                println!("{line}");
            }
        }
    }
}
