//! Symbolic links below the root, and so the other names of a path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Links that are kept, at most. With more of them every change counts as a change of everything.
const LINKS: usize = 1_024;
/// Names of one path, at most. A link to a directory above it makes any number of them.
const NAMES: usize = 64;

/// The symbolic links below the root, and where each of them leads.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// By the link's path; both below the root, the target without any link.
    targets: BTreeMap<PathBuf, PathBuf>,
    too_many: bool,
}

impl Links {
    /// There is a link at that path.
    pub(crate) fn insert(&mut self, link: PathBuf, target: PathBuf) {
        self.targets.insert(link, target);
        self.too_many |= self.targets.len() > LINKS;
        if self.too_many {
            self.targets.clear();
        }
    }

    /// There is no link at that path any more; where it led, if there was one.
    pub(crate) fn remove_at(&mut self, path: &Path) -> Option<PathBuf> {
        self.targets.remove(path)
    }

    /// There is nothing any more at that path, and below it.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.targets.retain(|link, _| !link.starts_with(path));
    }

    /// All paths by which that one can be asked for, itself included; `None` where they are too
    /// many to tell.
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
                let Ok(rest) = name.strip_prefix(target) else {
                    continue;
                };
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
        links.insert("/r/file".into(), "/r/a/x".into());
        links.insert("/r/dir".into(), "/r/a".into());
        links.insert("/r/b/up".into(), "/r/dir/x".into());
        assert_eq!(
            names(&links, "/r/a/x").unwrap(),
            ["/r/a/x", "/r/b/up", "/r/dir/x", "/r/file"]
        );
        assert_eq!(names(&links, "/r/a/y").unwrap(), ["/r/a/y", "/r/dir/y"]);
        assert_eq!(names(&links, "/r/ab").unwrap(), ["/r/ab"]);
        assert_eq!(links.remove_at(Path::new("/r/dir")), Some("/r/a".into()));
        links.remove(Path::new("/r/b"));
        assert_eq!(names(&links, "/r/a/y").unwrap(), ["/r/a/y"]);
    }

    #[test]
    fn a_link_to_a_directory_above_it_makes_too_many_names() {
        let mut links = Links::default();
        links.insert("/r/a/loop".into(), "/r/a".into());
        assert_eq!(names(&links, "/r/a/x"), None);
        assert_eq!(names(&links, "/r/b").unwrap(), ["/r/b"]);
    }

    #[test]
    fn of_too_many_links_none_is_kept() {
        let mut links = Links::default();
        for n in 0..=LINKS {
            links.insert(format!("/r/{n}").into(), "/r/a".into());
        }
        assert_eq!(names(&links, "/r/b"), None);
        assert!(links.targets.is_empty());
    }
}
