//! Groups that are stopped and restarted with their snapshots.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gaggle_group::{Group, Key, WarmEnd, WarmOptions};
use gaggle_snapshot::{Flaw, Keeper, Options, Snapshot};
use gaggle_testkit::CountingOrigin;
use tempfile::TempDir;
use tokio::time::timeout;

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

/// Whatever else happens, the file at a wrong path stays.
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
async fn only_what_this_crate_has_left_makes_room_for_a_file_that_is_written() {
    let world = World::new();
    let group = world.group();
    fill(&group, 10).await;
    let beside = world.dir.path().join("things.keys.gaggle-partial");
    world.snapshot().write(&group, PATIENCE).await.unwrap();
    let whole = fs::read(world.path()).unwrap();
    for left in [&b""[..], &whole[..3], &whole[..whole.len() / 2]] {
        fs::write(&beside, left).unwrap();
        let written = world.snapshot().write(&group, PATIENCE).await.unwrap();
        assert!(written.replaced, "{left:?}");
    }
    fs::write(&beside, "precious").unwrap();
    let refused = world.snapshot().write(&group, PATIENCE).await.unwrap_err();
    assert!(matches!(refused.flaw, Flaw::Foreign), "{refused}");
    assert_eq!(fs::read(&beside).unwrap(), b"precious");
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
    symlink(
        &precious,
        world.dir.path().join("things.keys.gaggle-partial"),
    )
    .unwrap();
    world.snapshot().write(&group, SECOND * 60).await.unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    let missing = world.dir.path().join("missing/things.keys");
    let failure = Snapshot::new(&missing).write(&group, SECOND).await;
    assert!(matches!(failure.unwrap_err().flaw, Flaw::Io(_)));
}
