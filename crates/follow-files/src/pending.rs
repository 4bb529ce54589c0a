//! Paths that were seen to change, until they are checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind};
use tokio::sync::Notify;

/// The most paths that are kept, and the most bytes of them. Beyond that everything counts as
/// changed.
const PATHS: usize = 8_192;
const BYTES: usize = 2 << 20;

/// What was seen of a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// It was made, or moved here.
    pub(crate) appeared: bool,
    /// It was deleted, or moved away.
    pub(crate) gone: bool,
}

/// Paths that were seen to change, each once. Filled by the thread that reads from the operating
/// system, which never waits for the feed.
#[derive(Default)]
pub(crate) struct Pending {
    taken: Mutex<Taken>,
    changed: Notify,
}

#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) paths: BTreeMap<PathBuf, Seen>,
    bytes: usize,
    /// Changes were dropped, here or by the operating system.
    pub(crate) everything: bool,
    /// The path of the root may lead elsewhere now.
    pub(crate) root: bool,
    pub(crate) failure: Option<notify::Error>,
}

/// The paths whose changes count.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The root as it was given: an entry of its parent directory, perhaps a link.
    pub(crate) given: PathBuf,
    /// Where it leads.
    pub(crate) real: PathBuf,
}

impl Pending {
    /// Records an event from the operating system.
    pub(crate) fn note(&self, scope: &Scope, event: notify::Result<Event>) {
        let mut taken = self.lock();
        match event {
            Ok(event) => taken.note(scope, event),
            Err(error) => {
                taken.failure.get_or_insert(error);
            }
        }
        let any = !taken.is_empty();
        drop(taken);
        if any {
            self.changed.notify_one();
        }
    }

    /// Waits until there are changes to take. It may also return without any.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn take(&self) -> Taken {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.everything && !self.root && self.failure.is_none()
    }

    fn note(&mut self, scope: &Scope, event: Event) {
        if event.need_rescan() {
            self.overflow();
            return;
        }
        let Some(seen) = seen(event.kind) else { return };
        for path in event.paths {
            if path == scope.given || path == scope.real {
                self.root = true;
            } else if path.starts_with(&scope.real) {
                self.add(&path, seen);
            }
        }
    }

    fn add(&mut self, path: &Path, seen: Seen) {
        if self.everything {
            // The tree has to be read again anyway.
            return;
        }
        if let Some(known) = self.paths.get_mut(path) {
            known.appeared |= seen.appeared;
            known.gone |= seen.gone;
            return;
        }
        self.bytes += path.as_os_str().len();
        self.paths.insert(path.to_owned(), seen);
        if self.paths.len() > PATHS || self.bytes > BYTES {
            self.overflow();
        }
    }

    fn overflow(&mut self) {
        self.everything = true;
        self.paths.clear();
        self.bytes = 0;
    }
}

/// What an event says about its paths; `None` if nothing has changed.
fn seen(kind: EventKind) -> Option<Seen> {
    let (appeared, gone) = match kind {
        // A file that was written is complete now.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => (false, false),
        EventKind::Access(_) => return None,
        EventKind::Create(_) => (true, false),
        EventKind::Remove(_) => (false, true),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => (false, true),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => (true, false),
        // The two events above report it.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) if cfg!(target_os = "linux") => {
            return None;
        }
        EventKind::Modify(ModifyKind::Name(_)) | EventKind::Any | EventKind::Other => (true, true),
        EventKind::Modify(_) => (false, false),
    };
    Some(Seen { appeared, gone })
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, Flag, RemoveKind};

    use super::*;

    fn scope() -> Scope {
        Scope {
            given: "/srv/current".into(),
            real: "/srv/releases/1".into(),
        }
    }

    fn note(pending: &Pending, kind: EventKind, path: &str) {
        pending.note(&scope(), Ok(Event::new(kind).add_path(path.into())));
    }

    #[test]
    fn a_path_is_kept_once_with_all_that_was_seen_of_it() {
        let pending = Pending::default();
        for _ in 0..3 {
            note(
                &pending,
                EventKind::Modify(ModifyKind::Data(DataChange::Any)),
                "/srv/releases/1/a",
            );
        }
        note(
            &pending,
            EventKind::Remove(RemoveKind::File),
            "/srv/releases/1/a",
        );
        note(
            &pending,
            EventKind::Create(CreateKind::File),
            "/srv/releases/1/a",
        );
        note(
            &pending,
            EventKind::Access(AccessKind::Read),
            "/srv/releases/1/b",
        );
        note(&pending, EventKind::Create(CreateKind::File), "/srv/other");
        let taken = pending.take();
        let seen = Seen {
            appeared: true,
            gone: true,
        };
        assert_eq!(
            taken.paths.into_iter().collect::<Vec<_>>(),
            [("/srv/releases/1/a".into(), seen)]
        );
        assert!(!taken.root && !taken.everything);
        assert!(pending.take().is_empty());
    }

    #[test]
    fn an_event_of_the_root_has_it_looked_at() {
        for path in ["/srv/current", "/srv/releases/1"] {
            let pending = Pending::default();
            note(
                &pending,
                EventKind::Modify(ModifyKind::Name(RenameMode::To)),
                path,
            );
            let taken = pending.take();
            assert!(taken.root && taken.paths.is_empty());
        }
    }

    #[test]
    fn too_many_paths_count_as_everything() {
        let pending = Pending::default();
        for n in 0..=PATHS {
            note(
                &pending,
                EventKind::Create(CreateKind::File),
                &format!("/srv/releases/1/{n}"),
            );
        }
        let taken = pending.take();
        assert!(taken.everything && taken.paths.is_empty());

        let long = "x".repeat(4_000);
        for n in 0..600 {
            note(
                &pending,
                EventKind::Create(CreateKind::File),
                &format!("/srv/releases/1/{long}{n}"),
            );
        }
        assert!(pending.take().everything);
    }

    #[test]
    fn what_the_operating_system_has_dropped_counts_as_everything() {
        let pending = Pending::default();
        let event = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        pending.note(&scope(), Ok(event));
        assert!(pending.take().everything);
        pending.note(&scope(), Err(notify::Error::generic("broken")));
        assert!(pending.take().failure.is_some());
    }
}
