//! `gaggle-node health`: what a container's health check runs, so that an image needs no curl.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::cli::HealthArgs;
use crate::config::{self, Config, Port};

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
    let config = config::load_for_asking(&args.serve())?;
    let addr = own_address(&config.node.admin_addr);
    let scheme = match config.security.tls_of(Port::Admin) {
        Some(_) => "https",
        None => "http",
    };
    let url: Uri = format!("{scheme}://{addr}/readyz")
        .parse()
        .with_context(|| format!("{addr} is no address"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let answer = match tls_connector(&config)? {
            Some(tls) => get(tls, &url).await,
            None => get(HttpConnector::new(), &url).await,
        };
        let status = answer.with_context(|| format!("{url} cannot be asked"))?;
        ensure!(status.is_success(), "{url} answered {status}");
        Ok(())
    })
}

/// A node that listens on all addresses is asked on this machine's own.
fn own_address(admin_addr: &str) -> String {
    match admin_addr.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => admin_addr.to_owned(),
    }
}

/// Connections over TLS, where the admin port speaks that. They are made as by any other node: the
/// certificate may be for the address that is dialled, the one that peers use, the node's name, or
/// the one that all nodes share.
fn tls_connector(config: &Config) -> anyhow::Result<Option<HttpsConnector<HttpConnector>>> {
    if config.security.tls_of(Port::Admin).is_none() {
        return Ok(None);
    }
    let Some(tls) = config.security.open_tls()? else {
        return Ok(None);
    };
    let node = &config.node;
    let names = [&node.advertise, &node.name].into_iter().flatten();
    let client = tls.client().peer_named(names.map(String::as_str)).config();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config((*client).clone())
        .https_only()
        .enable_http1()
        .build();
    Ok(Some(connector))
}

async fn get<C>(connector: C, url: &Uri) -> anyhow::Result<StatusCode>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client: Client<C, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let answer = timeout(PATIENCE, client.get(url.clone())).await;
    let answer = answer.context("no answer in time")??;
    Ok(answer.status())
}
