//! Groups that are stopped and restarted with their snapshots.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::{Debug, Write as _};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle_group::{Group, Key, WarmEnd, WarmOptions};
use gaggle_snapshot::{Flaw, Keeper, Options, Snapshot};
use gaggle_testkit::CountingOrigin;
use tempfile::TempDir;
use tokio::time::timeout;
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const SECOND: Duration = Duration::from_secs(1);
/// The timeout of a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    dir: TempDir,
    origin: CountingOrigin,
}

impl World {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            origin: CountingOrigin::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("things.keys")
    }

    /// Where a snapshot is written first.
    fn beside(&self) -> PathBuf {
        self.dir.path().join("things.keys.gaggle-partial")
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.path())
    }

    fn group(&self) -> Group {
        self.named("things")
    }

    fn named(&self, name: &str) -> Group {
        Group::builder(name)
            .origin(self.origin.clone())
            .build()
            .unwrap()
    }

    fn start(&self, group: &Group) -> Keeper {
        let mut options = Options::default();
        options.interval = None;
        Keeper::start(group.clone(), self.snapshot(), options)
    }

    /// The files in the directory.
    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.dir.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

async fn fill(group: &Group, keys: usize) {
    for n in 0..keys {
        group.get(key(n)).await.unwrap();
    }
}

/// Not text, and of many lengths.
fn key(n: usize) -> Key {
    let mut key = vec![0xff; n % 300];
    key.extend(n.to_be_bytes());
    key.into()
}

async fn warmed(keeper: &Keeper) {
    let wait = async {
        while !keeper.has_warmed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

#[tokio::test]
async fn the_next_run_loads_what_the_last_one_held() {
    let world = World::new();
    let group = world.group();
    let keeper = world.start(&group);
    warmed(&keeper).await;
    fill(&group, 3_000).await;
    keeper.stop(PATIENCE).await;
    assert_eq!(world.files(), ["things.keys"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(world.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let group = world.group();
    let mut options = WarmOptions::default();
    options.keys_per_second = u32::MAX;
    let warmed = world.snapshot().warm(&group, &options).await.unwrap();
    let warmed = warmed.unwrap();
    assert_eq!(
        (warmed.keys.loaded, warmed.end),
        (3_000, WarmEnd::NoMoreKeys)
    );
    assert!((0..3_000).all(|n| group.holds(key(n))));
    assert_eq!(world.origin.most_loads(), 2);
}

#[tokio::test]
async fn without_a_file_it_starts_cold() {
    let world = World::new();
    let group = world.group();
    let warm = world.snapshot();
    let warm = warm.warm(&group, &WarmOptions::default()).await.unwrap();
    assert_eq!(warm, None);
}

#[tokio::test]
async fn a_file_that_was_cut_off_loads_nothing_and_is_replaced() {
    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    let snapshot = world.snapshot();
    let written = snapshot.write(&group, PATIENCE).await.unwrap();
    assert_eq!((written.keys, written.complete), (10, true));
    let whole = fs::read(world.path()).unwrap();
    assert_eq!(whole.len() as u64, written.bytes);
    fs::write(world.path(), &whole[..whole.len() - 1]).unwrap();

    let fresh = world.group();
    let failure = snapshot.warm(&fresh, &WarmOptions::default()).await;
    let failure = failure.unwrap_err();
    assert!(matches!(failure.flaw, Flaw::Truncated { .. }), "{failure}");
    assert!(
        failure
            .to_string()
            .starts_with(world.path().to_str().unwrap())
    );
    assert_eq!(
        (fresh.stats().main.entries, world.origin.most_loads()),
        (0, 1)
    );

    let keeper = world.start(&group);
    warmed(&keeper).await;
    keeper.stop(PATIENCE).await;
    assert_eq!(fs::read(world.path()).unwrap().len(), whole.len());
}

/// In every case, the file at a wrong path stays.
#[tokio::test]
async fn files_of_others_are_neither_used_nor_replaced() {
    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    let other = world.named("others");
    fill(&other, 10).await;
    world.snapshot().write(&other, PATIENCE).await.unwrap();
    let of_others = fs::read(world.path()).unwrap();
    for content in [&b"[node]\n"[..], &of_others] {
        fs::write(world.path(), content).unwrap();
        let snapshot = world.snapshot();
        let options = WarmOptions::default();
        assert!(snapshot.warm(&group, &options).await.is_err());
        let failure = snapshot.write(&group, PATIENCE).await.unwrap_err();
        assert!(matches!(
            failure.flaw,
            Flaw::Foreign | Flaw::OtherGroup { .. }
        ));
        let keeper = world.start(&group);
        warmed(&keeper).await;
        keeper.stop(PATIENCE).await;
        assert_eq!(fs::read(world.path()).unwrap(), content);
        assert_eq!(world.files(), ["things.keys"]);
    }
}

#[tokio::test]
async fn an_empty_group_and_one_that_is_being_warmed_leave_the_file() {
    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    let snapshot = world.snapshot();
    snapshot.write(&group, PATIENCE).await.unwrap();
    let before = fs::read(world.path()).unwrap();

    let written = snapshot.write(&world.group(), PATIENCE).await.unwrap();
    assert_eq!(written.keys, 0);
    assert_eq!(fs::read(world.path()).unwrap(), before);

    // It hangs at its first key.
    world.origin.set_open(false);
    let started = world.group();
    let keeper = world.start(&started);
    let loading = async {
        while started.stats().loads_in_flight == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, loading).await.unwrap();
    assert!(!keeper.has_warmed());
    keeper.stop(PATIENCE).await;
    assert_eq!(fs::read(world.path()).unwrap(), before);
}

#[tokio::test]
async fn without_time_it_writes_the_first_keys() {
    let world = World::new();
    let group = world.group();
    fill(&group, 5_000).await;
    let written = world.snapshot().write(&group, Duration::ZERO).await;
    let written = written.unwrap();
    assert!(
        !written.complete && (1..5_000).contains(&written.keys),
        "{written:?}"
    );
    let options = WarmOptions::default();
    let warmed = world.snapshot().warm(&group, &options).await.unwrap();
    assert_eq!(warmed.unwrap().keys.skipped, written.keys);
}

#[tokio::test]
async fn without_time_a_snapshot_with_more_keys_stays() {
    let world = World::new();
    let group = world.group();
    fill(&group, 5_000).await;
    let snapshot = world.snapshot();
    let all = snapshot.write(&group, PATIENCE).await.unwrap();
    assert!(all.replaced && snapshot.keys() == 5_000, "{all:?}");
    let before = fs::read(world.path()).unwrap();
    let cut = snapshot.write(&group, Duration::ZERO).await.unwrap();
    assert!(!cut.complete && !cut.replaced, "{cut:?}");
    assert_eq!(fs::read(world.path()).unwrap(), before);
    assert_eq!(world.files(), ["things.keys"]);
}

#[tokio::test]
async fn a_snapshot_stays_for_a_while_if_the_warm_start_could_not_load_its_keys() {
    let world = World::new();
    let group = world.group();
    fill(&group, 4).await;
    world.snapshot().write(&group, PATIENCE).await.unwrap();
    let before = fs::read(world.path()).unwrap();

    // Warming waits a second after each failure.
    world.origin.fail_next(3);
    let started = world.group();
    let keeper = world.start(&started);
    warmed(&keeper).await;
    keeper.stop(PATIENCE).await;
    assert_eq!(started.stats().main.entries, 1);
    assert_eq!(fs::read(world.path()).unwrap(), before);
}

#[tokio::test]
async fn whatever_a_file_with_the_suffix_holds_it_makes_room_for_the_next_snapshot() {
    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    let other = world.named("others");
    fill(&other, 10).await;
    world.snapshot().write(&other, PATIENCE).await.unwrap();
    let of_others = fs::read(world.path()).unwrap();
    fs::remove_file(world.path()).unwrap();
    world.snapshot().write(&group, PATIENCE).await.unwrap();
    let whole = fs::read(world.path()).unwrap();
    // A power loss can leave zeros.
    for left in [
        &b""[..],
        &whole[..3],
        &whole[..whole.len() / 2],
        &vec![0; whole.len()],
        b"[node]\n",
        &of_others,
    ] {
        fs::remove_file(world.path()).unwrap();
        fs::write(world.beside(), left).unwrap();
        let written = world.snapshot().write(&group, PATIENCE).await.unwrap();
        assert!(written.replaced, "{left:?}");
        assert_eq!(fs::read(world.path()).unwrap().len(), whole.len());
        assert_eq!(world.files(), ["things.keys"]);
    }
}

#[tokio::test]
async fn a_file_that_another_process_writes_is_left_to_it() {
    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    // The lock of another handle is like that of another process.
    let theirs = fs::File::create(world.beside()).unwrap();
    theirs.lock().unwrap();
    fs::write(world.beside(), "theirs").unwrap();
    let refused = world.snapshot().write(&group, PATIENCE).await.unwrap_err();
    assert!(
        matches!(&refused.flaw, Flaw::Io(failure) if failure.kind() == ErrorKind::ResourceBusy),
        "{refused}"
    );
    assert_eq!(refused.path, world.beside());
    assert_eq!(fs::read(world.beside()).unwrap(), b"theirs");
    assert!(!world.path().exists());

    // It was killed.
    drop(theirs);
    let written = world.snapshot().write(&group, PATIENCE).await.unwrap();
    assert!(written.replaced);
    assert_eq!(world.files(), ["things.keys"]);
}

#[cfg(unix)]
#[tokio::test]
async fn what_has_the_suffix_and_is_no_file_is_named_and_stays() {
    use std::os::unix::net::UnixListener;

    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    world.snapshot().write(&group, PATIENCE).await.unwrap();
    let before = fs::read(world.path()).unwrap();
    let refused = async || {
        let refused = world.snapshot().write(&group, PATIENCE).await.unwrap_err();
        assert_eq!(refused.path, world.beside(), "{refused}");
        assert!(refused.to_string().contains("is not a regular file"));
        assert!(world.beside().exists());
        assert_eq!(fs::read(world.path()).unwrap(), before);
    };
    fs::create_dir(world.beside()).unwrap();
    refused().await;
    fs::remove_dir(world.beside()).unwrap();
    let socket = UnixListener::bind(world.beside()).unwrap();
    refused().await;
    drop(socket);
}

/// The fields of each event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut |field: &Field, value: &dyn Debug| {
            // Writing to a String cannot fail.
            let _ = write!(line, " {field}={value:?}");
        });
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn the_log_names_the_file_that_is_in_the_way() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    world.snapshot().write(&group, PATIENCE).await.unwrap();
    fs::create_dir(world.beside()).unwrap();
    let keeper = world.start(&group);
    warmed(&keeper).await;
    keeper.stop(PATIENCE).await;
    let lines = log.0.lock().unwrap();
    let warnings: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("WARN"))
        .collect();
    assert_eq!(warnings.len(), 1, "{lines:?}");
    let path = format!(" path={} reason=", world.beside().display());
    assert!(warnings[0].contains(&path), "{lines:?}");
    assert!(warnings[0].contains("message=the snapshot cannot be written"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_at_the_path_stays_and_what_it_leads_to_is_replaced() {
    use std::os::unix::fs::symlink;

    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    let disk = world.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let target = disk.join("scores.keys");
    // Two links: one is relative to its own directory, the other is absolute.
    symlink("scores.keys", disk.join("current")).unwrap();
    symlink(disk.join("current"), world.path()).unwrap();
    for keys in [10, 20] {
        // At first, there is no file yet.
        fill(&group, keys).await;
        let written = world.snapshot().write(&group, PATIENCE).await.unwrap();
        assert_eq!((written.keys, written.replaced), (keys as u64, true));
        assert!(world.path().is_symlink() && disk.join("current").is_symlink());
        assert!(fs::symlink_metadata(&target).unwrap().is_file());
        assert_eq!(fs::metadata(&target).unwrap().len(), written.bytes);
        assert_eq!(fs::read_dir(&disk).unwrap().count(), 2);
        assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 2);
    }
    let options = WarmOptions::default();
    let warmed = world.snapshot().warm(&group, &options).await.unwrap();
    assert_eq!(warmed.unwrap().end, WarmEnd::NoMoreKeys);

    fs::write(&target, "precious").unwrap();
    let refused = world.snapshot().write(&group, PATIENCE).await.unwrap_err();
    assert!(matches!(refused.flaw, Flaw::Foreign), "{refused}");
    assert_eq!(refused.path, target);
    assert_eq!(fs::read(&target).unwrap(), b"precious");

    fs::remove_file(&target).unwrap();
    symlink("current", &target).unwrap();
    let refused = world.snapshot().write(&group, PATIENCE).await.unwrap_err();
    assert!(matches!(refused.flaw, Flaw::Io(_)), "{refused}");
    assert_eq!(refused.path, world.path());
}

#[tokio::test]
async fn it_is_written_at_intervals() {
    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    let mut options = Options::default();
    options.interval = Some(Duration::from_millis(1));
    let keeper = Keeper::start(group, world.snapshot(), options);
    let written = async {
        while !world.path().exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, written).await.unwrap();
    drop(keeper);
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_not_opened_and_a_link_is_not_followed() {
    use std::os::unix::fs::symlink;

    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    let options = WarmOptions::default();
    for path in [Path::new("/dev/zero"), world.dir.path()] {
        let failure = Snapshot::new(path).warm(&group, &options).await;
        assert!(matches!(failure.unwrap_err().flaw, Flaw::Foreign));
    }
    // At the path of the temporary file there is a link to a valuable file.
    let precious = world.dir.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    symlink(&precious, world.beside()).unwrap();
    world.snapshot().write(&group, SECOND * 60).await.unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    let missing = world.dir.path().join("missing/things.keys");
    let failure = Snapshot::new(&missing).write(&group, SECOND).await;
    assert!(matches!(failure.unwrap_err().flaw, Flaw::Io(_)));
}
