//! The groups that a server answers for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Group;

/// A fixed set of groups by name. Cheap to clone; each server is handed its own, there is no process-wide registry.
#[derive(Clone, Default)]
pub struct Groups {
    by_name: Arc<BTreeMap<Arc<str>, Group>>,
}

/// Two groups have one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two groups are named {name}")]
pub struct DuplicateGroup {
    /// The name.
    pub name: Arc<str>,
}

impl Groups {
    /// The set of `groups`.
    ///
    /// # Errors
    ///
    /// If two of them have one name.
    pub fn new(groups: impl IntoIterator<Item = Group>) -> Result<Self, DuplicateGroup> {
        let mut by_name = BTreeMap::new();
        for group in groups {
            let name = Arc::clone(group.name());
            if by_name.insert(Arc::clone(&name), group).is_some() {
                return Err(DuplicateGroup { name });
            }
        }
        Ok(Self {
            by_name: Arc::new(by_name),
        })
    }

    /// The group of that name.
    pub fn get(&self, name: &str) -> Option<&Group> {
        self.by_name.get(name)
    }

    /// The only group, where there is exactly one.
    pub fn only(&self) -> Option<&Group> {
        match self.by_name.len() {
            1 => self.by_name.values().next(),
            _ => None,
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.by_name.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}
