//! Configurations, good and bad: a bad one ends the start with one line that names the field.

use std::path::Path;
use std::process::Output;

use crate::support::{command, loopback, row};

const GOOD: &str =
    "[groups.scores.origin]\nkind = \"http\"\nurl = \"http://127.0.0.1:7000/{key}\"\n";

/// Runs to the end with these arguments.
fn run(args: &[&str], environment: &[(&str, &str)]) -> Output {
    command()
        .args(args)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn write(dir: &Path, text: &str) -> String {
    let path = dir.join("gaggle.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The only line of a failed start.
fn complaint(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr:?}");
    assert!(output.stdout.is_empty());
    stderr.trim_end().to_owned()
}

#[test]
fn a_bad_field_ends_serve_and_check_with_a_line_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for (text, field) in [
        ("[node]\nport = 1", "node.port"),
        ("[clusters]\npeers = []", "clusters"),
        (
            "[groups.scores]\ncapacity = \"64XB\"",
            "groups.scores.capacity",
        ),
        (
            "[groups.scores]\ncapacity = \"0B\"",
            "groups.scores.capacity",
        ),
        (
            "[groups.scores]\nload-timeout = \"5\"",
            "groups.scores.load-timeout",
        ),
        ("[groups.scores]\nttl = \"soon\"", "groups.scores.ttl"),
        (
            "[groups.scores]\nhot-copies = \"some\"",
            "groups.scores.hot-copies",
        ),
        ("[cluster]\npeers = [\"10.0.0.1:8001\"]", "cluster.peers"),
        ("[cluster]\npeers = [\"http://a:1/\"]", "cluster.peers"),
        (
            "[cluster]\npeers = [\"http://a:1\", \"http://a:1\"]",
            "cluster.peers",
        ),
        ("[cluster]\nbase-path = \"x\"", "cluster.base-path"),
        ("[cluster]\ntransport = \"udp\"", "cluster.transport"),
        ("[node]\npeer-addr = \"8001\"", "node.peer-addr"),
        ("[node]\napi-addr = \"127.0.0.1:99999\"", "node.api-addr"),
        ("[node]\nadvertise = \"10.0.0.1:8001\"", "node.advertise"),
        ("[node]\nlog-level = \"loud=very\"", "node.log-level"),
        ("[node]\nlog-format = \"xml\"", "node.log-format"),
        ("[groups.empty]", "groups.empty.origin"),
        ("[groups.a.origin]\nkind = \"redis\"", "groups.a.origin"),
        (
            "[groups.a.origin]\nurl = \"http://a/{key}\"",
            "groups.a.origin",
        ),
        ("[groups.a.origin]\nkind = \"files\"", "groups.a.origin"),
        // Two groups of one name are no TOML: the line is named.
        (
            "[groups.scores.origin]\nkind = \"files\"\nroot = \"x\"",
            "line 4",
        ),
        ("[node", "line 1"),
    ] {
        let config = write(dir.path(), &format!("{text}\n{GOOD}"));
        for command in ["serve", "check"] {
            let line = complaint(&run(&[command, "--config", &config], &[]));
            // A table is named by itself or by what is wrong in it.
            let rest = line.strip_prefix(&format!("gaggle-node: {field}"));
            assert!(
                rest.is_some_and(|rest| rest.starts_with([':', '.'])),
                "{command} of {text:?}: {line}"
            );
            refused += 1;
        }
    }
    let config = write(dir.path(), "");
    let line = complaint(&run(&["serve", "--config", &config], &[]));
    assert!(line.starts_with("gaggle-node: groups: "), "{line}");
    row(
        29,
        "a clear error naming the field",
        format!("{refused} of {refused} starts and checks with one line that names it"),
    );
}

#[test]
fn what_only_a_start_can_find_is_named_too() {
    let dir = tempfile::tempdir().unwrap();
    let ip = loopback();
    let taken = std::net::TcpListener::bind((ip, 0)).unwrap();
    let taken = taken.local_addr().unwrap();
    let free = format!("peer-addr = \"{ip}:0\"\napi-addr = \"{ip}:0\"\nadmin-addr = \"{ip}:0\"\n");
    let with = |addr: &str| {
        let (field, _) = addr.split_once(' ').unwrap();
        let kept = free.lines().filter(|line| !line.starts_with(field));
        format!(
            "[node]\n{addr}\n{}\n{GOOD}",
            kept.collect::<Vec<_>>().join("\n")
        )
    };
    let of = |origin: &str| format!("[node]\n{free}[groups.scores.origin]\n{origin}");
    let absent = dir.path().join("absent");
    for (text, field) in [
        (with(&format!("peer-addr = \"{taken}\"")), "node.peer-addr"),
        (with(&format!("api-addr = \"{taken}\"")), "node.api-addr"),
        (
            with(&format!("admin-addr = \"{taken}\"")),
            "node.admin-addr",
        ),
        (
            of(&format!(
                "kind = \"sqlite\"\npath = {absent:?}\nquery = \"SELECT ?1\""
            )),
            "groups.scores.origin",
        ),
        (
            of(&format!("kind = \"files\"\nroot = {absent:?}")),
            "groups.scores.origin.root",
        ),
        (
            of("kind = \"http\"\nurl = \"http://127.0.0.1:7000/\""),
            "groups.scores.origin.url",
        ),
        (
            of("kind = \"http\"\nurl = \"ftp://127.0.0.1/{key}\""),
            "groups.scores.origin.url",
        ),
    ] {
        let config = write(dir.path(), &text);
        let line = complaint(&run(&["serve", "--config", &config], &[]));
        assert!(
            line.starts_with(&format!("gaggle-node: {field}: ")),
            "{text}: {line}"
        );
    }
    // The file is not made by looking for it.
    assert!(!absent.exists());
}

#[test]
fn a_bad_command_line_is_told_what_is_wrong_with_it() {
    for (args, named) in [
        (&["serve", "--confg", "x"][..], "--confg"),
        (&["serve", "--log-format", "xml"], "--log-format"),
        (&["bench"], "bench"),
        (&["serve", "--api-addr"], "--api-addr"),
    ] {
        let output = run(args, &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(named), "{stderr}");
    }
    let line = complaint(&run(&["serve", "--config", "/nowhere/gaggle.toml"], &[]));
    assert!(
        line.contains("--config") && line.contains("/nowhere/gaggle.toml"),
        "{line}"
    );
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), GOOD);
    for (flag, value, field) in [
        ("--peers", "http://a:1,http://a:1", "cluster.peers"),
        ("--peer-addr", "nowhere", "node.peer-addr"),
        ("--advertise", "here", "node.advertise"),
        ("--log-level", "loud=very", "node.log-level"),
    ] {
        let line = complaint(&run(&["serve", "--config", &config, flag, value], &[]));
        assert!(
            line.starts_with(&format!("gaggle-node: {field}: ")),
            "{line}"
        );
    }
}

#[test]
fn check_prints_everything_and_what_it_prints_is_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(
        dir.path(),
        &format!(
            "[groups.scores]\ncapacity = \"1.5MiB\"\nttl = \"90s\"\n{GOOD}[groups.b.origin]\nkind = \"files\"\nroot = \"b\"\n"
        ),
    );
    let check = |config: &str| {
        let output = run(&["check", "--config", config], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = check(&config);
    for line in [
        "peer-addr = \"127.0.0.1:8001\"",
        "api-addr = \"127.0.0.1:9999\"",
        "admin-addr = \"127.0.0.1:9990\"",
        "peers = []",
        "profile = \"gaggle\"",
        "transport = \"http\"",
        "base-path = \"/_groupcache/\"",
        "encoding = \"protobuf\"",
        "capacity = \"1536KiB\"",
        "load-timeout = \"5s\"",
        "max-key = \"1KiB\"",
        "max-value = \"8MiB\"",
        "max-wait = \"1s\"",
        "drain-delay = \"2s\"",
        "hot-copies = \"sampled\"",
        "ttl = \"1m 30s\"",
        "url = \"http://127.0.0.1:7000/{key}\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
    let again = check(&write(dir.path(), &printed));
    assert_eq!(again, printed);
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[node]\npeer-addr = \"127.0.0.1:1\"\napi-addr = \"127.0.0.1:2\"\nadmin-addr = \"127.0.0.1:3\"\n\
         [cluster]\npeers = [\"http://file:1\"]\n{GOOD}"
    );
    let config = write(dir.path(), &text);
    let environment = [
        ("GAGGLE_CONFIG", config.as_str()),
        ("GAGGLE_API_ADDR", "127.0.0.1:20"),
        ("GAGGLE_ADMIN_ADDR", "127.0.0.1:30"),
        ("GAGGLE_PEERS", "http://env:1,http://env:2"),
        ("GAGGLE_LOG_LEVEL", "debug"),
    ];
    let flags = [
        "check",
        "--admin-addr",
        "127.0.0.1:300",
        "--log-format",
        "json",
    ];
    let output = run(&flags, &environment);
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in [
        "peer-addr = \"127.0.0.1:1\"",
        "api-addr = \"127.0.0.1:20\"",
        "admin-addr = \"127.0.0.1:300\"",
        "log-level = \"debug\"",
        "log-format = \"json\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
    assert!(printed.contains("http://env:1") && printed.contains("http://env:2"));
    assert!(!printed.contains("http://file:1"), "{printed}");
    // And an error of the environment is told as one of its field.
    let line = complaint(&run(
        &["check"],
        &[("GAGGLE_CONFIG", &config), ("GAGGLE_API_ADDR", "x")],
    ));
    assert!(line.starts_with("gaggle-node: node.api-addr: "), "{line}");
}
