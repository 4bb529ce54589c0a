//! `gagglectl stats`: what the groups of each node count, and the sums over the nodes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::addr::Addr;
use crate::cli::StatsArgs;
use crate::client::Client;
use crate::outcome::{Failure, Outcome};
use crate::output::{self, shown};
use crate::status::{self, Counters, Status};

mod table;

/// How many nodes are asked at a time.
const AT_ONCE: usize = 32;

/// A node that answered.
pub(crate) struct Node {
    pub(crate) addr: Addr,
    pub(crate) status: Status,
    /// Its whole answer.
    document: Value,
}

/// The document of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    nodes: Vec<NodeReport<'a>>,
    missed: Vec<MissedReport>,
    /// By group; each counter under the name that a node has for it.
    totals: BTreeMap<&'a str, Counters>,
}

#[derive(Serialize)]
struct NodeReport<'a> {
    addr: String,
    status: &'a Value,
}

#[derive(Serialize)]
struct MissedReport {
    addr: String,
    error: String,
}

pub(crate) async fn run(client: &Client, args: &StatsArgs) -> Result<Outcome, Failure> {
    let mut nodes = Vec::new();
    let mut missed = Vec::new();
    for (addr, answer) in ask_all(client, &args.admin_addrs).await? {
        match answer {
            Ok(node) => nodes.push(node),
            Err(failure) => missed.push((addr, failure)),
        }
    }
    if nodes.is_empty()
        && let Some((_, last)) = missed.pop()
    {
        note_missed(&missed);
        return Err(last);
    }
    note_missed(&missed);
    if let Some(group) = &args.group {
        only(&mut nodes, group)?;
    }
    let complete = missed.is_empty();
    if args.json {
        let mut text = report(&nodes, missed)?;
        text.push('\n');
        output::answer(text.as_bytes())?;
    } else {
        output::answer(table::render(&nodes).as_bytes())?;
    }
    Ok(if complete {
        Outcome::Complete
    } else {
        Outcome::Missed
    })
}

/// Leaves the counters of one group. An error where no node has it.
fn only(nodes: &mut [Node], group: &str) -> Result<(), Failure> {
    if !nodes
        .iter()
        .any(|node| node.status.groups.contains_key(group))
    {
        let group = shown(group.as_bytes());
        return Err(Failure::Usage(format!("no such group: {group}")));
    }
    for node in nodes {
        node.status.groups.retain(|name, _| name == group);
        let groups = node.document.get_mut("groups");
        if let Some(groups) = groups.and_then(Value::as_object_mut) {
            groups.retain(|name, _| name == group);
        }
    }
    Ok(())
}

fn note_missed(missed: &[(Addr, Failure)]) {
    for (_, failure) in missed {
        output::note(&failure.to_string());
    }
}

/// Asks each node once, several at a time, so that nodes that are down do not make the others
/// wait. The results are in the given order.
pub(crate) async fn ask_all(
    client: &Client,
    addrs: &[Addr],
) -> Result<Vec<(Addr, Result<Node, Failure>)>, Failure> {
    let mut waiting: Vec<(usize, Addr)> = Vec::new();
    for addr in addrs {
        if waiting.iter().all(|(_, known)| known != addr) {
            waiting.push((waiting.len(), addr.clone()));
        }
    }
    let mut waiting = waiting.into_iter();
    let mut asking = JoinSet::new();
    let mut answers = BTreeMap::new();
    loop {
        for (at, addr) in waiting.by_ref().take(AT_ONCE - asking.len()) {
            let client = client.clone();
            asking.spawn(async move {
                let answer = ask(&client, &addr).await;
                (at, (addr, answer))
            });
        }
        match asking.join_next().await {
            Some(Ok((at, answer))) => answers.insert(at, answer),
            Some(Err(error)) => {
                return Err(Failure::Failed(format!("a request ended early: {error}")));
            }
            None => return Ok(answers.into_values().collect()),
        };
    }
}

async fn ask(client: &Client, addr: &Addr) -> Result<Node, Failure> {
    let reply = status::ask(client, addr).await?;
    Ok(Node {
        addr: addr.clone(),
        status: reply.json()?,
        document: reply.json()?,
    })
}

/// The sums over the nodes, by group.
fn totals(nodes: &[Node]) -> BTreeMap<&str, Counters> {
    let mut totals: BTreeMap<&str, Counters> = BTreeMap::new();
    for (group, counters) in nodes.iter().flat_map(|node| &node.status.groups) {
        *totals.entry(group).or_default() += counters;
    }
    totals
}

fn report(nodes: &[Node], missed: Vec<(Addr, Failure)>) -> Result<String, Failure> {
    let report = Report {
        nodes: nodes
            .iter()
            .map(|node| NodeReport {
                addr: node.addr.to_string(),
                status: &node.document,
            })
            .collect(),
        missed: missed
            .into_iter()
            .map(|(addr, failure)| MissedReport {
                addr: addr.to_string(),
                error: failure.to_string(),
            })
            .collect(),
        totals: totals(nodes),
    };
    serde_json::to_string_pretty(&report)
        .map_err(|error| Failure::Failed(format!("the report cannot be written: {error}")))
}
