//! What `deploy/` ships for a node fits the binary: its configurations are accepted, its manifests
//! agree with one another, and shells and `man` take what the binary makes for them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

mod generate;
mod kubernetes;
mod kustomize;
mod systemd;

/// A file or folder below `deploy`.
fn deploy(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(path)
}

/// The binary with nothing in its environment but this, run to its end.
fn node(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut node = Command::new(env!("CARGO_BIN_EXE_gaggle-node"));
    node.env_clear()
        .args(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    node.output().unwrap()
}

/// What a run that succeeds prints.
fn printed(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout.clone()).unwrap()
}
