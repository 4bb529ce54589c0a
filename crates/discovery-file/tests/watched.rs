//! A file that other programs write, in each way in which files are written.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gaggle_discovery_file::{FileDiscovery, FileOptions, MAX_BYTES};
use gaggle_peers::Discovery as _;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

const EVERY: Duration = Duration::from_secs(1);
/// Longer than any expected event takes.
const LONG: Duration = Duration::from_secs(60);

struct Fixture {
    folder: TempDir,
    discovery: FileDiscovery,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("members");
        let options = FileOptions {
            path,
            ..FileOptions::default()
        };
        Self {
            discovery: FileDiscovery::new(options).unwrap(),
            folder,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("members")
    }

    /// The ports that are listed.
    async fn ports(&self) -> Result<Vec<u16>, String> {
        let members = timeout(LONG, self.discovery.members()).await.unwrap();
        let members = members.map_err(|failure| failure.to_string())?;
        let port = |address: &str| address.rsplit_once(':').unwrap().1.parse().unwrap();
        Ok(members.iter().map(|listed| port(&listed.address)).collect())
    }

    async fn changed(&self) {
        timeout(LONG, self.discovery.changed()).await.unwrap();
    }

    async fn unchanged(&self) {
        timeout(LONG, self.discovery.changed()).await.unwrap_err();
    }
}

fn list(ports: impl IntoIterator<Item = u16>) -> String {
    ports
        .into_iter()
        .map(|port| format!("10.0.0.1:{port}\n"))
        .collect()
}

/// Like a file that was written a while ago.
fn rest(path: &Path) {
    let earlier = SystemTime::now() - Duration::from_secs(3600);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(earlier)
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_at_rest_is_read_at_once() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), list([1, 2])).unwrap();
    rest(&fixture.path());
    let began = Instant::now();
    assert_eq!(fixture.ports().await.unwrap(), [1, 2]);
    assert_eq!(began.elapsed(), Duration::ZERO);
    fixture.unchanged().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_without_a_scheme_has_that_of_the_cluster() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), "10.0.0.1:8001").unwrap();
    let discovery = fixture.discovery.https(true);
    let members = discovery.members().await.unwrap();
    assert_eq!(members[0].address, "https://10.0.0.1:8001");
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_noticed() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), list([1])).unwrap();
    assert_eq!(fixture.ports().await.unwrap(), [1]);
    // With the same length and modification time as the first.
    let new = fixture.folder.path().join("new");
    fs::write(&new, list([2])).unwrap();
    let modified = fs::metadata(fixture.path()).unwrap().modified().unwrap();
    File::options()
        .write(true)
        .open(&new)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    fs::rename(&new, fixture.path()).unwrap();
    fixture.changed().await;
    assert_eq!(fixture.ports().await.unwrap(), [2]);
    fixture.unchanged().await;
}

#[tokio::test(start_paused = true)]
async fn writing_in_place_is_noticed_even_if_only_the_bytes_tell() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), list([1])).unwrap();
    rest(&fixture.path());
    let modified = fs::metadata(fixture.path()).unwrap().modified().unwrap();
    assert_eq!(fixture.ports().await.unwrap(), [1]);
    let mut file = File::options()
        .write(true)
        .truncate(true)
        .open(fixture.path())
        .unwrap();
    file.write_all(list([2]).as_bytes()).unwrap();
    file.set_modified(modified).unwrap();
    fixture.changed().await;
    assert_eq!(fixture.ports().await.unwrap(), [2]);
}

/// Kubernetes mounts a ConfigMap so: `members` leads to `..data/members`, and `..data` to a folder
/// of which a new one takes the place.
#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn the_swap_of_a_config_map_is_noticed() {
    use std::os::unix::fs::symlink;

    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    let version = |name: &str, ports: &[u16]| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(
            folder.join(name).join("members"),
            list(ports.iter().copied()),
        )
        .unwrap();
    };
    version("..2026_01", &[1, 2]);
    symlink("..2026_01", folder.join("..data")).unwrap();
    symlink("..data/members", fixture.path()).unwrap();
    assert_eq!(fixture.ports().await.unwrap(), [1, 2]);
    version("..2026_02", &[1, 2, 3]);
    symlink("..2026_02", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    fs::remove_dir_all(folder.join("..2026_01")).unwrap();
    fixture.changed().await;
    assert_eq!(fixture.ports().await.unwrap(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_being_written_is_not_taken_half() {
    let fixture = Fixture::new();
    let whole = list([1, 2, 3]);
    let (first, second) = whole.split_at(whole.len() / 2 + 4);
    let mut file = File::create(fixture.path()).unwrap();
    // Half of the file is a valid list, too.
    let first = &first[..=first.rfind('\n').unwrap()];
    let second = format!(
        "{}{second}",
        &whole[first.len()..whole.len() - second.len()]
    );
    file.write_all(first.as_bytes()).unwrap();
    let write = async {
        tokio::time::sleep(EVERY / 2).await;
        file.write_all(second.as_bytes()).unwrap();
    };
    let (ports, ()) = tokio::join!(fixture.ports(), write);
    assert_eq!(ports.unwrap(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_does_not_come_to_rest_is_an_error_that_passes() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), list([1])).unwrap();
    let path = fixture.path();
    let write = async {
        for port in 2.. {
            tokio::time::sleep(EVERY / 2).await;
            fs::write(&path, list([port])).unwrap();
        }
    };
    let failure = tokio::select! {
        () = write => unreachable!(),
        ports = fixture.ports() => ports.unwrap_err(),
    };
    assert!(failure.contains("still changes"), "{failure}");
    fixture.changed().await;
    fixture.ports().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_list_is_an_error_that_names_the_file_and_is_reported_once() {
    let fixture = Fixture::new();
    let path = format!("{:?}", fixture.path());
    let missing = fixture.ports().await.unwrap_err();
    assert!(missing.contains(&path), "{missing}");
    fixture.unchanged().await;

    fs::write(fixture.path(), list([1])).unwrap();
    fixture.changed().await;
    assert_eq!(fixture.ports().await.unwrap(), [1]);

    for (text, expected) in [
        ("", "lists no node"),
        ("10.0.0.1:8001\n10.0.", "line 2"),
        ("[\"10.0.0.1:8001\",\n\"10.0.", "line 2"),
    ] {
        fs::write(fixture.path(), text).unwrap();
        fixture.changed().await;
        let failure = fixture.ports().await.unwrap_err();
        assert!(
            failure.contains(&path) && failure.contains(expected),
            "{failure}"
        );
        fixture.unchanged().await;
    }

    fs::remove_file(fixture.path()).unwrap();
    fixture.changed().await;
    fixture.ports().await.unwrap_err();
    fixture.unchanged().await;

    fs::write(fixture.path(), "none\n").unwrap();
    fixture.changed().await;
    assert_eq!(fixture.ports().await.unwrap(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_not_read_at_any_length() {
    let fixture = Fixture::new();
    let mut text = list([1]);
    text.push_str(&"#".repeat(MAX_BYTES - text.len()));
    fs::write(fixture.path(), &text).unwrap();
    assert_eq!(fixture.ports().await.unwrap(), [1]);
    text.push('#');
    fs::write(fixture.path(), &text).unwrap();
    let failure = fixture.ports().await.unwrap_err();
    assert!(failure.contains("more than 1048576 bytes"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_folder_is_no_file() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path()).unwrap();
    let failure = fixture.ports().await.unwrap_err();
    assert!(failure.contains("not a regular file"), "{failure}");
}

#[test]
fn options_that_cannot_be_are_refused_by_name() {
    let every = |every| FileOptions {
        path: "members".into(),
        every,
    };
    for (options, expected) in [
        (FileOptions::default(), "path"),
        (every(Duration::ZERO), "every"),
        (every(Duration::from_secs(3601)), "every"),
    ] {
        let failure = FileDiscovery::new(options).unwrap_err().to_string();
        assert!(failure.starts_with(expected), "{failure}");
    }
}
