//! The manual under `docs/`, the README and the crates' READMEs: links lead somewhere, commands do
//! what is shown, and the reference is what the code says.
//!
//! `GAGGLE_WRITE=1 cargo test -p gaggle-node --test manual` writes the reference again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod configuration;
mod console;
mod endpoints;
mod help;
mod links;
mod promises;
mod prose;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

#[test]
fn the_reference_of_the_program_is_its_help() {
    let page = help::page(
        "gaggle-node",
        "`gaggle-node` runs one node, a demo cluster, or a check of a configuration. \
         [Run a cluster](../run.md) shows it in use.",
        Path::new(env!("CARGO_BIN_EXE_gaggle-node")),
    );
    help::compare(&root().join("docs/src/reference/gaggle-node.md"), &page);
}

#[test]
fn the_summary_has_every_chapter() {
    let src = root().join("docs/src");
    let summary = std::fs::read_to_string(src.join("SUMMARY.md")).unwrap();
    let listed: Vec<&str> = summary
        .lines()
        .filter_map(|line| Some(line.split_once("](")?.1.split_once(')')?.0))
        .collect();
    for chapter in &listed {
        assert!(src.join(chapter).is_file(), "SUMMARY.md lists {chapter}");
    }
    for file in links::markdown_below(&src) {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
        assert!(
            name == "SUMMARY.md" || listed.contains(&name),
            "SUMMARY.md does not list {name}"
        );
    }
}
