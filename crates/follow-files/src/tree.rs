//! A watched directory, with everything below it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gaggle_group::Key;
use notify::{Config, ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tracing::debug;

use crate::error::Error;
use crate::key::key_of;
use crate::links::{Links, Stale, Turned, target_of};
use crate::pending::{Pending, Scope, Seen, Taken};

/// The most files that one check reports one by one. Beyond that everything counts as changed.
const FILES: usize = 8_192;

/// What has changed.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) keys: Vec<Key>,
    /// Everything may have changed.
    pub(crate) all: bool,
    /// The path of the root leads to another directory now.
    pub(crate) turned: bool,
}

/// What a check has found, before its keys are known.
#[derive(Debug, Default)]
struct Looked {
    /// Files that have changed, and links.
    paths: Vec<PathBuf>,
    all: bool,
    stale: Stale,
}

impl Looked {
    fn add(&mut self, path: PathBuf) {
        self.all |= self.paths.len() >= FILES;
        if self.all {
            self.paths.clear();
        } else {
            self.paths.push(path);
        }
    }
}

/// A tree that is watched. All of its methods block.
pub(crate) struct Tree {
    scope: Scope,
    id: Id,
    /// Directories below the root. After one is deleted, only this set says that it was a
    /// directory.
    dirs: HashSet<PathBuf>,
    links: Links,
    watcher: RecommendedWatcher,
    pending: Arc<Pending>,
}

impl Tree {
    /// Watches the directory at that path, and all that are below it.
    pub(crate) fn open(given: &Path, pending: &Arc<Pending>) -> Result<Self, Error> {
        let lost = |source| Error::Root {
            path: given.to_owned(),
            source,
        };
        let real = fs::canonicalize(given).map_err(lost)?;
        let id = Id::of(&real).map_err(lost)?;
        if !real.is_dir() {
            return Err(Error::NoDirectory { path: real });
        }
        let scope = Scope {
            given: given.to_owned(),
            real,
        };
        let (noted, within) = (Arc::clone(pending), scope.clone());
        let note = move |event| noted.note(&within, event);
        // Links are not followed: events of a directory that is watched by two paths arrive with
        // one of them.
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(note, config)?;
        watch_parent(&mut watcher, &scope)?;
        watcher.watch(&scope.real, RecursiveMode::Recursive)?;
        let mut tree = Self {
            scope,
            id,
            dirs: HashSet::new(),
            links: Links::default(),
            watcher,
            pending: Arc::clone(pending),
        };
        let root = tree.scope.real.clone();
        // The list of files is not needed, since everything counts as changed.
        let mut looked = Looked {
            all: true,
            ..Looked::default()
        };
        tree.read(root, &mut looked)?;
        Ok(tree)
    }

    /// Whether the path of the root still leads to this directory.
    fn is_current(&self) -> bool {
        Id::of(&self.scope.given).is_ok_and(|id| id == self.id)
    }

    /// Checks the paths that were seen to change.
    pub(crate) fn look(&mut self, taken: Taken) -> Result<Found, Error> {
        if let Some(failure) = taken.failure {
            return Err(failure.into());
        }
        let turned = !self.is_current();
        if turned || taken.everything {
            // If events were dropped, there may be directories that are not watched.
            *self = Self::open(&self.scope.given, &self.pending)?;
            return Ok(Found {
                all: true,
                turned,
                keys: Vec::new(),
            });
        }
        let mut looked = Looked::default();
        for (path, seen) in taken.paths {
            self.look_at(path, seen, &mut looked)?;
        }
        Ok(self.found(looked))
    }

    fn look_at(&mut self, path: PathBuf, seen: Seen, looked: &mut Looked) -> Result<(), Error> {
        let was_dir = self.dirs.contains(&path);
        let was_link = self.links.remove_at(&path);
        let now = fs::symlink_metadata(&path).map(|metadata| metadata.file_type());
        let is_dir = now.as_ref().is_ok_and(fs::FileType::is_dir);
        if was_dir && (seen.gone || !is_dir) {
            // Which files were below it is not known.
            looked.all = true;
            looked.stale = Stale::All;
            self.dirs.retain(|dir| !dir.starts_with(&path));
            self.links.remove(&path);
        }
        if was_link.is_some() {
            looked.stale = Stale::All;
        }
        if seen.appeared || is_dir {
            looked.stale = looked.stale.max(Stale::Unresolved);
        }
        if is_dir {
            if seen.gone {
                // It may have replaced a file.
                looked.add(path.clone());
            }
            return if seen.appeared || !was_dir {
                self.adopt(path, looked)
            } else {
                Ok(())
            };
        }
        let is_link = now.is_ok_and(|kind| kind.is_symlink());
        if is_link {
            self.link(&path);
            looked.stale = Stale::All;
        }
        // Files below a link to a directory have other names than those that are reported.
        looked.all |= was_link
            .flatten()
            .is_some_and(|target| self.dirs.contains(&target));
        looked.all |= is_link && path.is_dir();
        looked.add(path);
        Ok(())
    }

    /// The changes to report for everything that was checked. The links are resolved first, since
    /// the names of a path come from them.
    fn found(&mut self, mut looked: Looked) -> Found {
        let root = &self.scope.real;
        let turned = self
            .links
            .resolve(looked.stale, |link| target_of(link, root));
        for Turned { link, from, to } in turned {
            let mut targets = from.iter().chain(&to);
            looked.all |= targets.any(|target| self.dirs.contains(target));
            looked.add(link);
        }
        let mut found = Found::default();
        for path in &looked.paths {
            self.tell(path, &mut found);
        }
        found.all |= looked.all;
        if found.all {
            found.keys.clear();
        }
        found
    }

    /// Adds the keys that name a path.
    fn tell(&self, path: &Path, found: &mut Found) {
        if found.all {
            return;
        }
        let Some(names) = self.links.names_of(path) else {
            found.all = true;
            return;
        };
        for name in names {
            let relative = name.strip_prefix(&self.scope.real);
            found.keys.extend(relative.ok().and_then(key_of));
        }
        found.all |= found.keys.len() > FILES;
    }

    /// Watches a directory that has appeared, then reports its files, which may have been made
    /// before the watch began.
    fn adopt(&mut self, path: PathBuf, looked: &mut Looked) -> Result<(), Error> {
        match self.watcher.watch(&path, RecursiveMode::Recursive) {
            Ok(()) => self.read(path, looked),
            Err(error) if is_gone(&error) => {
                // Its files, and how long they existed, were not seen.
                looked.all = true;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Records the directories and the links from there on, and the files.
    fn read(&mut self, from: PathBuf, looked: &mut Looked) -> Result<(), Error> {
        let mut todo = vec![from];
        while let Some(dir) = todo.pop() {
            match self.read_one(&dir, &mut todo, looked) {
                Ok(()) => {
                    self.dirs.insert(dir);
                }
                Err(error) if is_absence(&error) => {
                    debug!(%error, "a directory went away while it was read");
                    looked.all = true;
                }
                Err(source) => return Err(Error::Directory { path: dir, source }),
            }
        }
        Ok(())
    }

    /// Adds the directories that are in that one to `todo`.
    fn read_one(
        &mut self,
        dir: &Path,
        todo: &mut Vec<PathBuf>,
        looked: &mut Looked,
    ) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                todo.push(path);
                continue;
            }
            if kind.is_symlink() {
                self.link(&path);
            }
            looked.add(path);
        }
        Ok(())
    }

    /// Records a link, wherever it leads: a target that does not exist yet, or is outside of the
    /// root through another link, may be below the root later.
    fn link(&mut self, path: &Path) {
        let target = target_of(path, &self.scope.real);
        self.links.insert(path.to_owned(), target);
    }
}

/// Watches the directory in which the root's path is an entry, perhaps a link that changes. It
/// notices a change sooner than the next check, which does not depend on it.
fn watch_parent(watcher: &mut RecommendedWatcher, scope: &Scope) -> Result<(), Error> {
    // The link lies in the directory to which it leads, so the parent is watched with the tree.
    let parent = scope.given.parent();
    let parent = parent.filter(|parent| {
        fs::canonicalize(parent).is_ok_and(|parent| !parent.starts_with(&scope.real))
    });
    let Some(parent) = parent else { return Ok(()) };
    match watcher.watch(parent, RecursiveMode::NonRecursive) {
        Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => Err(error.into()),
        Err(error) => {
            debug!(%error, "the directory above the root cannot be watched");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => is_absence(error),
        _ => false,
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Which directory it is, whatever its path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Id(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl Id {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;

        let metadata = fs::metadata(path)?;
        Ok(Self((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        fs::canonicalize(path).map(Self)
    }
}
