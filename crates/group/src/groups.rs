//! The groups that a server serves.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::{About, Group};

type AskAbout = Arc<dyn Fn() -> About + Send + Sync>;

/// A fixed set of groups by name. Cheap to clone; each server has its own, there is no
/// process-wide registry.
#[derive(Clone, Default)]
pub struct Groups {
    by_name: Arc<BTreeMap<Arc<str>, Group>>,
    /// The program's description of itself, for all clones.
    about: Arc<RwLock<Option<AskAbout>>>,
}

/// Two groups have the same name.
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
    /// If two of them have the same name.
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
            about: Arc::default(),
        })
    }

    /// The group of that name.
    pub fn get(&self, name: &str) -> Option<&Group> {
        self.by_name.get(name)
    }

    /// The only group, if there is exactly one.
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

    /// Sets how the program that serves these groups describes itself to an operator. `ask` is
    /// called for each report and must return immediately.
    pub fn set_about(&self, ask: impl Fn() -> About + Send + Sync + 'static) {
        *self.about.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ask));
    }

    /// The program's description of itself.
    pub fn about(&self) -> About {
        let about = self.about.read().unwrap_or_else(PoisonError::into_inner);
        let ask = about.clone();
        drop(about);
        ask.map(|ask| ask()).unwrap_or_default()
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
