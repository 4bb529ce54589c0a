//! `gagglectl cluster`: every node of the cluster, found from one.

use hyper::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::addr::Addr;
use crate::cli::ClusterArgs;
use crate::client::{Client, MAX_DOCUMENT, Reply, first_of};
use crate::outcome::{Failure, Outcome};
use crate::output::{self, shown};

mod document;
mod table;

pub(crate) use document::{Cluster, GroupCounters, Node, NodeStatus};

pub(crate) async fn run(client: &Client, args: &ClusterArgs) -> Result<Outcome, Failure> {
    let reply = first_of(&args.admin.addrs, async |addr| ask(client, addr).await).await?;
    let cluster: Cluster = reply.json()?;
    if args.json {
        let document: Value = reply.json()?;
        let text = serde_json::to_string_pretty(&document);
        let text = text.map_err(|error| Failure::Failed(format!("no document: {error}")))?;
        output::answer(format!("{text}\n").as_bytes())?;
    } else {
        output::answer(table::render(&cluster).as_bytes())?;
    }
    for node in &cluster.nodes {
        if !node.reached {
            let reason = node.error.as_deref().unwrap_or("no reason is told");
            output::note(&format!(
                "{} ({}) did not answer {}: {}",
                shown(node.name.as_bytes()),
                shown(node.address.as_bytes()),
                shown(cluster.node.as_bytes()),
                shown(reason.as_bytes()),
            ));
        }
    }
    let agree = cluster.agrees();
    if !agree {
        output::note("the nodes do not have the same ring: the column RING tells which differ");
    }
    let all = agree && cluster.nodes.iter().all(|node| node.reached);
    Ok(if all {
        Outcome::Complete
    } else {
        Outcome::Missed
    })
}

/// What one node knows about all of them.
pub(crate) async fn ask(client: &Client, addr: &Addr) -> Result<Reply, Failure> {
    page(client, addr, "/cluster").await
}

/// An admin page that earlier releases do not have.
pub(crate) async fn page(client: &Client, addr: &Addr, target: &str) -> Result<Reply, Failure> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let reply = client.ask(Method::GET, addr, target, MAX_DOCUMENT).await?;
    // A 404 is also the answer to an unknown group, which has its own text.
    if reply.status != 404 || reply.body.starts_with(b"no such group: ") {
        return reply.ok();
    }
    let path = target.split('?').next().unwrap_or(target);
    // The release helps the reader. That it cannot be asked was already reported.
    let status = crate::status::ask(client, addr).await;
    let version = status.and_then(|status| status.json::<Version>());
    let version = version.map_or(String::new(), |Version { version }| {
        format!(" {}", shown(version.as_bytes()))
    });
    Err(Failure::Failed(format!(
        "{addr}: this node has no {path}: its release{version} is too old for this command"
    )))
}
