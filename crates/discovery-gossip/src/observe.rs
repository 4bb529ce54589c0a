//! Makes a list of chitchat's live nodes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use chitchat::{ChitchatId, NodeState};
use tokio::sync::watch;

use crate::node::{Node, newest};
use crate::wire::Id;

/// Gossip has ended by itself, which it never should.
#[derive(Debug, Clone, thiserror::Error)]
#[error("it has ended: {0}")]
pub(crate) struct Ended(Arc<str>);

/// The list as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) nodes: Arc<[Node]>,
    pub(crate) ended: Option<Ended>,
}

impl Seen {
    /// Only this node, as it is at the start.
    pub(crate) fn alone(own: Node) -> Self {
        Self {
            nodes: Arc::new([own]),
            ended: None,
        }
    }
}

type Live = BTreeMap<ChitchatId, NodeState>;

/// Maintains the list until chitchat ends, and then reports that.
pub(crate) async fn observe(
    mut live: watch::Receiver<Live>,
    ended: impl Future<Output = anyhow::Result<()>>,
    seen: watch::Sender<Seen>,
    own: Id,
    name: String,
) {
    let mut ended = std::pin::pin!(ended);
    let mut namesake = None;
    loop {
        let nodes = nodes(&live.borrow_and_update());
        let other = namesake_of(&nodes, own, &name);
        if other != namesake {
            if let Some(node) = &other {
                let (address, gossip) = (&node.address, node.gossip);
                tracing::error!(name, address, %gossip, "gossip: another node has this one's name");
            }
            namesake = other;
        }
        seen.send_if_modified(|seen| {
            // Before its first round, chitchat does not know this node either.
            let differs = !nodes.is_empty() && *seen.nodes != nodes[..];
            if differs {
                seen.nodes = nodes.into();
            }
            differs
        });
        let end = tokio::select! {
            changed = live.changed() => match changed {
                Ok(()) => continue,
                Err(_) => "stopped".to_owned(),
            },
            end = &mut ended => match end {
                Ok(()) => "stopped".to_owned(),
                Err(failure) => format!("{failure:#}"),
            },
        };
        tracing::error!(end, "gossip has ended: this node learns of no more changes");
        seen.send_modify(|seen| seen.ended = Some(Ended(end.into())));
        return;
    }
}

fn nodes(live: &Live) -> Vec<Node> {
    newest(
        live.iter()
            .filter_map(|(id, state)| Node::of(id, state))
            .collect(),
    )
}

/// The node that was started later than this one with the same name, and is in the list instead.
fn namesake_of(nodes: &[Node], own: Id, name: &str) -> Option<Node> {
    let node = nodes.iter().find(|node| node.name == name)?;
    let same = node.generation == own.generation && node.gossip == own.address;
    (!same).then(|| node.clone())
}
