//! The files from which groups start warm.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use gaggle_group::Groups;
use gaggle_snapshot::{Keeper, Options, Snapshot};
use rustix::fs::{Access, access};

use crate::config::{Config, ConfigError, Drain, Group};

/// How long the last snapshots may take, unless the whole end is shorter. Keys that were not
/// written by then are left out.
const LAST: Duration = Duration::from_secs(1);

/// Whether a snapshot could be written where each group has its own. Writes nothing.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    for (name, group) in &config.groups {
        if let Some(path) = &group.snapshot {
            check_place(path)
                .map_err(|problem| ConfigError::new(format!("groups.{name}.snapshot"), problem))?;
        }
    }
    Ok(())
}

fn check_place(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!(
            "{path:?} is a directory; expected the name of a file"
        ));
    }
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !dir.is_dir() {
        return Err(format!("there is no directory {dir:?}"));
    }
    access(dir, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|failure| format!("no file can be written in {dir:?}: {failure}"))
}

/// The keepers of the files.
pub(super) struct Snapshots(Vec<Keeper>);

impl Snapshots {
    /// Makes each group with a file load the keys that it held and this node owns, and writes the
    /// file from then on.
    pub(super) fn start(config: &Config, groups: &Groups) -> Self {
        let start = |(name, config): (&String, &Group)| {
            let (snapshot, group) = (config.snapshot.as_ref()?, groups.get(name)?);
            let mut options = Options::default();
            // Zero is none.
            options.interval = Some(config.snapshot_interval.0);
            Some(Keeper::start(
                group.clone(),
                Snapshot::new(snapshot),
                options,
            ))
        };
        Self(config.groups.iter().filter_map(start).collect())
    }

    /// Writes the last ones: two seconds at most.
    pub(super) async fn stop(self, drain: Drain) {
        let within = LAST.min(drain.whole() / 4);
        join_all(self.0.into_iter().map(|keeper| keeper.stop(within))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_needs_a_directory_that_can_be_written_to() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check_place(&dir.path().join("scores.keys")), Ok(()));
        // Relative to where the node was started.
        assert_eq!(check_place(Path::new("scores.keys")), Ok(()));
        let refused = check_place(dir.path()).unwrap_err();
        assert!(refused.ends_with("is a directory; expected the name of a file"));
        let refused = check_place(&dir.path().join("missing/scores.keys")).unwrap_err();
        assert!(refused.starts_with("there is no directory "), "{refused}");
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_is_read_only_is_refused_as_the_system_would() {
        use std::fs::{Permissions, set_permissions, write};
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        set_permissions(dir.path(), Permissions::from_mode(0o555)).unwrap();
        // Root may write nevertheless.
        let may = write(dir.path().join("probe"), "").is_ok();
        let checked = check_place(&dir.path().join("scores.keys"));
        assert_eq!(checked.is_ok(), may, "{checked:?}");
    }
}
