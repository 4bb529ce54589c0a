//! The edges between our crates are decisions: this list matches the table in ARCHITECTURE.md. A
//! new edge is a change here, in a commit that says why.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// What each crate may depend on, tests aside.
const ALLOWED: &[(&str, &[&str])] = &[
    ("gaggle-shards", &[]),
    ("gaggle-lru", &["gaggle-shards"]),
    ("gaggle-paged", &["gaggle-shards"]),
    ("gaggle-ring", &[]),
    ("gaggle-singleflight", &[]),
    ("gaggle-serve", &[]),
    ("gaggle-limiter", &[]),
    ("gaggle-tls", &[]),
    ("gaggle-token", &[]),
    (
        "gaggle-group",
        &[
            "gaggle-limiter",
            "gaggle-lru",
            "gaggle-paged",
            "gaggle-shards",
            "gaggle-singleflight",
        ],
    ),
    ("gaggle-peers", &["gaggle-group", "gaggle-ring"]),
    ("gaggle-proto", &["gaggle-group"]),
    ("gaggle-transport-http", &["gaggle-group", "gaggle-proto"]),
    ("gaggle-transport-grpc", &["gaggle-group", "gaggle-proto"]),
    ("gaggle-follow", &["gaggle-group"]),
    // Writes the keys that a group holds, and makes a group load them: not a part of the read
    // path.
    ("gaggle-snapshot", &["gaggle-group"]),
    // The admin port shows what the console keeps.
    ("gaggle-api-http", &["gaggle-console", "gaggle-group"]),
    ("gaggle-console", &["gaggle-group"]),
    ("gaggle-telemetry", &["gaggle-group"]),
    // A separate port, so that a node without Redis clients does not need it.
    ("gaggle-api-resp", &["gaggle-group"]),
    ("gaggle-typed", &["gaggle-group", "gaggle-lru"]),
];

/// Families by prefix, for future crates.
const FAMILIES: &[(&str, &[&str])] = &[
    ("gaggle-origin-", &["gaggle-group"]),
    ("gaggle-follow-", &["gaggle-follow", "gaggle-group"]),
    ("gaggle-transport-", &["gaggle-group", "gaggle-proto"]),
    ("gaggle-discovery-", &["gaggle-peers"]),
];

/// These compose the others and may depend on any of them but a binary.
const COMPOSERS: &[&str] = &[
    "gaggle",
    "gaggle-node",
    "gagglectl",
    "gaggle-testkit",
    "gaggle-testservers",
    "gaggle-benches",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .no_deps()
        .other_options(vec!["--offline".into()])
        .exec()
        .expect("cargo metadata")
}

/// Our crates and their edges to our crates, dev-dependencies left out or taken alone.
fn edges(metadata: &Metadata, dev: bool) -> BTreeMap<String, BTreeSet<String>> {
    let ours: BTreeSet<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut edges = BTreeMap::new();
    for package in &metadata.packages {
        let to = package
            .dependencies
            .iter()
            .filter(|dependency| (dependency.kind == DependencyKind::Development) == dev)
            .map(|dependency| dependency.name.clone())
            .filter(|name| ours.contains(name.as_str()))
            .collect();
        edges.insert(package.name.to_string(), to);
    }
    edges
}

fn allowed(name: &str) -> Option<&'static [&'static str]> {
    ALLOWED
        .iter()
        .find(|(of, _)| *of == name)
        .map(|(_, to)| *to)
        .or_else(|| {
            FAMILIES
                .iter()
                .find(|(prefix, _)| name.starts_with(prefix))
                .map(|(_, to)| *to)
        })
}

#[test]
fn crates_depend_only_on_what_the_architecture_allows() {
    let metadata = metadata();
    let edges = edges(&metadata, false);
    assert!(edges.len() >= 15, "found only {} crates", edges.len());
    for (from, to) in edges {
        if COMPOSERS.contains(&from.as_str()) {
            assert!(
                !to.iter()
                    .any(|name| name == "gaggle-node" || name == "gagglectl"),
                "{from} depends on a binary"
            );
            assert!(
                !to.contains("gaggle-testkit"),
                "{from} depends on the testkit outside its tests"
            );
            continue;
        }
        let allowed = allowed(&from).unwrap_or_else(|| panic!("{from} is not in the architecture"));
        for name in to {
            assert!(
                allowed.contains(&name.as_str()),
                "{from} must not depend on {name}"
            );
        }
    }
}

#[test]
fn leaves_stay_leaves_even_in_their_tests() {
    let edges = edges(&metadata(), true);
    for leaf in [
        "gaggle-lru",
        "gaggle-paged",
        "gaggle-shards",
        "gaggle-ring",
        "gaggle-singleflight",
        "gaggle-serve",
        "gaggle-limiter",
        "gaggle-tls",
        "gaggle-token",
    ] {
        assert!(
            edges[leaf].is_empty(),
            "{leaf} has dev-dependencies of ours: {:?}",
            edges[leaf]
        );
    }
}

#[test]
fn the_facade_depends_on_every_library() {
    let metadata = metadata();
    let all = edges(&metadata, false);
    let facade = &all["gaggle"];
    for name in all.keys() {
        if COMPOSERS.contains(&name.as_str()) {
            continue;
        }
        assert!(facade.contains(name), "the facade leaves out {name}");
    }
}

#[test]
fn every_crate_has_a_readme_and_inherits_the_lints() {
    for package in metadata().packages {
        let dir = package.manifest_path.parent().unwrap();
        let readme = std::fs::read_to_string(dir.join("README.md")).expect("a README.md");
        assert!(
            readme.lines().count() > 10,
            "{}: its README.md says nothing",
            package.name
        );
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{}: lints",
            package.name
        );
    }
}

/// The image is built without tests and examples. Cargo takes a target whose file is missing only
/// if its path is given.
#[test]
fn named_targets_have_paths() {
    for package in metadata().packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        for section in manifest.split("\n[").skip(1) {
            let named = ["[test]]", "[example]]", "[bench]]"];
            if named.iter().any(|kind| section.starts_with(kind)) {
                assert!(
                    section.contains("\npath = "),
                    "{}: give the path in [{section}",
                    package.name
                );
            }
        }
    }
}
