//! Damps the changes of a member list from a discovery.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// The number of lists with new members that are applied at once within one interval: as many
/// rings as are remembered for hand-over.
const GROWTHS: usize = 4;
/// The most names that are remembered.
const NAMES: usize = 4_096;
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Further knowledge about a member that a list lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It answers.
    Up,
    /// It does not answer.
    Down,
    /// It has announced that it leaves.
    Leaving,
}

/// The accepted part of a list, and when to check the same list again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Believed {
    pub(crate) members: Vec<String>,
    /// When more of it will be accepted.
    pub(crate) due: Option<Instant>,
}

/// Remembers earlier lists. A member that answers is dropped when all lists of an interval lacked
/// it; one that does not answer is dropped at once. A new member is added at once, unless that has
/// happened often recently. A member that a list has dropped recently is added again at the
/// interval's end, and from then on changes once in an interval.
#[derive(Debug, Clone)]
pub(crate) struct Damping {
    interval: Duration,
    /// Since when lists lack these members.
    lacked: BTreeMap<String, Instant>,
    /// When lists dropped these members, or added them again.
    changed: BTreeMap<String, Instant>,
    /// When lists added new members.
    growths: VecDeque<Instant>,
}

impl Damping {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval: interval.min(LONGEST),
            lacked: BTreeMap::new(),
            changed: BTreeMap::new(),
            growths: VecDeque::new(),
        }
    }

    /// The accepted part of a list, given the list in force. `me` is treated like any other
    /// member, and may be missing.
    pub(crate) fn believe(
        &mut self,
        listed: &[String],
        in_force: &[&str],
        me: &str,
        known: impl Fn(&str) -> Known,
        now: Instant,
    ) -> Believed {
        self.forget(now);
        let mut due = None::<Instant>;
        let mut put_off = |at: Instant| due = Some(due.map_or(at, |due| due.min(at)));
        let there: HashSet<&str> = in_force.iter().copied().chain([me]).collect();

        let mut members = Vec::with_capacity(listed.len());
        let mut grows = false;
        for name in listed {
            if !there.contains(&**name) {
                let at = self.may_come_at(name, now);
                if at > now {
                    put_off(at);
                    continue;
                }
                grows = true;
                if let Some(back) = self.changed.get_mut(name) {
                    *back = now;
                }
            }
            members.push(name.clone());
        }
        if grows {
            self.growths.push_back(now);
        }

        let listed: HashSet<&str> = listed.iter().map(String::as_str).chain([me]).collect();
        let mut lacked = BTreeMap::new();
        for name in in_force {
            if listed.contains(name) {
                continue;
            }
            let since = self.lacked.get(*name).copied().unwrap_or(now);
            let at = match known(name) {
                Known::Leaving => now,
                Known::Down => self.may_change_at(name, now),
                Known::Up => since + self.interval,
            };
            if at > now {
                put_off(at);
                members.push((*name).to_owned());
                lacked.insert((*name).to_owned(), since);
            } else if known(name) != Known::Leaving && self.changed.len() < NAMES {
                self.changed.insert((*name).to_owned(), now);
            }
        }
        self.lacked = lacked;
        Believed { members, due }
    }

    /// Forgets how often there were new members: further ones are added at once.
    pub(crate) fn welcome(&mut self) {
        self.growths.clear();
    }

    /// A node has announced itself: the next list with it is accepted. Returns whether that is
    /// new.
    pub(crate) fn is_there(&mut self, is_it: impl Fn(&str) -> bool) -> bool {
        let before = self.changed.len();
        self.changed.retain(|name, _| !is_it(name));
        self.changed.len() < before
    }

    fn may_come_at(&self, name: &str, now: Instant) -> Instant {
        let burst = self.growths.len().checked_sub(GROWTHS);
        let burst = burst.map_or(now, |at| self.growths[at] + self.interval);
        burst.max(self.may_change_at(name, now))
    }

    fn may_change_at(&self, name: &str, now: Instant) -> Instant {
        let last = self.changed.get(name);
        last.map_or(now, |last| *last + self.interval)
    }

    /// Members that are added again at the end of the interval must still be known then, so that
    /// they stay damped.
    fn forget(&mut self, now: Instant) {
        let (interval, age) = (self.interval, |time: &Instant| now.duration_since(*time));
        self.changed.retain(|_, time| age(time) < 2 * interval);
        self.growths.retain(|time| age(time) < interval);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    /// Members as a node has them; `me` is a.
    struct Node {
        damping: Damping,
        members: Vec<String>,
        known: RefCell<BTreeMap<String, Known>>,
        changes: u32,
        began: Instant,
    }

    impl Node {
        fn new(members: &[&str]) -> Self {
            Self {
                damping: Damping::new(INTERVAL),
                members: members.iter().map(|&name| name.to_owned()).collect(),
                known: RefCell::default(),
                changes: 0,
                began: Instant::now(),
            }
        }

        fn is(&self, name: &str, known: Known) {
            self.known.borrow_mut().insert(name.to_owned(), known);
        }

        /// The members now, and in how many seconds more will be believed.
        fn told(&mut self, listed: &[&str]) -> (String, Option<u64>) {
            let listed: Vec<String> = listed.iter().map(|&name| name.to_owned()).collect();
            let in_force: Vec<&str> = self.members.iter().map(String::as_str).collect();
            let known = |name: &str| self.known.borrow().get(name).copied().unwrap_or(Known::Up);
            let now = Instant::now();
            let believed = self.damping.believe(&listed, &in_force, "a", known, now);
            let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
            self.changes += u32::from(sorted(&self.members) != sorted(&believed.members));
            self.members = believed.members;
            let names: Vec<String> = sorted(&self.members).into_iter().collect();
            let due = believed.due.map(|due| due.duration_since(now).as_secs());
            (names.concat(), due)
        }
    }

    fn is(names: &str, due: Option<u64>) -> (String, Option<u64>) {
        (names.to_owned(), due)
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_lacks_a_live_member_for_a_moment_changes_nothing() {
        let mut node = Node::new(&["a", "b", "c"]);
        for _ in 0..30 {
            assert_eq!(node.told(&["a", "b"]), is("abc", Some(10)));
            tokio::time::advance(9 * SECOND).await;
            assert_eq!(node.told(&["a", "b"]), is("abc", Some(1)));
            assert_eq!(node.told(&["a", "b", "c"]), is("abc", None));
        }
        node.told(&["a", "b"]);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(node.told(&["a", "b"]), is("ab", None));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_down_or_leaves_goes_at_once() {
        let mut node = Node::new(&["a", "b", "c", "d"]);
        node.is("b", Known::Down);
        node.is("c", Known::Leaving);
        assert_eq!(node.told(&["a", "d"]), is("ad", None));
        // It went down while it was lacked.
        assert_eq!(node.told(&["a"]), is("ad", Some(10)));
        node.is("d", Known::Down);
        assert_eq!(node.told(&["a"]), is("a", None));
        // A member that announced its leave may come back at once.
        node.is("c", Known::Up);
        assert_eq!(node.told(&["a", "c"]), is("ac", None));
    }

    #[tokio::test(start_paused = true)]
    async fn new_members_come_at_once_up_to_a_number() {
        let mut node = Node::new(&["a"]);
        for (listed, members) in [
            (&["b"][..], "b"),
            (&["b", "c"], "bc"),
            (&["b", "c", "d"], "bcd"),
            (&["b", "c", "d", "e"], "bcde"),
        ] {
            assert_eq!(node.told(listed).0, members);
            tokio::time::advance(SECOND).await;
        }
        let more = ["b", "c", "d", "e", "f", "g"];
        assert_eq!(node.told(&more), is("bcde", Some(6)));
        tokio::time::advance(6 * SECOND).await;
        assert_eq!(node.told(&more), is("bcdefg", None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_comes_and_goes_each_second_changes_once_in_an_interval() {
        let mut node = Node::new(&["a", "b", "c"]);
        for second in 0..120 {
            let there = second % 2 == 1;
            node.is("c", if there { Known::Up } else { Known::Down });
            node.told(if there { &["a", "b", "c"] } else { &["a", "b"] });
            tokio::time::advance(SECOND).await;
        }
        let intervals = node.began.elapsed().as_secs() / 10;
        println!(
            "120 s at 1 Hz: {} changes in {intervals} intervals",
            node.changes
        );
        assert!(node.changes <= 12, "{}", node.changes);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_that_it_is_back_is_believed() {
        let mut node = Node::new(&["a", "b"]);
        node.is("b", Known::Down);
        assert_eq!(node.told(&["a"]), is("a", None));
        tokio::time::advance(SECOND).await;
        assert_eq!(node.told(&["a", "b"]), is("a", Some(9)));
        assert!(node.damping.is_there(|name| name == "b"));
        assert_eq!(node.told(&["a", "b"]), is("ab", None));
        assert!(!node.damping.is_there(|name| name == "b"));
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_interval_each_list_is_believed() {
        let mut node = Node::new(&["a", "b"]);
        node.damping = Damping::new(Duration::ZERO);
        for _ in 0..9 {
            assert_eq!(node.told(&["a", "c"]), is("ac", None));
            assert_eq!(node.told(&["a", "b"]), is("ab", None));
        }
    }
}
