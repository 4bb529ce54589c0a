//! Links of the prose lead to files and headings that exist. Links to other sites are not fetched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// Where the repository's files can be read on the web: such links are checked against the tree.
const HERE: [&str; 2] = [
    "https://github.com/gaggle-cache/gaggle/tree/main/",
    "https://github.com/gaggle-cache/gaggle/blob/main/",
];

/// The Markdown files below a directory, those of dependencies and builds left out.
pub(crate) fn markdown_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "node_modules" {
                found.extend(markdown_below(&path));
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// The lines that are prose: no fenced blocks, and nothing between backticks.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut fence = None;
    for (number, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let marks = start.len() - start.trim_start_matches('`').len();
        match fence {
            Some(open) if marks >= open => fence = None,
            Some(_) => {}
            None if marks >= 3 => fence = Some(marks),
            None => {
                let parts = line.split('`').enumerate();
                let kept = parts.map(|(at, part)| if at % 2 == 0 { part } else { "" });
                lines.push((number + 1, kept.collect::<Vec<_>>().join("`")));
            }
        }
    }
    lines
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let mut anchor = String::new();
    for character in heading.trim().to_lowercase().chars() {
        if character.is_alphanumeric() || character == '-' || character == '_' {
            anchor.push(character);
        } else if character.is_whitespace() {
            anchor.push('-');
        }
    }
    anchor
}

/// The anchors of a file. Headings of one text are numbered.
fn anchors(text: &str) -> Vec<String> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut fence = false;
    let mut anchors = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fence = !fence;
        }
        let level = line.len() - line.trim_start_matches('#').len();
        if fence || !(1..=6).contains(&level) || !line[level..].starts_with(' ') {
            continue;
        }
        // A link in a heading counts with its text alone.
        let mut heading = line[level..].to_owned();
        while let (Some(open), Some(middle)) = (heading.find('['), heading.find("](")) {
            let Some(close) = heading[middle..].find(')') else {
                break;
            };
            let text = heading[open + 1..middle].to_owned();
            heading.replace_range(open..=middle + close, &text);
        }
        let base = anchor(&heading);
        let count = counts.entry(base.clone()).or_default();
        anchors.push(if *count == 0 {
            base
        } else {
            format!("{base}-{count}")
        });
        *count += 1;
    }
    anchors
}

/// The targets of the links and images in a line: `](target)`.
fn targets(line: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("](") {
        rest = &rest[at + 2..];
        if let Some(end) = rest.find(')') {
            targets.push(rest[..end].split(' ').next().unwrap());
            rest = &rest[end..];
        }
    }
    targets
}

/// What is wrong with a link in a file.
fn fault(file: &Path, target: &str) -> Option<String> {
    let root = root();
    let book = root.join("docs/src");
    let (path, fragment) = match target.split_once('#') {
        Some((path, fragment)) => (path, Some(fragment)),
        None => (target, None),
    };
    let to = if let Some(path) = HERE.iter().find_map(|here| path.strip_prefix(here)) {
        root.join(path)
    } else if path.contains("://") || path.starts_with("mailto:") {
        return None;
    } else if path.is_empty() {
        file.to_owned()
    } else {
        let to = file.parent().unwrap().join(path);
        // The book is published alone, without the files outside of it.
        if file.starts_with(&book) && to.canonicalize().is_ok_and(|to| !to.starts_with(&book)) {
            return Some("leads out of the book: link to the repository's page instead".into());
        }
        to
    };
    if !to.exists() {
        return Some("there is no such file".into());
    }
    let fragment = fragment?;
    let page = if to.is_dir() {
        to.join("README.md")
    } else {
        to
    };
    let text = fs::read_to_string(&page).unwrap_or_default();
    if text.starts_with("<!") || page.extension().is_none_or(|extension| extension != "md") {
        return None;
    }
    (!anchors(&text).contains(&fragment.to_owned())).then(|| "there is no such heading".into())
}

#[test]
fn every_link_leads_somewhere() {
    let mut faults = Vec::new();
    let mut links = 0;
    for file in markdown_below(&root()) {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in prose(&text) {
            for target in targets(&line) {
                links += 1;
                if let Some(fault) = fault(&file, target) {
                    let name = file.strip_prefix(root()).unwrap().display();
                    faults.push(format!("{name}:{number}: {target}: {fault}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(links > 100, "only {links} links were found");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let file = root().join("README.md");
    assert_eq!(fault(&file, "LICENSE-MIT"), None);
    assert_eq!(fault(&file, "https://example.com/nothing#there"), None);
    for target in [
        "docs/no-such-file.md",
        "ARCHITECTURE.md#no-such-heading",
        "https://github.com/gaggle-cache/gaggle/tree/main/crates/none",
    ] {
        assert!(fault(&file, target).is_some(), "{target}");
    }
    assert!(fault(&root().join("docs/src/start.md"), "../../README.md").is_some());
}

#[test]
fn anchors_are_those_of_the_web_sites() {
    let text = "# A title, with `code` and *more*\n```\n# no heading\n```\n## [Linked](x.md) text\n## Twice\n## Twice\n";
    assert_eq!(
        anchors(text),
        [
            "a-title-with-code-and-more",
            "linked-text",
            "twice",
            "twice-1"
        ]
    );
}
