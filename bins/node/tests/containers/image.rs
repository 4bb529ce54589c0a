//! What the image holds, and what it does without any configuration.

use std::collections::BTreeSet;

use crate::engine::{IMAGE, built, checkout, inspect, run};
use crate::stack::alone;
use crate::{PATIENCE, until};

const MEGABYTE: f64 = 1e6;

/// The image that the last stage of the Dockerfile starts from.
fn base() -> String {
    let dockerfile = std::fs::read_to_string(checkout().join("Dockerfile")).unwrap();
    let from = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "))
        .next_back();
    from.unwrap().into()
}

/// A container, removed when it goes out of scope.
struct Container(String);

impl Container {
    async fn new(words: &[&str]) -> Self {
        Self(run(&[&["docker"], words].concat()).await)
    }

    /// The paths of all files in it.
    async fn files(&self) -> BTreeSet<String> {
        let script = "docker export \"$0\" | tar --list";
        run(&["sh", "-c", script, &self.0])
            .await
            .lines()
            .map(Into::into)
            .collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker")
            .args(["rm", "--force", "--volumes", &self.0])
            .output();
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn it_adds_what_runs_and_nothing_else() {
    let _alone = alone().await;
    built().await;
    let size =
        async |image: &str| inspect(image, "{{.Size}}").await.parse::<f64>().unwrap() / MEGABYTE;
    let (whole, below) = (size(IMAGE).await, size(&base()).await);
    let added = whole - below;
    println!("image: {whole:.1} MB, of which {below:.1} MB are its base and {added:.1} MB its own");
    assert!(added < 40.0, "{added} MB above the base");

    let without = Container::new(&["create", &base(), "none"])
        .await
        .files()
        .await;
    let with = Container::new(&["create", IMAGE]).await.files().await;
    let own: Vec<_> = with.difference(&without).map(String::as_str).collect();
    let expected = [
        "data/",
        "etc/gaggle/",
        "etc/gaggle/gaggle.toml",
        "usr/local/bin/gagglectl",
        "usr/local/bin/gaggle-node",
    ];
    // Only some base images have `usr/local/bin` itself.
    let own: BTreeSet<_> = own
        .into_iter()
        .filter(|path| !["usr/local/", "usr/local/bin/"].contains(path))
        .collect();
    assert_eq!(own, BTreeSet::from(expected));
    assert!(!with.iter().any(|path| path.ends_with("bin/sh")), "a shell");
}

#[tokio::test]
#[ignore = "needs a Docker engine: just containers"]
async fn it_runs_alone_as_nobody_and_stops_when_told() {
    let _alone = alone().await;
    built().await;
    let locked = [
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges:true",
    ];
    let node = Container::new(&[&["run", "--detach"], &locked[..], &[IMAGE]].concat()).await;
    assert_eq!(inspect(&node.0, "{{.Config.User}}").await, "65532:65532");
    until("the image's own health check", PATIENCE, async || {
        inspect(&node.0, "{{.State.Health.Status}}").await == "healthy"
    })
    .await;
    // No shell and no curl are needed to look into it.
    let told = run(&[
        "docker",
        "exec",
        &node.0,
        "/usr/local/bin/gagglectl",
        "stats",
    ])
    .await;
    assert!(told.contains("files"), "{told}");
    run(&["docker", "stop", "--time", "30", &node.0]).await;
    assert_eq!(inspect(&node.0, "{{.State.ExitCode}}").await, "0");
}
