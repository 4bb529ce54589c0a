//! Processes of the Go node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::Process;

/// A running Go node.
pub(crate) struct GoNode {
    pub(crate) api: SocketAddr,
    pub(crate) process: Process,
}

impl GoNode {
    /// Starts a node and waits until it listens.
    pub(crate) async fn start(me: SocketAddr, peers: &str, origin: &str) -> Self {
        let mut command = Command::new(binary());
        command.env_clear().stdin(Stdio::null());
        command.args(["-addr", &me.to_string(), "-peers", peers, "-origin", origin]);
        command.args([
            "-self",
            &format!("http://{me}"),
            "-api",
            &format!("{}:0", me.ip()),
        ]);
        let process = Process::spawn(&format!("the Go node on {me}"), command);
        let listening = process.logged("listening").await;
        Self {
            api: listening["api"].as_str().unwrap().parse().unwrap(),
            process,
        }
    }
}

/// The program, built once for all tests of a run.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-node");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&binary)
            .arg(".")
            .current_dir(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../interop/go-node"
            ))
            .env("GO111MODULE", "off")
            .env("GOPATH", "/usr/share/gocode")
            .env("CGO_ENABLED", "0")
            .status()
            .expect("go is not there; interop/install installs it");
        assert!(built.success(), "go build: {built}");
        binary
    })
}
