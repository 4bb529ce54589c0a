//! The configurations that the image, the Compose cluster and the manifests for Kubernetes come
//! with.

use std::fs;
use std::path::{Path, PathBuf};

use crate::engine::{attempt, checkout};

fn read(file: &str) -> String {
    let path = checkout().join(file);
    fs::read_to_string(&path).unwrap_or_else(|failure| panic!("{file}: {failure}"))
}

/// The node's configuration in the manifests.
const KUBERNETES: &str = "deploy/kubernetes/gaggle.toml";

/// The machine that runs the tests has neither the directories nor the names and secrets that
/// these configurations need.
async fn check_offline(file: &Path) {
    let check = [
        env!("CARGO_BIN_EXE_gaggle-node"),
        "check",
        "--offline",
        "--config",
        file.to_str().unwrap(),
    ];
    attempt(&check, crate::PATIENCE)
        .await
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn the_shipped_configurations_are_accepted() {
    for file in [
        "deploy/images/gaggle.toml",
        "deploy/compose/gaggle.toml",
        "deploy/compose/gateway.toml",
        KUBERNETES,
    ] {
        check_offline(&checkout().join(file)).await;
    }
}

/// `security.insecure` is for a network without other machines, such as the one that Compose
/// makes.
#[test]
fn only_the_network_without_outside_access_has_no_token() {
    let compose = read("docker-compose.yml");
    let published: Vec<&str> = compose
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("ports:"))
        .collect();
    assert_eq!(published, [r#"ports: ["127.0.0.1:9999:9999"]"#]);
    assert!(compose.contains("\n  cluster:\n    internal: true\n"));

    let says = |text: &str, line: &str| text.lines().any(|of| of.trim() == line);
    for file in ["deploy/compose/gaggle.toml", "deploy/compose/gateway.toml"] {
        assert!(says(&read(file), "insecure = true"), "{file}");
    }
    let gateway = read("deploy/compose/gateway.toml");
    assert!(says(&gateway, r#"admin-addr = "127.0.0.1:9990""#));

    let image = read("deploy/images/gaggle.toml");
    assert!(!says(&image, "insecure = true"), "deploy/images");
    let pod = read(KUBERNETES);
    assert!(!says(&pod, "insecure = true"), "deploy/kubernetes");
    assert!(says(&pod, r#"token-file = "/run/secrets/gaggle/token""#));
}

#[test]
fn no_secret_is_shipped() {
    let kubernetes = checkout().join("deploy/kubernetes");
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["", "database", "monitoring", "snapshots", "tls"] {
        let entries = fs::read_dir(kubernetes.join(folder)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    assert!(files.len() > 8, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let is_secret = text.lines().any(|line| line.trim() == "kind: Secret");
        assert!(!is_secret, "{}", file.display());
    }
}
