//! Configurations, good and bad: a bad one ends the start with one line that names the field.

use std::path::Path;
use std::process::Output;

use crate::support::{command, loopback, row};

pub(crate) const GOOD: &str =
    "[groups.scores.origin]\nkind = \"http\"\nurl = \"http://127.0.0.1:7000/{key}\"\n";

const HTTP: &str = "kind = \"http\"\nurl = \"http://127.0.0.1:7000/{key}\"\n";

/// Runs to the end with these arguments.
pub(crate) fn run(args: &[&str], environment: &[(&str, &str)]) -> Output {
    command()
        .args(args)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

pub(crate) fn write(dir: &Path, text: &str) -> String {
    let path = dir.join("gaggle.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The only line of a failed start.
pub(crate) fn complaint(output: &Output) -> String {
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
        ("[cluster]\npeers = [\"10.0.0.1:8001/\"]", "cluster.peers"),
        ("[cluster]\npeers = [\"0.0.0.0:8001\"]", "cluster.peers"),
        ("[cluster]\npeers = [\"https://10.0.0.1\"]", "cluster.peers"),
        ("[node]\npeer-addr = \"0.0.0.0:8001\"", "node.peer-addr"),
        ("[node]\nadmin-addr = \"10.0.0.1:9990\"", "node.admin-addr"),
        ("[node]\nlog-level = \"info,foo=\"", "node.log-level"),
        ("[groups.scores]\nmax-key = \"0\"", "groups.scores.max-key"),
        (
            "[groups.scores]\ncapacity = \"16EiB\"",
            "groups.scores.capacity",
        ),
        ("[security.tls]\ncert = \"node.crt\"", "security.tls.key"),
        ("[groups.\"a\\nb\"]", "groups"),
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
        let mut lines = Vec::new();
        for command in [&["serve"][..], &["check"], &["check", "--offline"]] {
            let args = [command, &["--config", &config]].concat();
            let line = complaint(&run(&args, &[]));
            // A table is named by itself or by what is wrong in it.
            let rest = line.strip_prefix(&format!("gaggle-node: {field}"));
            assert!(
                rest.is_some_and(|rest| rest.starts_with([':', '.'])),
                "{command:?} of {text:?}: {line}"
            );
            lines.push(line);
            refused += 1;
        }
        lines.dedup();
        assert_eq!(lines.len(), 1, "{lines:?}");
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
        (
            format!("{}[security]\ntoken-file = {absent:?}", of(HTTP)),
            "security.token-file",
        ),
        (
            format!(
                "{}[security.tls]\ncert = {absent:?}\nkey = {absent:?}\nca = \"public\"",
                of(HTTP)
            ),
            "security.tls",
        ),
        // Options that gossip itself refuses.
        (
            format!(
                "{}[cluster.discovery]\nkind = \"gossip\"\nlisten = \"{ip}:0\"\nadvertise = \"[2001:db8::1]:7946\"",
                of(HTTP)
            ),
            "cluster.discovery",
        ),
        (
            with("peer-addr = \"198.51.100.1:8001\"")
                .replace("[node]", "[security]\ninsecure = true\n[node]"),
            "node.peer-addr",
        ),
        (
            format!(
                "[cluster]\npeers = [\"198.51.100.1:8001\"]\n{}",
                of(HTTP).replace("[node]", "[node]\nadvertise = \"http://198.51.100.2:8001\"")
            ),
            "node.advertise",
        ),
    ] {
        let config = write(dir.path(), &text);
        let line = complaint(&run(&["serve", "--config", &config], &[]));
        assert!(
            line.starts_with(&format!("gaggle-node: {field}: ")),
            "{text}: {line}"
        );
        assert_eq!(complaint(&run(&["check", "--config", &config], &[])), line);
    }
    // Looking for the file does not create it.
    assert!(!absent.exists());
}

#[test]
fn a_variable_that_nearly_names_a_field_is_not_overlooked() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), GOOD);
    for (variable, meant) in [
        ("GAGGLE_SECURITY_TOKEN", "GAGGLE_SECURITY__TOKEN"),
        ("gaggle_node_name", "GAGGLE_NODE__NAME"),
    ] {
        for command in [&["serve"][..], &["check"], &["check", "--offline"]] {
            let args = [command, &["--config", &config]].concat();
            let line = complaint(&run(&args, &[(variable, "hunter2-hunter2-hunter2")]));
            assert!(
                line.starts_with(&format!("gaggle-node: {variable}: ")) && line.contains(meant),
                "{line}"
            );
        }
    }
}

/// A supervisor starts the node again after exit code 1, and not after 2.
#[test]
fn a_database_that_cannot_be_reached_is_no_bad_configuration() {
    let dir = tempfile::tempdir().unwrap();
    // A port that was free a moment ago: connections are refused.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    let text = format!(
        "[groups.scores.origin]\nkind = \"postgres\"\n\
         url = \"postgres://gaggle@127.0.0.1:{port}/app?sslmode=disable\"\n\
         query = \"SELECT 1 WHERE $1::text = ''\"\n"
    );
    let config = write(dir.path(), &text);
    let addresses = ["--peer-addr", "--api-addr", "--admin-addr"];
    let mut args = vec!["serve", "--config", &config];
    for flag in addresses {
        args.extend([flag, "127.0.0.1:0"]);
    }
    let output = run(&args, &[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("groups.scores.origin") && stderr.contains("cannot be reached"),
        "{stderr}"
    );
}

#[test]
fn a_bad_command_line_is_an_error_that_says_why() {
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
        ("GAGGLE_NODE__API_ADDR", "127.0.0.1:21"),
        ("GAGGLE_ADMIN_ADDR", "127.0.0.1:30"),
        ("GAGGLE_PEERS", "http://env:1,http://env:2"),
        ("GAGGLE_LOG_LEVEL", "debug"),
        ("GAGGLE_CLUSTER__DAMPING", "7s"),
    ];
    let flags = [
        "check",
        "--offline",
        "--admin-addr",
        "127.0.0.1:300",
        "--log-format",
        "json",
    ];
    let output = run(&flags, &environment);
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in [
        &format!("peer-addr = \"127.0.0.1:1\"  # {config}:2"),
        "api-addr = \"127.0.0.1:20\"  # GAGGLE_API_ADDR",
        "admin-addr = \"127.0.0.1:300\"  # --admin-addr",
        "log-level = \"debug\"  # GAGGLE_LOG_LEVEL",
        "log-format = \"json\"  # --log-format",
        "damping = \"7s\"  # GAGGLE_CLUSTER__DAMPING",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
    assert!(printed.contains("http://env:1") && printed.contains("http://env:2"));
    assert!(!printed.contains("http://file:1"), "{printed}");
    // An error in the environment is reported as an error of its field.
    for (variable, value, field) in [
        ("GAGGLE_API_ADDR", "x", "node.api-addr"),
        ("GAGGLE_GROUPS__SCORES__TTL", "soon", "groups.scores.ttl"),
    ] {
        let line = complaint(&run(
            &["check"],
            &[("GAGGLE_CONFIG", &config), (variable, value)],
        ));
        assert!(
            line.starts_with(&format!("gaggle-node: {field}: "))
                && line.ends_with(&format!("(from {variable})")),
            "{line}"
        );
    }
    let line = complaint(&run(
        &["check"],
        &[("GAGGLE_CONFIG", &config), ("GAGGLE_GROUP__X", "1")],
    ));
    assert!(line.starts_with("gaggle-node: GAGGLE_GROUP__X: "), "{line}");
}
