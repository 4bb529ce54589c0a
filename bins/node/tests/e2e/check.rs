//! `gaggle-node check`: what it tries, and what it prints.

use crate::configuration::{GOOD, complaint, run, write};
use crate::support::tls::Files;
use crate::support::{Ca, loopback};

#[test]
fn check_prints_everything_and_what_it_prints_is_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(
        dir.path(),
        &format!(
            "[groups.scores]\ncapacity = \"1.5MiB\"\nttl = \"90s\"\n{GOOD}[groups.b.origin]\nkind = \"files\"\nroot = \"b\"\n"
        ),
    );
    let check = |config: &str, environment: &[(&str, &str)]| {
        let output = run(&["check", "--offline", "--config", config], environment);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""));
        String::from_utf8(output.stdout).unwrap()
    };
    let secret = "Bearer hunter2";
    let environment = [
        (
            "GAGGLE_GROUPS__SCORES__ORIGIN__HEADERS__AUTHORIZATION",
            secret,
        ),
        ("GAGGLE_GROUPS__SCORES__NEGATIVE_TTL", "5s"),
        ("GAGGLE_SECURITY__TOKEN", "hunter2-hunter2-hunter2"),
    ];
    let printed = check(&config, &environment);
    for line in [
        "peer-addr = \"127.0.0.1:8001\"",
        "api-addr = \"127.0.0.1:9999\"",
        "admin-addr = \"127.0.0.1:9990\"",
        "peers = []",
        "profile = \"gaggle\"",
        "transport = \"http\"",
        "base-path = \"/_groupcache/\"",
        "encoding = \"protobuf\"",
        &format!("capacity = \"1536KiB\"  # {config}:2"),
        "load-timeout = \"5s\"",
        "max-key = \"1KiB\"",
        "max-value = \"8MiB\"",
        "max-wait = \"1s\"",
        "drain-delay = \"2s\"",
        "hot-copies = \"worth\"",
        &format!("ttl = \"1m 30s\"  # {config}:3"),
        "negative-ttl = \"5s\"  # GAGGLE_GROUPS__SCORES__NEGATIVE_TTL",
        &format!("url = \"http://127.0.0.1:7000/{{key}}\"  # {config}:6"),
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
    assert!(!printed.contains("hunter2"), "{printed}");
    // The output, read as a file, gives the same output, once it has a token: the masked text is
    // not one.
    let line = complaint(&run(
        &[
            "check",
            "--offline",
            "--config",
            &write(dir.path(), &printed),
        ],
        &[],
    ));
    assert!(
        line.starts_with("gaggle-node: security.token: ") && line.contains("MASKED"),
        "{line}"
    );
    let usable = printed.replace("MASKED-MASKED-MASKED", "hunter2-hunter2-hunter2");
    let values = |printed: &str| -> String {
        let values = printed
            .lines()
            .map(|line| line.split("  # ").next().unwrap_or(line));
        values.collect::<Vec<_>>().join("\n")
    };
    let again = check(&write(dir.path(), &usable), &[]);
    assert_eq!(values(&again), values(&printed));
}

#[test]
fn check_tries_what_a_start_would_and_offline_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let ip = loopback();
    let free =
        format!("[node]\npeer-addr = \"{ip}:0\"\napi-addr = \"{ip}:0\"\nadmin-addr = \"{ip}:0\"\n");
    let check = |text: &str, args: &[&str]| {
        let config = write(dir.path(), text);
        run(&[&["check", "--config", &config], args].concat(), &[])
    };
    let root = format!(
        "[groups.files.origin]\nkind = \"files\"\nroot = {:?}\n",
        dir.path()
    );
    let good = check(&format!("{free}{root}"), &[]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let token = dir.path().join("token");
    std::fs::write(&token, "sixteen-bytes-or-more\nand-the-one-before\n").unwrap();
    let with_token = format!("{free}[security]\ntoken-file = {token:?}\n{root}");
    let good = check(&with_token, &[]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    std::fs::write(&token, "short").unwrap();
    let line = complaint(&check(&with_token, &[]));
    assert!(
        line.starts_with("gaggle-node: security.token-file: ") && !line.contains("short\""),
        "{line}"
    );
    for (text, field) in [
        (
            format!("{free}[groups.files.origin]\nkind = \"files\"\nroot = \"/nowhere\"\n"),
            "groups.files.origin.root",
        ),
        (
            format!("{free}[cluster]\npeers = [\"nobody.invalid:8001\"]\n{root}"),
            "cluster.peers",
        ),
        (
            format!("{free}[cluster.discovery]\nkind = \"file\"\npath = \"/nowhere\"\n{root}"),
            "cluster.discovery.path",
        ),
        (
            format!("{free}[security]\ntoken-file = \"/nowhere\"\n{root}"),
            "security.token-file",
        ),
    ] {
        let line = complaint(&check(&text, &[]));
        assert!(
            line.starts_with(&format!("gaggle-node: {field}: ")),
            "{line}"
        );
        let offline = check(&text, &["--offline"]);
        assert_eq!(offline.status.code(), Some(0), "{offline:?}");
    }
}

#[test]
fn a_listed_address_without_tls_is_refused_where_peers_speak_tls() {
    let dir = tempfile::tempdir().unwrap();
    let ip = loopback();
    let ca = Ca::new("cluster");
    let files = Files::new(dir.path(), "node", &ca.issue(&["gaggle.internal"]), &[&ca]);
    let members = dir.path().join("members");
    let check = |members_are: &str, tls: &str| {
        std::fs::write(&members, members_are).unwrap();
        let text = format!(
            "[node]\npeer-addr = \"{ip}:0\"\napi-addr = \"{ip}:0\"\nadmin-addr = \"{ip}:0\"\n\
             [cluster.discovery]\nkind = \"file\"\npath = {members:?}\n{}{tls}\n{GOOD}",
            files.table()
        );
        run(&["check", "--config", &write(dir.path(), &text)], &[])
    };
    let (plain, https) = (
        "http://10.0.0.2:8001\n",
        "https://10.0.0.2:8001\n10.0.0.3:8001\n",
    );
    let line = complaint(&check(plain, ""));
    assert!(
        line.starts_with("gaggle-node: cluster.discovery.path: \"http://10.0.0.2:8001\""),
        "{line}"
    );
    assert!(line.contains("accept-plain"), "{line}");
    for good in [check(https, ""), check(plain, "accept-plain = true")] {
        assert_eq!(good.status.code(), Some(0), "{good:?}");
    }
    // Without TLS at the peers' port, no authority for a certificate is set.
    let line = complaint(&check(https, "ports = [\"admin\"]"));
    assert!(
        line.starts_with("gaggle-node: cluster.discovery.path: \"https://10.0.0.2:8001\""),
        "{line}"
    );
}

#[test]
fn offline_too_a_node_has_to_be_in_its_own_list() {
    let dir = tempfile::tempdir().unwrap();
    let check = |peer: &str| {
        let text = format!(
            "[node]\nadvertise = \"http://198.51.100.1:8001\"\n[cluster]\npeers = [\"{peer}\"]\n{GOOD}"
        );
        let config = write(dir.path(), &text);
        run(&["check", "--offline", "--config", &config], &[])
    };
    let line = complaint(&check("198.51.100.2:8001"));
    assert!(line.starts_with("gaggle-node: node.advertise: "), "{line}");
    // Whatever address that name stands for.
    for listed in ["198.51.100.1:8001", "node-1:8001"] {
        assert_eq!(check(listed).status.code(), Some(0), "{listed}");
    }
}
