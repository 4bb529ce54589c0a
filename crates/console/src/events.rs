//! Recent events: the differences between one check of a node and the next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gaggle_group::{FollowState, Group, Groups, Stats};

/// The most events that are kept.
pub(crate) const MOST: usize = 200;

/// The longest text of an event, in characters.
const MAX_TEXT: usize = 300;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// When it was seen, in seconds of Unix time.
    pub at: f64,
    /// The kind of event.
    pub kind: EventKind,
    /// The node that it is about, by its name in the ring.
    pub node: Option<Arc<str>>,
    /// The group that it is about.
    pub group: Option<Arc<str>>,
    /// One line about it.
    pub text: String,
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A node became a member of the ring.
    Joined,
    /// A node is no longer a member of the ring.
    Left,
    /// A member is down.
    Down,
    /// A member is up again.
    Up,
    /// The ring has changed.
    Ring,
    /// A group's circuit breaker opened: its origin fails.
    BreakerOpened,
    /// A group's circuit breaker closed.
    BreakerClosed,
    /// All keys of a group were removed.
    GroupRemoved,
    /// The configuration of the node has changed.
    Reloaded,
    /// The node became ready, or is no longer.
    Ready,
    /// The state of a group's follower has changed.
    Follow,
    /// A node disagrees with this one about the cluster, or no longer does.
    Disagreement,
}

impl EventKind {
    /// The kind as one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Down => "down",
            Self::Up => "up",
            Self::Ring => "ring",
            Self::BreakerOpened => "breaker_opened",
            Self::BreakerClosed => "breaker_closed",
            Self::GroupRemoved => "group_removed",
            Self::Reloaded => "reloaded",
            Self::Ready => "ready",
            Self::Follow => "follow",
            Self::Disagreement => "disagreement",
        }
    }
}

/// The state of a node at one moment, as far as events depend on it.
#[derive(Debug, Default)]
struct Seen {
    /// Whether each member is up.
    members: BTreeMap<Arc<str>, bool>,
    ring: String,
    disagreements: BTreeMap<Arc<str>, String>,
    groups: BTreeMap<Arc<str>, SeenGroup>,
    generation: u64,
    state: Arc<str>,
}

#[derive(Debug)]
struct SeenGroup {
    breaker_open: bool,
    breaker_opened: u64,
    group_removals: u64,
    follow: Option<FollowState>,
}

impl From<Stats> for SeenGroup {
    fn from(stats: Stats) -> Self {
        Self {
            breaker_open: stats.origin_queue.breaker_open,
            breaker_opened: stats.origin_queue.breaker_opened,
            group_removals: stats.group_removals,
            follow: stats.follow.map(|follow| follow.state),
        }
    }
}

impl Seen {
    /// The groups of a node share a ring.
    fn of(groups: &Groups) -> Self {
        let about = groups.about();
        let seen = Self {
            groups: groups
                .iter()
                .map(|group| (Arc::clone(group.name()), group.stats().into()))
                .collect(),
            generation: about.generation,
            state: about.state,
            ..Self::default()
        };
        let Some(router) = groups.iter().next().map(Group::router) else {
            return seen;
        };
        let members = router.members().into_iter();
        let disagreements = router.disagreements().into_iter();
        Self {
            members: members.map(|member| (member.name, member.up)).collect(),
            ring: router.digest(),
            disagreements: disagreements.map(|found| (found.node, found.how)).collect(),
            ..seen
        }
    }
}

/// Checks repeatedly, and keeps the changes.
pub(crate) struct Watcher {
    seen: Seen,
    /// The oldest first.
    events: VecDeque<Event>,
}

impl Watcher {
    pub(crate) fn new(groups: &Groups) -> Self {
        Self {
            seen: Seen::of(groups),
            events: VecDeque::new(),
        }
    }

    /// The newest first, at most that many.
    pub(crate) fn events(&self, most: usize) -> Vec<Event> {
        self.events.iter().rev().take(most).cloned().collect()
    }

    /// Checks the node, and records what has changed.
    pub(crate) fn look(&mut self, groups: &Groups, at: f64) {
        let now = Seen::of(groups);
        let then = std::mem::take(&mut self.seen);
        self.members(&then, &now, at);
        self.disagreements(&then, &now, at);
        for (name, group) in &now.groups {
            if let Some(was) = then.groups.get(name) {
                self.group(name, was, group, at);
            }
        }
        if then.generation != now.generation {
            let text = format!("configuration {} is in force", now.generation);
            self.note(at, EventKind::Reloaded, None, None, text);
        }
        if then.state != now.state && !now.state.is_empty() {
            let text = format!("this node is {}", now.state);
            self.note(at, EventKind::Ready, None, None, text);
        }
        self.seen = now;
    }

    fn members(&mut self, then: &Seen, now: &Seen, at: f64) {
        for (name, up) in &now.members {
            let mut note = |kind, what: &str| {
                self.note(at, kind, Some(name), None, format!("{name} {what}"));
            };
            match then.members.get(name) {
                None => {
                    note(EventKind::Joined, "joined the ring");
                    if !up {
                        note(EventKind::Down, "is down");
                    }
                }
                Some(true) if !up => note(EventKind::Down, "is down"),
                Some(false) if *up => note(EventKind::Up, "is up"),
                Some(_) => {}
            }
        }
        for name in then.members.keys() {
            if !now.members.contains_key(name) {
                let text = format!("{name} left the ring");
                self.note(at, EventKind::Left, Some(name), None, text);
            }
        }
        if then.ring != now.ring {
            let text = format!("the ring is {} of {} members", now.ring, now.members.len());
            self.note(at, EventKind::Ring, None, None, text);
        }
    }

    fn disagreements(&mut self, then: &Seen, now: &Seen, at: f64) {
        for (name, how) in &now.disagreements {
            if then.disagreements.get(name) != Some(how) {
                let text = format!("{name} disagrees: {how}");
                self.note(at, EventKind::Disagreement, Some(name), None, text);
            }
        }
        for name in then.disagreements.keys() {
            if !now.disagreements.contains_key(name) {
                let text = format!("{name} agrees again");
                self.note(at, EventKind::Disagreement, Some(name), None, text);
            }
        }
    }

    fn group(&mut self, name: &Arc<str>, was: &SeenGroup, is: &SeenGroup, at: f64) {
        let opened = is.breaker_opened > was.breaker_opened;
        if opened || (is.breaker_open && !was.breaker_open) {
            let text = format!("the origin of {name} fails: its circuit breaker is open");
            self.note(at, EventKind::BreakerOpened, None, Some(name), text);
        }
        if !is.breaker_open && (was.breaker_open || opened) {
            let text = format!("the origin of {name} answers again");
            self.note(at, EventKind::BreakerClosed, None, Some(name), text);
        }
        let removals = is.group_removals.saturating_sub(was.group_removals);
        if removals > 0 {
            let times = if removals == 1 {
                String::new()
            } else {
                format!(", {removals} times")
            };
            let text = format!("all keys of {name} were removed{times}");
            self.note(at, EventKind::GroupRemoved, None, Some(name), text);
        }
        if let Some(follow) = is.follow
            && was.follow != is.follow
        {
            let text = format!("the follower of {name} is {}", follow.as_str());
            self.note(at, EventKind::Follow, None, Some(name), text);
        }
    }

    fn note(
        &mut self,
        at: f64,
        kind: EventKind,
        node: Option<&Arc<str>>,
        group: Option<&Arc<str>>,
        text: String,
    ) {
        let text = match text.char_indices().nth(MAX_TEXT) {
            Some((end, _)) => text[..end].to_owned(),
            None => text,
        };
        if self.events.len() >= MOST {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            at,
            kind,
            node: node.cloned(),
            group: group.cloned(),
            text,
        });
    }
}
