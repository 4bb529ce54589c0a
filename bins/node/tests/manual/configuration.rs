//! The reference of the configuration: the annotated file, whose fields a unit test compares with
//! the code, and the defaults as a node prints them.

use std::fs;
use std::process::{Command, Stdio};

use crate::{help, root};

const MINIMAL: &str = r#"[groups.scores.origin]
kind = "sqlite"
path = "scores.db"
query = "SELECT value FROM scores WHERE key = ?1"
"#;

/// The first block of TOML in the README of `gaggle-node`.
fn annotated() -> String {
    let readme = fs::read_to_string(root().join("bins/node/README.md")).unwrap();
    let (_, from) = readme.split_once("```toml\n").unwrap();
    from.split_once("```").unwrap().0.to_owned()
}

/// What `gaggle-node check` prints of a configuration with nothing but an origin.
fn defaults() -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.toml");
    fs::write(&file, MINIMAL).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gaggle-node"))
        .args(["check", "--offline", "--config"])
        .arg(&file)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.replace(file.to_str().unwrap(), "node.toml")
}

#[test]
fn the_reference_is_what_the_node_reads_and_prints() {
    let page = format!(
        "# Configuration

A node reads a file in TOML. Flags override the environment, which overrides the file, which overrides the defaults. Every field has a
variable: `GAGGLE_`, the table, two underscores, the field, with one underscore for each `-`. `GAGGLE_GROUPS__SCORES__TTL` is
`groups.scores.ttl`. [gaggle-node](gaggle-node.md) has the flags and the short variables.

- Sizes read `64MiB`, times `5s` or `1h 30m`. Unknown fields are errors.
- `gaggle-node check` prints a configuration in full and says where each value was set.

This page is generated from the code. Tests compare it with the program and check that the first file names every field.

## Every field

```toml
{}```

## The defaults

`gaggle-node check --offline` prints this for a configuration that has nothing but the origin:

```toml
{}```
",
        annotated(),
        defaults()
    );
    help::compare(&root().join("docs/src/reference/configuration.md"), &page);
}
