//! `completions` and `man`: generated from the command line's definition.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::harness::ctl;

const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "elvish", "powershell"];

const COMMANDS: [&str; 10] = [
    "get",
    "owner",
    "stats",
    "cluster",
    "top",
    "remove",
    "put",
    "bench",
    "completions",
    "man",
];

#[tokio::test]
async fn completions_know_every_command_and_flag_in_every_shell() {
    for shell in SHELLS {
        let script = ctl(&["completions", shell]).await;
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{shell}");
        for word in COMMANDS
            .iter()
            .chain(&["admin-addr", "serve-origin", "hdr"])
        {
            assert!(script.text().contains(word), "{shell}: no {word}");
        }
    }
    let unknown = ctl(&["completions", "cmd.exe"]).await;
    assert_eq!(unknown.code, 2);
}

#[tokio::test]
async fn bash_takes_its_completions_and_completes_by_them() {
    let script = ctl(&["completions", "bash"]).await;
    // Bash sources the script, and completes `gagglectl st`.
    let ask = "\nCOMP_WORDS=(gagglectl st); COMP_CWORD=1\n\
               registered=$(complete -p gagglectl); function=${registered#*-F }\n\
               ${function%% *} gagglectl st gagglectl\n\
               printf '%s\\n' \"${COMPREPLY[@]}\"\n";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut bash = bash.spawn().unwrap();
    let mut stdin = bash.stdin.take().unwrap();
    stdin.write_all(&script.stdout).await.unwrap();
    stdin.write_all(ask.as_bytes()).await.unwrap();
    drop(stdin);
    let output = bash.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "stats\n");
}

#[tokio::test]
async fn there_is_a_page_for_the_program_and_for_each_command() {
    let page = ctl(&["man"]).await;
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "SUBCOMMANDS",
        "EXTRA",
    ] {
        let heading = format!("\n.SH {section}\n");
        assert!(page.text().contains(&heading), "no {section}");
    }
    assert!(page.text().contains("Exit codes: 0 done"));

    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    let written = ctl(&["man", "--dir", pages.to_str().unwrap()]).await;
    assert_eq!(
        (written.code, written.text()),
        (0, ""),
        "{}",
        written.stderr
    );
    let mut names: Vec<String> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected = COMMANDS
        .map(|command| format!("gagglectl-{command}.1"))
        .to_vec();
    expected.push("gagglectl.1".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    let bench = std::fs::read_to_string(pages.join("gagglectl-bench.1")).unwrap();
    assert!(bench.starts_with(".ie"), "{bench}");
    assert!(bench.contains("GAGGLECTL_API_ADDR") && bench.contains(r"\-\-hdr"));

    let no_dir = dir.path().join("file");
    std::fs::write(&no_dir, "").unwrap();
    let refused = ctl(&["man", "--dir", no_dir.to_str().unwrap()]).await;
    refused.assert_fails(2, &["file: "]);
}
