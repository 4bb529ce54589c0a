//! The requests to nodes, at an interval.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time;

use super::Event;
use super::history::History;
use crate::addr::Addr;
use crate::cli::TopArgs;
use crate::client::{Client, first_of};
use crate::cluster::{self, Cluster};
use crate::key::escaped;
use crate::outcome::Failure;
use crate::output::shown;

/// What to ask, as the keys chose it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wish {
    /// The nodes to ask about the cluster: the first that can be reached is.
    pub(super) entries: Vec<Addr>,
    /// The node whose history is plotted; `None` for the one that is asked about the cluster.
    pub(super) node: Option<Addr>,
    /// The group whose hottest keys are shown; `None` for none.
    pub(super) group: Option<String>,
    pub(super) paused: bool,
}

/// The answers of one round.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// The node that answered `/cluster`.
    pub(super) entry: Option<Addr>,
    pub(super) cluster: Result<Cluster, String>,
    /// The node that the history is of.
    pub(super) plotted: Option<Addr>,
    pub(super) history: Result<History, String>,
    /// The group of the keys, and the keys.
    pub(super) hot: Option<(String, Result<HotKeys, String>)>,
}

/// The document of `GET /hot-keys`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct HotKeys {
    pub(super) keys: Vec<HotKey>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct HotKey {
    /// `None` if the key is not UTF-8.
    pub(super) key: Option<String>,
    pub(super) key64: String,
    pub(super) gets_per_second: f64,
    pub(super) share: f64,
    pub(super) owner_name: String,
}

/// The first round. An error if no node can be asked.
pub(super) async fn first(client: &Client, args: &TopArgs) -> Result<Sample, Failure> {
    let (entry, cluster) = entry(client, &args.admin.addrs).await?;
    if let Some(group) = &args.group
        && !cluster.groups().contains(group.as_str())
    {
        let group = shown(group.as_bytes());
        return Err(Failure::Usage(format!("{entry}: no such group: {group}")));
    }
    let wish = Wish {
        entries: args.admin.addrs.clone(),
        node: None,
        group: args.group.clone(),
        paused: false,
    };
    Ok(rest(client, &wish, Some(entry), Ok(cluster)).await)
}

/// Asks at the interval, and at once when the request changes, until the receiver of the answers
/// is gone.
pub(super) async fn run(
    client: Client,
    every: Duration,
    mut wish: watch::Receiver<Arc<Wish>>,
    events: Sender<Event>,
) {
    loop {
        let wanted = Arc::clone(&wish.borrow_and_update());
        if wanted.paused {
            if wish.changed().await.is_err() {
                return;
            }
            continue;
        }
        let asked = round(&client, &wanted).await;
        if events.send(Event::Sample(Box::new(asked))).await.is_err() {
            return;
        }
        // Ends with the interval, or earlier when there is something else to ask.
        if let Ok(Err(_)) = time::timeout(every, wish.changed()).await {
            return;
        }
    }
}

async fn round(client: &Client, wish: &Wish) -> Sample {
    let (entry, cluster) = match quiet_entry(client, &wish.entries).await {
        Ok((addr, cluster)) => (Some(addr), Ok(cluster)),
        Err(failure) => (None, Err(failure.to_string())),
    };
    rest(client, wish, entry, cluster).await
}

/// The requests to the nodes once it is known which can be asked.
async fn rest(
    client: &Client,
    wish: &Wish,
    entry: Option<Addr>,
    cluster: Result<Cluster, String>,
) -> Sample {
    let at = Instant::now();
    let plotted = wish.node.clone().or_else(|| entry.clone());
    let history = match &plotted {
        Some(addr) => json(client, addr, "/history").await,
        None => Err("no node can be asked".to_owned()),
    };
    let hot = match (&wish.group, &plotted) {
        (Some(group), Some(addr)) => {
            let target = format!("/hot-keys?group={}", escaped(group.as_bytes()));
            Some((group.clone(), json(client, addr, &target).await))
        }
        _ => None,
    };
    Sample {
        at,
        entry,
        cluster,
        plotted,
        history,
        hot,
    }
}

async fn json<T: serde::de::DeserializeOwned>(
    client: &Client,
    addr: &Addr,
    target: &str,
) -> Result<T, String> {
    let reply = cluster::page(client, addr, target).await;
    reply
        .and_then(|reply| reply.json())
        .map_err(|failure| failure.to_string())
}

/// The first node that can be reached, and its view of the cluster. Prints which cannot.
async fn entry(client: &Client, addrs: &[Addr]) -> Result<(Addr, Cluster), Failure> {
    first_of(addrs, async |addr| view(client, addr).await).await
}

/// The same without notes, which would be written over the screen.
async fn quiet_entry(client: &Client, addrs: &[Addr]) -> Result<(Addr, Cluster), Failure> {
    let mut last = Failure::Usage("no address to ask".to_owned());
    for addr in addrs {
        match view(client, addr).await {
            Err(failure @ Failure::Unreachable(_)) => last = failure,
            answer => return answer,
        }
    }
    Err(last)
}

async fn view(client: &Client, addr: &Addr) -> Result<(Addr, Cluster), Failure> {
    let cluster = cluster::ask(client, addr).await?.json()?;
    Ok((addr.clone(), cluster))
}
