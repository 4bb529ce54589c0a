//! The configurations that the image, the Compose cluster and the manifests for Kubernetes come with.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::engine::{attempt, checkout};

fn read(file: &str) -> String {
    let path = checkout().join(file);
    fs::read_to_string(&path).unwrap_or_else(|failure| panic!("{file}: {failure}"))
}

/// The node's configuration in the manifests: the last entry of its ConfigMap, without the indentation.
fn of_kubernetes() -> String {
    let manifest = read("deploy/kubernetes/configmap.yaml");
    let (_, block) = manifest.split_once("  gaggle.toml: |\n").unwrap();
    let lines = block
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// Neither the directories nor the names and secrets that these are made for are on the machine that runs the tests.
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
        "deploy/compose/door.toml",
    ] {
        check_offline(&checkout().join(file)).await;
    }
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("gaggle.toml");
    fs::write(&file, of_kubernetes()).unwrap();
    check_offline(&file).await;
}

/// `security.insecure` is for a network that nobody else is on, which is what Compose makes.
#[test]
fn only_the_network_without_a_way_in_goes_without_a_token() {
    let compose = read("docker-compose.yml");
    let published: Vec<&str> = compose
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("ports:"))
        .collect();
    assert_eq!(published, [r#"ports: ["127.0.0.1:9999:9999"]"#]);
    assert!(compose.contains("\n  cluster:\n    internal: true\n"));

    let says = |text: &str, line: &str| text.lines().any(|of| of.trim() == line);
    for file in ["deploy/compose/gaggle.toml", "deploy/compose/door.toml"] {
        assert!(says(&read(file), "insecure = true"), "{file}");
    }
    let door = read("deploy/compose/door.toml");
    assert!(says(&door, r#"admin-addr = "127.0.0.1:9990""#));

    let image = read("deploy/images/gaggle.toml");
    assert!(!says(&image, "insecure = true"), "deploy/images");
    let pod = of_kubernetes();
    assert!(!says(&pod, "insecure = true"), "deploy/kubernetes");
    assert!(says(&pod, r#"token-file = "/run/secrets/gaggle/token""#));
}

#[test]
fn no_secret_is_shipped() {
    let kubernetes = checkout().join("deploy/kubernetes");
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in [kubernetes.clone(), kubernetes.join("tls")] {
        let entries = fs::read_dir(folder).unwrap();
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
