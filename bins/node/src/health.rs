//! `gaggle-node health`: what a container's health check runs, so that an image needs no curl.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::cli::HealthArgs;

/// Longer than a healthy node ever takes, shorter than the usual timeout of a container's check.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &HealthArgs) -> ExitCode {
    match ask(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            crate::complain(&format!("{failure:#}"));
            ExitCode::FAILURE
        }
    }
}

fn ask(args: &HealthArgs) -> anyhow::Result<()> {
    // A node that listens on all addresses is asked on this machine's own.
    let addr = match args.admin_addr.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => args.admin_addr.clone(),
    };
    let url = format!("http://{addr}/readyz");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()?;
        let answer = client
            .get(&url)
            .send()
            .await
            .with_context(|| format!("{url} cannot be asked"))?;
        ensure!(
            answer.status().is_success(),
            "{url} answered {}",
            answer.status()
        );
        Ok(())
    })
}
