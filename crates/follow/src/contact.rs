//! Whether a node that missed a removal has received it by now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Contact, Router};
use tokio::time::Instant;

/// A node in contact asks every other node for removals every 400 ms, and waits 400 ms at most for
/// each answer: within this time it has asked this node twice.
const IN_CONTACT_FOR: Duration = Duration::from_secs(2);
/// A node that sent nothing for longer was out of contact in between.
const GAP: Duration = Duration::from_millis(1_500);
/// A node that has had no contact with any other for ten minutes drops all that it holds. This is
/// a little longer, since it may still have had contact for a moment after it missed the removal.
const DROPS_AFTER: Duration = Duration::from_secs(605);
/// The bytes that one answer to a node has at least: a node that has missed more asks again, after
/// 400 ms at worst.
const TOLD_AT_ONCE: u64 = 512 << 10;
const ASKS_WITHIN: Duration = Duration::from_millis(400);
/// The bytes that a removal and each of its keys take in addition to the key.
pub(crate) const OVERHEAD: usize = 96;

/// The nodes that have missed removals.
#[derive(Default)]
pub(crate) struct Missing {
    nodes: BTreeMap<Arc<str>, Node>,
}

#[derive(Default)]
struct Node {
    /// When its present contact began, and when it last sent a message.
    heard: Option<(Instant, Instant)>,
    /// The bytes of the removals that it has missed.
    bytes: u64,
    /// Whether removals no longer have to be sent to it.
    gone: bool,
}

impl Missing {
    /// It has missed a removal of that many bytes.
    pub(crate) fn missed(&mut self, name: &Arc<str>, bytes: usize) {
        let node = self.nodes.entry(Arc::clone(name)).or_default();
        node.bytes = node
            .bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Forgets all nodes except those that are still waited for.
    pub(crate) fn keep<'a>(&mut self, waited_for: impl Iterator<Item = &'a Arc<str>>) {
        if self.nodes.is_empty() {
            return;
        }
        let names: BTreeSet<_> = waited_for.collect();
        self.nodes.retain(|name, _| names.contains(name));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Reads which nodes are known and when each last sent a message. It must be called more often
    /// than nodes send messages.
    pub(crate) fn look(&mut self, router: &dyn Router, contacts: &[Contact]) {
        if self.nodes.is_empty() {
            return;
        }
        let now = Instant::now();
        let listeners = router.listeners();
        let mut there: BTreeSet<Arc<str>> = listeners
            .iter()
            .map(|peer| Arc::from(peer.name()))
            .collect();
        there.extend(router.members().into_iter().map(|member| member.name));
        for (name, node) in &mut self.nodes {
            node.gone = !there.contains(name);
            let ago = contacts.iter().find(|contact| contact.peer == *name);
            let ago = ago.and_then(|contact| contact.heard);
            let Some(at) = ago.and_then(|ago| now.checked_sub(ago)) else {
                continue;
            };
            node.heard = Some(match node.heard {
                Some((since, last)) if at.saturating_duration_since(last) <= GAP => (since, at),
                _ => (at, at),
            });
        }
    }

    /// Whether that node has by now received what it missed at that time, or no longer holds
    /// anything older.
    pub(crate) fn knows(&self, name: &Arc<str>, missed_at: Instant) -> bool {
        if missed_at.elapsed() >= DROPS_AFTER {
            return true;
        }
        let Some(node) = self.nodes.get(name) else {
            return false;
        };
        let rounds = u32::try_from(node.bytes / TOLD_AT_ONCE).unwrap_or(u32::MAX);
        let enough = IN_CONTACT_FOR + ASKS_WITHIN.saturating_mul(rounds);
        let in_contact = node.heard.is_some_and(|(since, last)| {
            last.saturating_duration_since(since.max(missed_at)) >= enough
        });
        node.gone || in_contact
    }
}
