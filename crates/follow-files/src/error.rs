//! Why a directory cannot be watched.

use std::io;
use std::path::PathBuf;

use gaggle_follow::FeedError;
use notify::ErrorKind;

/// Why a directory cannot be watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}: {source}", path.display())]
    Root { path: PathBuf, source: io::Error },
    #[error("the directory {} cannot be read, and so not be watched: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("{} is no directory", path.display())]
    NoDirectory { path: PathBuf },
    #[error(
        "the limit of watched directories is reached{}; raise fs.inotify.max_user_watches",
        at(paths)
    )]
    WatchLimit { paths: Vec<PathBuf> },
    #[error(
        "no more watchers can be made ({source}); raise fs.inotify.max_user_instances or the limit of open files"
    )]
    InstanceLimit { source: io::Error },
    #[error("watching failed: {0}")]
    Watch(#[source] notify::Error),
    #[error("the feed is not open")]
    Closed,
    #[error("checking changed files failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

fn at(paths: &[PathBuf]) -> String {
    let first = paths.first();
    first.map_or_else(String::new, |path| format!(" at {}", path.display()))
}

impl From<notify::Error> for Error {
    fn from(mut error: notify::Error) -> Self {
        // The process has as many descriptors, or the user as many watchers, as they may have.
        const EMFILE: i32 = 24;
        match error.kind {
            ErrorKind::MaxFilesWatch => Self::WatchLimit { paths: error.paths },
            ErrorKind::Io(source) if source.raw_os_error() == Some(EMFILE) => {
                Self::InstanceLimit { source }
            }
            ErrorKind::Io(source)
                if source.kind() == io::ErrorKind::PermissionDenied && !error.paths.is_empty() =>
            {
                let path = error.paths.swap_remove(0);
                Self::Directory { path, source }
            }
            _ => Self::Watch(error),
        }
    }
}

impl From<Error> for FeedError {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_named() {
        let full = notify::Error::new(ErrorKind::MaxFilesWatch).add_path("/srv/pages".into());
        assert_eq!(
            Error::from(full).to_string(),
            "the limit of watched directories is reached at /srv/pages; raise fs.inotify.max_user_watches"
        );
        let full = notify::Error::io(io::Error::from_raw_os_error(24));
        assert!(
            Error::from(full)
                .to_string()
                .contains("fs.inotify.max_user_instances")
        );
        let other = notify::Error::io(io::Error::from_raw_os_error(13));
        assert!(matches!(Error::from(other), Error::Watch(_)));
    }

    #[test]
    fn a_directory_that_may_not_be_read_is_named() {
        let denied = notify::Error::io(io::Error::from_raw_os_error(13));
        assert_eq!(
            Error::from(denied.add_path("/srv/pages/secret".into())).to_string(),
            "the directory /srv/pages/secret cannot be read, and so not be watched: \
             Permission denied (os error 13)"
        );
    }
}
