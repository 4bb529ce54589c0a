//! What is checked when a position is confirmed.

use std::collections::BTreeMap;

use gaggle_group::Group;

/// What is checked when a position is confirmed.
#[derive(Default)]
pub(crate) struct Facts {
    /// The nodes that run.
    pub(crate) running: BTreeMap<usize, Group>,
    /// For each key its versions: from that position on, older ones are wrong.
    pub(crate) versions: BTreeMap<&'static str, Vec<(u64, u64)>>,
    pub(crate) violation: Option<String>,
}

impl Facts {
    pub(crate) fn confirmed(&mut self, position: u64) {
        for (node, group) in &self.running {
            for (key, versions) in &self.versions {
                let Some(value) = group.cached(key).and_then(|answer| answer.value) else {
                    continue;
                };
                let has: u64 = std::str::from_utf8(&value).unwrap().parse().unwrap();
                let due = versions.iter().rev().find(|(at, _)| *at <= position);
                if due.is_some_and(|(_, due)| has < *due) {
                    let what = format!(
                        "{position} is confirmed, and node {node} has {has} of {key}: {due:?}"
                    );
                    self.violation.get_or_insert(what);
                }
            }
        }
    }
}
