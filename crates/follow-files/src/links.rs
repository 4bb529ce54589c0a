//! Symbolic links below the root, and so the other names of a path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The most links that are kept. With more of them, every change counts as a change of everything.
const LINKS: usize = 1_024;
/// The most names of one path. A link to a directory above it makes any number of them.
const NAMES: usize = 64;

/// The symbolic links below the root, and where each of them leads.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// By the link's path, which is below the root.
    targets: BTreeMap<PathBuf, Target>,
    too_many: bool,
}

/// Where a link leads, possibly through other links: a path below the root without any link in it.
/// `None` if the target does not exist yet, or is outside of the root, where no key leads.
pub(crate) type Target = Option<PathBuf>;

/// Which links may lead elsewhere than they did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stale {
    #[default]
    None,
    /// Dangling links: something has appeared.
    Unresolved,
    /// All links: a link that they lead through has changed.
    All,
}

/// A link that leads elsewhere than it did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turned {
    pub(crate) link: PathBuf,
    pub(crate) from: Target,
    pub(crate) to: Target,
}

/// Where the link at that path leads now.
pub(crate) fn target_of(link: &Path, root: &Path) -> Target {
    let target = fs::canonicalize(link).ok()?;
    target.starts_with(root).then_some(target)
}

impl Links {
    /// Records a link at that path.
    pub(crate) fn insert(&mut self, link: PathBuf, target: Target) {
        if self.too_many {
            return;
        }
        self.targets.insert(link, target);
        self.too_many = self.targets.len() > LINKS;
        if self.too_many {
            self.targets.clear();
        }
    }

    /// Removes the link at that path, and returns where it led, if there was one.
    pub(crate) fn remove_at(&mut self, path: &Path) -> Option<Target> {
        self.targets.remove(path)
    }

    /// Removes everything at that path and below it.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.targets.retain(|link, _| !link.starts_with(path));
    }

    /// Finds out where those links lead now.
    pub(crate) fn resolve(
        &mut self,
        stale: Stale,
        target_of: impl Fn(&Path) -> Target,
    ) -> Vec<Turned> {
        let mut turned = Vec::new();
        for (link, target) in &mut self.targets {
            let is_stale = match stale {
                Stale::None => false,
                Stale::Unresolved => target.is_none(),
                Stale::All => true,
            };
            if !is_stale {
                continue;
            }
            let to = target_of(link);
            if *target != to {
                let from = std::mem::replace(target, to.clone());
                let link = link.clone();
                turned.push(Turned { link, from, to });
            }
        }
        turned
    }

    /// All paths that lead to that one, including itself; `None` if there are too many.
    pub(crate) fn names_of(&self, path: &Path) -> Option<BTreeSet<PathBuf>> {
        if self.too_many {
            return None;
        }
        let mut names = BTreeSet::from([path.to_owned()]);
        if self.targets.is_empty() {
            return Some(names);
        }
        let mut new = vec![path.to_owned()];
        while let Some(name) = new.pop() {
            for (link, target) in &self.targets {
                let rest = target.as_ref().map(|target| name.strip_prefix(target));
                let Some(Ok(rest)) = rest else { continue };
                // Joined to nothing, a path ends with a slash.
                let other = if rest.as_os_str().is_empty() {
                    link.clone()
                } else {
                    link.join(rest)
                };
                if names.insert(other.clone()) {
                    new.push(other);
                }
            }
            if names.len() > NAMES {
                return None;
            }
        }
        Some(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(links: &Links, path: &str) -> Option<Vec<String>> {
        let names = links.names_of(Path::new(path))?;
        Some(
            names
                .iter()
                .map(|name| name.display().to_string())
                .collect(),
        )
    }

    #[test]
    fn a_path_has_a_name_by_each_link_that_leads_to_it_or_to_a_directory_above_it() {
        let mut links = Links::default();
        assert_eq!(names(&links, "/r/a/x").unwrap(), ["/r/a/x"]);
        links.insert("/r/file".into(), Some("/r/a/x".into()));
        links.insert("/r/dir".into(), Some("/r/a".into()));
        links.insert("/r/b/up".into(), Some("/r/dir/x".into()));
        assert_eq!(
            names(&links, "/r/a/x").unwrap(),
            ["/r/a/x", "/r/b/up", "/r/dir/x", "/r/file"]
        );
        assert_eq!(names(&links, "/r/a/y").unwrap(), ["/r/a/y", "/r/dir/y"]);
        assert_eq!(names(&links, "/r/ab").unwrap(), ["/r/ab"]);
        assert_eq!(
            links.remove_at(Path::new("/r/dir")),
            Some(Some("/r/a".into()))
        );
        links.remove(Path::new("/r/b"));
        assert_eq!(names(&links, "/r/a/y").unwrap(), ["/r/a/y"]);
    }

    #[test]
    fn a_link_to_a_directory_above_it_makes_too_many_names() {
        let mut links = Links::default();
        links.insert("/r/a/loop".into(), Some("/r/a".into()));
        assert_eq!(names(&links, "/r/a/x"), None);
        assert_eq!(names(&links, "/r/b").unwrap(), ["/r/b"]);
    }

    #[test]
    fn links_that_may_lead_elsewhere_are_asked_for_and_told_if_they_do() {
        let mut links = Links::default();
        links.insert("/r/cur".into(), Some("/r/1".into()));
        links.insert("/r/a".into(), Some("/r/1/x".into()));
        links.insert("/r/same".into(), Some("/r/same.txt".into()));
        links.insert("/r/b".into(), None);
        let now = |link: &Path| match link.to_str().unwrap() {
            "/r/cur" => Some("/r/2".into()),
            "/r/a" => Some("/r/2/x".into()),
            "/r/same" => Some("/r/same.txt".into()),
            _ => Some("/r/c".into()),
        };
        let turned = |link: &str, from: Option<&str>, to: &str| Turned {
            link: link.into(),
            from: from.map(PathBuf::from),
            to: Some(to.into()),
        };
        assert_eq!(links.resolve(Stale::None, now), []);
        let found = links.resolve(Stale::Unresolved, now);
        assert_eq!(found, [turned("/r/b", None, "/r/c")]);
        assert_eq!(names(&links, "/r/c").unwrap(), ["/r/b", "/r/c"]);
        let found = links.resolve(Stale::All, now);
        let expected = [
            turned("/r/a", Some("/r/1/x"), "/r/2/x"),
            turned("/r/cur", Some("/r/1"), "/r/2"),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            names(&links, "/r/2/x").unwrap(),
            ["/r/2/x", "/r/a", "/r/cur/x"]
        );
        assert_eq!(names(&links, "/r/1/x").unwrap(), ["/r/1/x"]);
    }

    #[test]
    fn of_too_many_links_none_is_kept() {
        let mut links = Links::default();
        for n in 0..=LINKS {
            links.insert(format!("/r/{n}").into(), Some("/r/a".into()));
        }
        assert_eq!(names(&links, "/r/b"), None);
        assert!(links.targets.is_empty());
    }
}
