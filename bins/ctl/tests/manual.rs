//! The reference page on `gagglectl` in the manual equals the program's own help.
//!
//! `GAGGLE_WRITE=1 cargo test -p gagglectl --test manual` writes it again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../node/tests/manual/help.rs"]
mod help;

use std::path::Path;

#[test]
fn the_reference_of_the_program_is_its_help() {
    let page = help::page(
        "gagglectl",
        "`gagglectl` asks a running cluster for values, owners and statistics, removes keys, and measures the cluster under load. \
         [The command line client](../gagglectl.md) shows it in use.",
        Path::new(env!("CARGO_BIN_EXE_gagglectl")),
    );
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference");
    help::compare(&reference.join("gagglectl.md"), &page);
}
