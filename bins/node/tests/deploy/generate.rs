//! `completions` and `man`: generated from the command line's definition.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::{node, printed};

const COMMANDS: [&str; 7] = [
    "demo",
    "serve",
    "health",
    "check",
    "follow-sql",
    "completions",
    "man",
];

#[test]
fn completions_know_every_command_and_flag_in_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&node(&["completions", shell], &[]));
        for word in COMMANDS
            .iter()
            .chain(&["peer-addr", "admin-addr", "offline"])
        {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    assert_eq!(node(&["completions", "sh"], &[]).status.code(), Some(2));
}

#[test]
fn bash_takes_its_completions_and_completes_by_them() {
    let script = printed(&node(&["completions", "bash"], &[]));
    // What may follow, and what it is completed to.
    for (words, expected) in [
        ("ser", "serve"),
        ("serve --api", "--api-addr"),
        ("check --off", "--offline"),
        ("follow-sql --conf", "--config"),
    ] {
        let (before, word) = words.rsplit_once(' ').unwrap_or(("", words));
        let at = words.split(' ').count();
        let previous = before.rsplit(' ').next().filter(|word| !word.is_empty());
        let previous = previous.unwrap_or("gaggle-node");
        let ask = format!(
            "\nCOMP_WORDS=(gaggle-node {words}); COMP_CWORD={at}\n\
             registered=$(complete -p gaggle-node); function=${{registered#*-F }}\n\
             ${{function%% *}} gaggle-node {word} {previous}\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        );
        let mut bash = Command::new("bash")
            .args(["--norc", "--noprofile"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = bash.stdin.take().unwrap();
        stdin
            .write_all(format!("{script}{ask}").as_bytes())
            .unwrap();
        drop(stdin);
        let completed = printed(&bash.wait_with_output().unwrap());
        assert_eq!(completed, format!("{expected}\n"), "{words}");
    }
}

#[test]
fn there_is_a_page_for_the_program_and_for_each_command() {
    let page = printed(&node(&["man"], &[]));
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "SUBCOMMANDS"] {
        assert!(page.contains(&format!("\n.SH {section}\n")), "no {section}");
    }
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    let written = printed(&node(&["man", "--dir", pages.to_str().unwrap()], &[]));
    assert_eq!(written, "");
    let entries = std::fs::read_dir(&pages).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected = COMMANDS
        .map(|command| format!("gaggle-node-{command}.1"))
        .to_vec();
    expected.push("gaggle-node.1".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    let serve = std::fs::read_to_string(pages.join("gaggle-node-serve.1")).unwrap();
    for word in [r"\-\-advertise", "GAGGLE_ADVERTISE", "\n.SH OPTIONS\n"] {
        assert!(serve.contains(word), "no {word}");
    }
}
