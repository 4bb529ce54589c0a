//! The user that the servers run as.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// A user and its group. Root runs the servers as another user; any other user runs them as
/// itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    ids: Option<(u32, u32)>,
}

impl User {
    /// The user of this name, if this process is root's.
    pub(crate) fn if_root(name: &str) -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self { ids: None };
        }
        let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let ids = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(())?;
            let (uid, gid) = (fields.nth(1)?, fields.next()?);
            Some((uid.parse().ok()?, gid.parse().ok()?))
        });
        assert!(
            ids.is_some(),
            "there is no user {name}: run deploy/databases/install"
        );
        Self { ids }
    }

    /// A command that runs as this user, in a group of processes of its own.
    pub(crate) fn command(self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.process_group(0).current_dir("/");
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes this user the owner of a file or a directory.
    pub(crate) fn give(self, path: &Path) {
        if let Some((uid, gid)) = self.ids {
            std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("chown");
        }
    }
}
