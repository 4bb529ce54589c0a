//! A page of the reference, generated from a program's help texts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// How deep commands may be nested: what bounds the search for them.
const DEPTH: usize = 3;

/// The page of a program: its own help, and that of each of its commands.
pub(crate) fn page(name: &str, about: &str, program: &Path) -> String {
    let mut page = format!(
        "# {name}\n\n{about}\n\nThis page is generated from the program's help texts. A test compares it with the program.\n"
    );
    add(&mut page, name, program, &mut Vec::new());
    page
}

fn add(page: &mut String, name: &str, program: &Path, path: &mut Vec<String>) {
    let help = help(program, path);
    let title = [&[name.to_owned()], &path[..]].concat().join(" ");
    if path.is_empty() {
        writeln!(page, "\n## Commands").unwrap();
    } else {
        writeln!(page, "\n## {title}").unwrap();
    }
    writeln!(page, "\n```text\n{}\n```", help.trim_end()).unwrap();
    if path.len() == DEPTH {
        return;
    }
    for command in commands(&help) {
        path.push(command);
        add(page, name, program, path);
        path.pop();
    }
}

/// The help of a command. Without an environment, so that no variable of the machine shows as a
/// value.
fn help(program: &Path, path: &[String]) -> String {
    let output = Command::new(program)
        .args(path)
        .arg("--help")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{path:?}: {output:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// The commands that a help text lists: under `Commands:`, two spaces before each.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| line.starts_with(' '))
        .filter_map(|line| {
            let name = line.strip_prefix("  ")?.split(' ').next()?;
            (!name.is_empty() && name != "help").then(|| name.to_owned())
        })
        .collect()
}

/// Compares a generated page with the file, or writes the file if `GAGGLE_WRITE` is set.
pub(crate) fn compare(file: &Path, page: &str) {
    if std::env::var_os("GAGGLE_WRITE").is_some() {
        fs::write(file, page).unwrap();
        return;
    }
    let written = fs::read_to_string(file).unwrap_or_default();
    let same = written
        .lines()
        .zip(page.lines())
        .take_while(|(written, page)| written == page)
        .count();
    assert!(
        written == page,
        "{} is not up to date (first at line {}): run the test with GAGGLE_WRITE=1",
        file.display(),
        same + 1
    );
}
