//! The tests that the chapter on promises names must exist.

use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// The files of Rust below a directory.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The texts between backticks.
fn quoted(page: &str) -> Vec<&str> {
    let lines = page.lines();
    lines
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn every_promise_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/src/promises.md")).unwrap();
    let mut files = Vec::new();
    for folder in ["crates", "bins"] {
        sources(&root().join(folder), &mut files);
    }
    let texts: Vec<String> = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();

    let (mut checked, mut missing) = (0, Vec::new());
    for name in quoted(&page) {
        let is_path = name.starts_with("crates/") || name.starts_with("bins/");
        let is_test = name.len() > 24 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let exists = if is_path {
            root().join(name).exists()
        } else if is_test {
            let function = format!("fn {name}(");
            texts.iter().any(|text| text.contains(&function))
        } else {
            continue;
        };
        checked += 1;
        if !exists {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert!(checked > 20, "only {checked} names were found");
}
