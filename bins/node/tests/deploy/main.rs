//! The files in `deploy/` fit the binary: it accepts the configurations, the manifests agree with
//! each other, and shells and `man` accept what the binary generates.
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

/// Runs the binary to its end with only these variables in its environment.
fn node(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut node = Command::new(env!("CARGO_BIN_EXE_gaggle-node"));
    node.env_clear()
        .args(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    node.output().unwrap()
}

/// The output of a run, which must succeed.
fn printed(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout.clone()).unwrap()
}
