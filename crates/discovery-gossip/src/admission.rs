//! Filters the nodes, and the news of them, that chitchat gets.
//!
//! chitchat keeps every identity in a message until it has been dead for the grace period, and
//! treats each rise of a heartbeat as a sign of life. Both are bounded here:
//!
//! * At most [`MAX_NODES`] identities are known at a time. A further one is removed from the
//!   message.
//! * A node's heartbeat rises at most once an interval. It rises with every message that a node
//!   handles, so in a small and busy cluster chitchat would expect one every few milliseconds, and
//!   declare a node dead that paused for a tenth of a second.
//! * Only this node describes itself: news of it from others is ignored.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::{Id, Known, MAX_NODES, Message};

/// An identity that chitchat knows.
#[derive(Debug)]
struct Admitted {
    heartbeat: u64,
    /// When the heartbeat last rose.
    rose: Instant,
    /// When a message last contained it.
    told: Instant,
}

pub(crate) struct Admission {
    own: Id,
    interval: Duration,
    /// After this time without a message about it, chitchat has forgotten an identity as well.
    forgotten: Duration,
    nodes: HashMap<Id, Admitted>,
}

impl Admission {
    pub(crate) fn new(own: Id, interval: Duration, grace: Duration) -> Self {
        Self {
            own,
            interval,
            // A dead node is gossiped about for half the grace period, and forgotten after all of
            // it.
            forgotten: grace * 2,
            nodes: HashMap::new(),
        }
    }

    /// Removes from the message what must not be accepted. Returns the number of nodes over the
    /// limit, and the version of this node's own values that the sender has, if the message
    /// contains it.
    pub(crate) fn filter(&mut self, message: &mut Message) -> (usize, Option<u64>) {
        let now = Instant::now();
        let mut refused = 0;
        let mut own_version = None;
        if let Some(known) = message.known_mut() {
            own_version = Some(0);
            known.retain_mut(|node| {
                if node.id == self.own {
                    own_version = Some(node.version);
                    return true;
                }
                let admitted = self.admit(node, now);
                refused += usize::from(!admitted);
                admitted
            });
        }
        if let Some(news) = message.news_mut() {
            news.retain(|news| self.nodes.contains_key(&news.id));
        }
        (refused, own_version)
    }

    fn admit(&mut self, node: &mut Known, now: Instant) -> bool {
        if let Some(admitted) = self.nodes.get_mut(&node.id) {
            admitted.told = now;
            if node.heartbeat > admitted.heartbeat && now - admitted.rose >= self.interval {
                admitted.heartbeat = node.heartbeat;
                admitted.rose = now;
            }
            node.heartbeat = admitted.heartbeat;
            return true;
        }
        // This node is one of them.
        if self.nodes.len() + 1 >= MAX_NODES {
            let forgotten = self.forgotten;
            self.nodes.retain(|_, node| now - node.told < forgotten);
        }
        if self.nodes.len() + 1 >= MAX_NODES {
            return false;
        }
        let admitted = Admitted {
            heartbeat: node.heartbeat,
            rose: now,
            told: now,
        };
        self.nodes.insert(node.id, admitted);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::wire::{News, Value};

    const INTERVAL: Duration = Duration::from_millis(250);
    const GRACE: Duration = Duration::from_secs(60);

    fn id(port: u16) -> Id {
        Id {
            generation: 7,
            address: ([10, 0, 0, 1], port).into(),
        }
    }

    fn syn(nodes: impl IntoIterator<Item = (u16, u64)>) -> Message {
        Message::Syn {
            known: nodes
                .into_iter()
                .map(|(port, heartbeat)| Known {
                    id: id(port),
                    heartbeat,
                    version: 3,
                })
                .collect(),
            cluster: "gaggle".into(),
        }
    }

    fn heartbeats(mut message: Message) -> Vec<u64> {
        message
            .known_mut()
            .unwrap()
            .iter()
            .map(|known| known.heartbeat)
            .collect()
    }

    fn filtered(admission: &mut Admission, mut message: Message) -> Message {
        admission.filter(&mut message);
        message
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_rises_once_an_interval() {
        let mut admission = Admission::new(id(1), INTERVAL, GRACE);
        assert_eq!(heartbeats(filtered(&mut admission, syn([(2, 5)]))), [5]);
        assert_eq!(heartbeats(filtered(&mut admission, syn([(2, 9)]))), [5]);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(heartbeats(filtered(&mut admission, syn([(2, 12)]))), [12]);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(heartbeats(filtered(&mut admission, syn([(2, 11)]))), [12]);
    }

    #[tokio::test(start_paused = true)]
    async fn identities_are_bounded_and_make_room_when_they_are_forgotten() {
        let mut admission = Admission::new(id(1), INTERVAL, GRACE);
        let most = u16::try_from(MAX_NODES).unwrap();
        let mut full = syn((2..most + 1).map(|port| (port, 1)));
        assert_eq!(admission.filter(&mut full), (0, Some(0)));
        let mut more = syn([(most + 1, 1), (2, 2), (1, 1)]);
        assert_eq!(admission.filter(&mut more), (1, Some(3)));
        assert_eq!(more.known_mut().unwrap().len(), 2);
        tokio::time::advance(GRACE * 2).await;
        assert_eq!(admission.filter(&mut syn([(most + 1, 1)])), (0, Some(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_tells_this_node_what_it_is() {
        let mut admission = Admission::new(id(1), INTERVAL, GRACE);
        admission.filter(&mut syn([(2, 1)]));
        let news = |port| News {
            id: id(port),
            after: 0,
            values: vec![Value {
                key: Key::Name,
                value: "forged".into(),
                version: 1,
            }],
            upto: 1,
        };
        let mut ack = Message::Ack {
            news: vec![news(1), news(2), news(3)],
        };
        admission.filter(&mut ack);
        assert_eq!(
            ack,
            Message::Ack {
                news: vec![news(2)]
            }
        );
    }
}
