//! The work that a batch of changes results in.

use std::collections::HashSet;

use bytes::Bytes;
use gaggle_group::Key;

use crate::Change;

/// The work for a batch: first the group's removal, then the rest in any order, since each key
/// appears once. The last change of a key counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whether the whole group is removed.
    pub(crate) all: bool,
    /// Keys to remove.
    pub(crate) keys: Vec<Key>,
    /// Keys to give a value.
    pub(crate) puts: Vec<(Key, Bytes)>,
}

impl Plan {
    pub(crate) fn everything() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    pub(crate) fn of(changes: Vec<Change>) -> Self {
        let mut plan = Self::default();
        let mut seen = HashSet::with_capacity(changes.len());
        for change in changes.into_iter().rev() {
            match change {
                Change::Key(key) => {
                    if seen.insert(key.clone()) {
                        plan.keys.push(key);
                    }
                }
                Change::Put(key, value) => {
                    if seen.insert(key.clone()) {
                        plan.puts.push((key, value));
                    }
                }
                Change::All => {
                    plan.all = true;
                    // The group is removed once the whole batch has arrived, which is after the
                    // changes of all of these keys.
                    plan.keys.clear();
                    break;
                }
            }
        }
        plan.keys.reverse();
        plan.puts.reverse();
        plan
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.keys.is_empty() && self.puts.is_empty()
    }

    pub(crate) fn key_count(&self) -> usize {
        self.keys.len() + self.puts.len()
    }

    /// The bytes of its keys and values.
    pub(crate) fn bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(Bytes::len).sum();
        let puts: usize = self
            .puts
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        keys + puts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &'static str) -> Change {
        Change::Key(Key::from_static(name.as_bytes()))
    }

    fn put(name: &'static str, value: &'static str) -> Change {
        Change::Put(
            Key::from_static(name.as_bytes()),
            Bytes::from_static(value.as_bytes()),
        )
    }

    #[test]
    fn the_last_change_of_a_key_counts() {
        let plan = Plan::of(vec![
            key("a"),
            put("a", "1"),
            put("a", "2"),
            put("b", "1"),
            key("b"),
        ]);
        assert_eq!(plan.puts, [("a".into(), "2".into())]);
        assert_eq!(plan.keys, ["b"]);
        assert_eq!((plan.key_count(), plan.bytes()), (2, 3));
    }

    #[test]
    fn the_groups_removal_stands_for_those_of_all_keys_and_for_earlier_values() {
        let plan = Plan::of(vec![
            key("a"),
            put("b", "1"),
            Change::All,
            key("c"),
            put("d", "1"),
        ]);
        assert!(plan.all && plan.keys.is_empty());
        assert_eq!(plan.puts, [("d".into(), "1".into())]);

        let gone = Plan::of(vec![Change::All, put("d", "1"), key("d")]);
        assert_eq!(gone, Plan::everything());
        assert!(Plan::of(Vec::new()).is_empty());
    }
}
