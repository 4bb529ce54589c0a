//! Docker's command line, and the image under test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// The name that docker-compose.yml gives the image.
pub(crate) const IMAGE: &str = "gaggle-node";

/// A whole release build, on two cores.
const BUILD: Duration = Duration::from_secs(3600);

pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Runs a command in the checkout to its end. Returns its standard output, or all its output if it
/// failed.
pub(crate) async fn attempt(words: &[&str], within: Duration) -> Result<String, String> {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .current_dir(checkout())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(within, command.output())
        .await
        .map_err(|_| format!("{words:?}: not within {within:?}"))?
        .map_err(|failure| format!("{words:?}: {failure}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout).trim().to_owned());
    }
    Err(format!(
        "{words:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    ))
}

/// Like [`attempt`], for a command that must succeed.
pub(crate) async fn run(words: &[&str]) -> String {
    attempt(words, crate::PATIENCE)
        .await
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// One field of a container or an image, by a Go template.
pub(crate) async fn inspect(what: &str, template: &str) -> String {
    run(&["docker", "inspect", "--format", template, what]).await
}

/// The spellings of Compose that this machine has: `docker compose`, `docker-compose`.
pub(crate) async fn spellings() -> Vec<Vec<&'static str>> {
    let mut present = Vec::new();
    for words in [vec!["docker", "compose"], vec!["docker-compose"]] {
        let asked = [&words[..], &["version"]].concat();
        if attempt(&asked, crate::PATIENCE).await.is_ok() {
            present.push(words);
        }
    }
    assert!(
        !present.is_empty(),
        "neither `docker compose` nor `docker-compose` is here"
    );
    present
}

/// Builds the image once for all tests, from the Dockerfile through docker-compose.yml, after
/// providing base images. With `GAGGLE_IMAGE_BUILT` set, it uses the existing image.
pub(crate) async fn built() {
    static BUILT: OnceCell<Result<(), String>> = OnceCell::const_new();
    let built = BUILT.get_or_init(build).await;
    if let Err(failure) = built {
        // Each test reports the failure; none tries again.
        panic!("{failure}");
    }
}

async fn build() -> Result<(), String> {
    if std::env::var_os("GAGGLE_IMAGE_BUILT").is_some() {
        return Ok(());
    }
    attempt(&["deploy/images/stand-ins"], BUILD).await?;
    let build = [&spellings().await[0][..], &["build"]].concat();
    attempt(&build, BUILD).await.map(drop)
}
