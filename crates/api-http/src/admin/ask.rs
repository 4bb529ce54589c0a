//! Asks every node of the cluster the same, at the same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Group, Groups, Inspect, Inspected, Key, Member, Peer, PeerError, PeerRequests};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::reply;

/// How long a node has to answer.
const WITHIN: Duration = Duration::from_secs(2);

/// How many nodes are asked at the same time.
const AT_ONCE: usize = 64;

/// What every node is asked.
#[derive(Clone)]
pub(super) enum Question {
    Report,
    Held { group: Arc<str>, key: Key },
}

impl Question {
    fn as_inspect(&self) -> Inspect<'_> {
        match self {
            Self::Report => Inspect::Report,
            Self::Held { group, key } => Inspect::Held { group, key },
        }
    }
}

/// A node, and how it answered.
pub(super) struct Asked {
    pub(super) node: Member,
    /// Whether it is a member of the ring: a gateway shows itself, too.
    pub(super) is_member: bool,
    pub(super) answer: Answer,
    /// How long it took; this node is not asked over the network.
    pub(super) rtt: Option<Duration>,
}

pub(super) enum Answer {
    Found(Inspected),
    /// It answers, and not what it was asked.
    Refused(String),
    Unreached(String),
}

impl Asked {
    pub(super) fn is_reached(&self) -> bool {
        !matches!(self.answer, Answer::Unreached(_))
    }

    pub(super) fn error(&self) -> Option<String> {
        match &self.answer {
            Answer::Found(_) => None,
            Answer::Refused(error) | Answer::Unreached(error) => Some(reply::error_line(error)),
        }
    }
}

/// Every member of the ring as this node knows it, in the ring's order, with its answer. A node
/// that is in no ring comes first.
pub(super) async fn all(groups: &Groups, question: &Question) -> Vec<Asked> {
    let Some(router) = groups.iter().next().map(Group::router) else {
        return Vec::new();
    };
    let mut handles: HashMap<Arc<str>, Arc<dyn Peer>> = HashMap::new();
    for peer in router.peers() {
        handles.insert(peer.name().into(), peer);
    }
    let members = router.members();
    let is_member = members.iter().any(|member| member.is_self);
    let me = (!is_member).then(|| Member {
        name: router.me(),
        address: router.address(),
        is_self: true,
        up: true,
        requests: PeerRequests::default(),
    });
    let nodes = me.into_iter().chain(members);
    let mut asked = Vec::new();
    // Ended when the client disconnects.
    let mut under_way = JoinSet::new();
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    for (at, node) in nodes.enumerate() {
        let answer = if node.is_self {
            let found = groups.inspect(question.as_inspect());
            found.map_or_else(
                || Answer::Refused("it has no such group".to_owned()),
                Answer::Found,
            )
        } else {
            if let Some(peer) = handles.remove(&node.name) {
                let (question, slots) = (question.clone(), Arc::clone(&slots));
                under_way.spawn(async move {
                    // The error is a closed semaphore, which this one never is.
                    let _slot = slots.acquire().await;
                    (at, ask(&*peer, &question).await)
                });
            }
            // Until it answers.
            Answer::Unreached("this node has no connection to it".to_owned())
        };
        asked.push(Asked {
            is_member: !node.is_self || is_member,
            node,
            answer,
            rtt: None,
        });
    }
    while let Some(answered) = under_way.join_next().await {
        // The error is a panic of a transport, which is logged.
        if let Ok((at, (answer, rtt))) = answered
            && let Some(asked) = asked.get_mut(at)
        {
            (asked.answer, asked.rtt) = (answer, rtt);
        }
    }
    asked
}

async fn ask(peer: &dyn Peer, question: &Question) -> (Answer, Option<Duration>) {
    let began = Instant::now();
    let answered = timeout(WITHIN, peer.inspect(question.as_inspect())).await;
    let took = began.elapsed();
    match answered {
        Ok(Ok(found)) => (Answer::Found(found), Some(took)),
        Ok(Err(error @ PeerError::Unavailable { .. })) => {
            (Answer::Unreached(error.to_string()), None)
        }
        Ok(Err(error)) => (Answer::Refused(error.to_string()), Some(took)),
        Err(_) => {
            let line = format!("no answer within {} s", WITHIN.as_secs());
            (Answer::Unreached(line), None)
        }
    }
}
