//! The nodes that answered at an address.

use std::time::Duration;

use gaggle_group::Greeting;
use tokio::time::Instant;

/// How many times in sequence something other than a node has to answer at a node's address before
/// it is accepted: a proxy may answer for a moment in place of the node.
const DOUBTS: u8 = 3;
/// How long an address counts as shared by several nodes after the last sign of it: each of them
/// answers from time to time.
const AMBIGUOUS_FOR: Duration = Duration::from_secs(60);
/// How many earlier runs at an address are remembered.
const EARLIER: usize = 16;

/// The node that answered last at an address, and earlier ones.
pub(crate) struct Met {
    pub(crate) greeting: Greeting,
    /// The runs before the present one. A run that has ended does not return.
    earlier: Vec<u64>,
    doubts: u8,
    /// When one of them last answered after another one had followed it.
    ambiguous: Option<Instant>,
}

/// The result of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Weighed {
    Same,
    News,
    /// It is not accepted yet.
    Doubted,
    /// A run that another one had followed: several nodes answer at the address.
    Ambiguous,
}

impl Met {
    pub(crate) fn new(greeting: Greeting) -> Self {
        Self {
            greeting,
            earlier: Vec::new(),
            doubts: 0,
            ambiguous: None,
        }
    }

    /// Whether several nodes answer at the address.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.ambiguous
            .is_some_and(|at| at.elapsed() < AMBIGUOUS_FOR)
    }

    /// Records an answer.
    pub(crate) fn weigh(&mut self, answer: Greeting) -> Weighed {
        let weighed = match (&self.greeting, &answer) {
            (Greeting::Node(known), Greeting::Node(hello)) => {
                let (known, id) = (known.instance.id, hello.instance.id);
                if known != id && self.earlier.contains(&id) {
                    self.ambiguous = Some(Instant::now());
                    return Weighed::Ambiguous;
                }
                if known != id {
                    self.earlier.push(known);
                    let over = self.earlier.len().saturating_sub(EARLIER);
                    self.earlier.drain(..over);
                }
                match says_the_same(&self.greeting, &answer) {
                    true => Weighed::Same,
                    false => Weighed::News,
                }
            }
            (Greeting::Node(_), _) if self.doubts + 1 < DOUBTS => {
                self.doubts += 1;
                return Weighed::Doubted;
            }
            _ if says_the_same(&self.greeting, &answer) => Weighed::Same,
            _ => Weighed::News,
        };
        self.doubts = 0;
        self.greeting = answer;
        weighed
    }
}

/// Whether two greetings mean the same for the ring.
fn says_the_same(before: &Greeting, now: &Greeting) -> bool {
    match (before, now) {
        (Greeting::Node(before), Greeting::Node(now)) => {
            before.instance == now.instance
                && before.cluster == now.cluster
                && before.name == now.name
                && before.address == now.address
                && before.member == now.member
        }
        (Greeting::Nameless, Greeting::Nameless)
        | (Greeting::Stranger(_), Greeting::Stranger(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use gaggle_group::{Hello, Instance};

    use super::*;

    fn node(id: u64) -> Greeting {
        let mut hello = Hello::default();
        hello.instance = Instance { started: 1, id };
        Greeting::Node(hello)
    }

    #[test]
    fn a_node_that_starts_again_is_news_and_one_that_comes_back_is_another_beside_it() {
        let mut met = Met::new(node(1));
        assert_eq!(met.weigh(node(1)), Weighed::Same);
        assert_eq!(met.weigh(node(2)), Weighed::News);
        assert_eq!(met.weigh(node(1)), Weighed::Ambiguous);
        assert_eq!(met.weigh(node(2)), Weighed::Same);
        assert_eq!(met.weigh(node(3)), Weighed::News);
    }

    #[test]
    fn what_is_no_node_is_believed_when_it_repeats() {
        let mut met = Met::new(node(1));
        let page = || Greeting::Stranger("404 Not Found".into());
        assert_eq!(met.weigh(page()), Weighed::Doubted);
        assert_eq!(met.weigh(Greeting::Nameless), Weighed::Doubted);
        assert_eq!(met.weigh(node(1)), Weighed::Same);
        assert_eq!(met.weigh(page()), Weighed::Doubted);
        assert_eq!(met.weigh(page()), Weighed::Doubted);
        assert_eq!(met.weigh(page()), Weighed::News);
        assert_eq!(met.weigh(page()), Weighed::Same);
        assert_eq!(met.weigh(node(1)), Weighed::News);
    }
}
