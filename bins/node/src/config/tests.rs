use super::cluster::Encoding;
use super::discovery::Dns;
use super::group::Freshness;
use super::origin::Files;
use super::units::Size;
use super::*;
use crate::cli::Overrides;

mod environment;
mod found;
mod nonsense;
mod options;
mod printed;
mod reference;
mod security;

const SCORES: &str =
    "[groups.scores.origin]\nkind = \"http\"\nurl = \"http://127.0.0.1:7000/{key}\"\n";

/// The configuration of a file's text under the overrides.
fn parse(text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    let given = Given {
        file: Some(("gaggle.toml".into(), text.into())),
        flags: overrides.clone(),
        ..Given::default()
    };
    Ok(read(&given)?.config)
}

/// The configuration in full, with masked secrets.
fn as_printed(config: &Config) -> Config {
    config.spelled_out().unwrap().without_secrets()
}

fn parsed(text: &str) -> Result<Config, ConfigError> {
    parse(&format!("{text}\n{SCORES}"), &Overrides::default())
}

/// The error of a bad file, in one line.
fn complaint(text: &str) -> String {
    let line = parsed(text).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line:?}");
    line
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = parsed("").unwrap();
    assert_eq!(config.node, Node::default());
    assert_eq!(config.node.peer_addr, "127.0.0.1:8001");
    assert_eq!(config.cluster.base_path, "/_groupcache/");
    let scores = &config.groups["scores"];
    assert_eq!(
        (scores.capacity, scores.max_key, scores.max_value),
        (Size(64 << 20), Size(1 << 10), Size(8 << 20))
    );
    assert_eq!(
        (scores.load_timeout, scores.ttl),
        (Span::from_secs(5), None)
    );
    assert_eq!(scores.hot_copies, HotCopies::Worth);
    assert_eq!(scores.store, Store::Paged);
}

#[test]
fn a_full_file_reads_as_it_says() {
    let config = parse(
        r#"
        [node]
        peer-addr = "127.0.0.1:8101"
        advertise = "http://10.0.0.1:8101"
        api-addr = "127.0.0.1:9101"
        admin-addr = "127.0.0.1:9201"
        drain-delay = "1s"
        drain-timeout = "3s"
        max-connections = 50
        log-format = "json"
        log-level = "debug"
        [cluster]
        peers = ["http://10.0.0.1:8101", "http://10.0.0.2:8101"]
        profile = "groupcache"
        transport = "grpc"
        base-path = "/_gocache/"
        encoding = "raw"
        [groups.scores]
        capacity = "1.5GiB"
        store = "lru"
        load-timeout = "250ms"
        max-key = "2KiB"
        max-value = "1MB"
        max-origin-loads = 7
        max-loads = 70
        hot-copies = "rate"
        ttl = "5m"
        ttl-jitter = 0.2
        stale-while-revalidate = "30s"
        stale-if-error = "1h"
        negative-ttl = "5s"
        refresh-ahead = 0.1
        hot-ttl = "30s"
        freshness = "group"
        [groups.scores.origin]
        kind = "sqlite"
        path = "scores.db"
        query = "SELECT 1"
        [groups.pages.origin]
        kind = "files"
        root = "data"
        "#,
        &Overrides::default(),
    )
    .unwrap();
    assert_eq!(config.cluster.profile, Profile::Groupcache);
    assert_eq!(config.cluster.transport, Transport::Grpc);
    assert_eq!(config.cluster.encoding, Encoding::Raw);
    let scores = &config.groups["scores"];
    assert_eq!(scores.capacity, Size(3 << 29));
    assert_eq!(scores.max_value, Size(1_000_000), "MB are decimal");
    assert_eq!(
        scores.load_timeout,
        Span(std::time::Duration::from_millis(250))
    );
    assert_eq!(scores.ttl, Some(Span::from_secs(300)));
    assert_eq!((scores.ttl_jitter, scores.refresh_ahead), (0.2, 0.1));
    assert_eq!(scores.stale_while_revalidate, Span::from_secs(30));
    assert_eq!(scores.stale_if_error, Span::from_secs(3_600));
    assert_eq!(scores.negative_ttl, Some(Span::from_secs(5)));
    assert_eq!(scores.hot_ttl, Span::from_secs(30));
    assert_eq!(scores.freshness, Freshness::Group);
    assert_eq!(scores.hot_copies, HotCopies::Rate);
    assert_eq!(scores.store, Store::Lru);
    assert_eq!(
        config.groups["pages"].origin,
        Some(Origin::Files(Files {
            root: "data".into()
        }))
    );
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let config = parsed(
        "[node]\nlog-format = \"json\"\n[groups.scores]\nmax-value = \"1500B\"\nttl = \"90s\"",
    )
    .unwrap();
    let printed = config.masked().unwrap();
    assert_eq!(
        parse(&printed, &Overrides::default()).unwrap(),
        as_printed(&config),
        "{printed}"
    );
}

#[test]
fn overrides_win_over_the_file() {
    let overrides = Overrides {
        api_addr: Some("127.0.0.1:1".into()),
        peers: Some(vec!["http://b:1".into()]),
        log_format: Some(LogFormat::Json),
        ..Overrides::default()
    };
    let text = format!(
        "[node]\napi-addr = \"127.0.0.1:2\"\nadmin-addr = \"127.0.0.1:3\"\n[cluster]\npeers = [\"http://a:1\"]\n{SCORES}"
    );
    let config = parse(&text, &overrides).unwrap();
    assert_eq!(config.node.api_addr, "127.0.0.1:1");
    assert_eq!(config.node.admin_addr, "127.0.0.1:3");
    assert_eq!(config.cluster.peers, ["http://b:1"]);
    let none = Overrides {
        peers: Some(vec![String::new()]),
        ..Overrides::default()
    };
    assert!(
        parse(&text, &none).unwrap().cluster.peers.is_empty(),
        "an empty variable says none"
    );
}

#[test]
fn hot_copies_can_be_kept_by_worth() {
    let config = parsed("[groups.scores]\nhot-copies = \"worth\"").unwrap();
    assert_eq!(config.groups["scores"].hot_copies, HotCopies::Worth);
}

#[test]
fn a_bad_field_is_named_with_what_was_expected() {
    let cases = [
        ("[node]\nport = 1", "node.port", "unknown field `port`"),
        (
            "[groups.scores]\nttl2 = \"1s\"",
            "groups.scores.ttl2",
            "unknown field `ttl2`",
        ),
        (
            "[groups.scores]\ncapacity = \"64XB\"",
            "groups.scores.capacity",
            "invalid value: string \"64XB\", expected a size such as \"64MiB\"",
        ),
        (
            "[groups.scores]\nload-timeout = \"5\"",
            "groups.scores.load-timeout",
            "invalid value: string \"5\", expected a time such as \"5s\"",
        ),
        (
            "[groups.scores]\nload-timeout = \"0s\"",
            "groups.scores.load-timeout",
            "more than 0",
        ),
        (
            "[groups.scores]\nmax-key = \"17KiB\"",
            "groups.scores.max-key",
            "at most 16KiB",
        ),
        (
            "[groups.scores]\nstore = \"disk\"",
            "groups.scores.store",
            "expected `paged` or `lru`",
        ),
        (
            "[groups.scores]\nhot-copies = \"some\"",
            "groups.scores.hot-copies",
            "expected one of `worth`, `sampled`, `rate`, `off`",
        ),
        (
            "[node]\npeer-addr = \"8001\"",
            "node.peer-addr",
            "expected HOST:PORT",
        ),
        (
            "[node]\nadvertise = \"10.0.0.1:8001\"",
            "node.advertise",
            "is not a base URL; expected one such as \"http://10.0.0.1:8001\"",
        ),
        (
            "[cluster]\npeers = [\"ftp://a\"]",
            "cluster.peers",
            "\"ftp://a\" is not a base URL",
        ),
        (
            "[cluster]\npeers = [\"http://a:1/\"]",
            "cluster.peers",
            "without a path or a trailing slash",
        ),
        (
            "[cluster]\npeers = [\"http://a:1\", \"http://a:1\"]",
            "cluster.peers",
            "\"http://a:1\" is listed twice",
        ),
        (
            "[cluster]\nprofile = \"redis\"",
            "cluster.profile",
            "expected `gaggle` or `groupcache`",
        ),
        (
            "[cluster]\nbase-path = \"x\"",
            "cluster.base-path",
            "\"x\" is no base path",
        ),
        (
            "[groups.empty]",
            "groups.empty.origin",
            "missing; expected a table with kind = \"sqlite\", \"postgres\", \"mysql\", \"http\", \"object\" or \"files\"",
        ),
        (
            "[groups.a.origin]\nkind = \"redis\"",
            "groups.a.origin.kind",
            "unknown variant, expected one of `sqlite`, `postgres`",
        ),
        (
            "[groups.a.origin]\nkind = \"files\"\nroot = \"r\"\nurl = \"u\"",
            "groups.a.origin.url",
            "unknown field `url`",
        ),
    ];
    for (text, field, problem) in cases {
        let line = complaint(text);
        assert!(line.starts_with(&format!("{field}: ")), "{text:?}: {line}");
        assert!(line.contains(problem), "{text:?}: {line}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_an_error_with_its_line() {
    let twice = complaint(
        "[groups.a.origin]\nkind = \"files\"\nroot = \"r\"\n[groups.a.origin]\nkind = \"files\"",
    );
    assert!(
        twice.starts_with("line ") && twice.contains("duplicate key"),
        "{twice}"
    );
    let broken = complaint("\n[node\n");
    assert!(broken.starts_with("line 2"), "{broken}");
}

#[test]
fn a_node_without_groups_is_refused() {
    let line = parse("", &Overrides::default()).unwrap_err().to_string();
    assert!(line.starts_with("groups: no group is configured"), "{line}");
}

#[test]
fn members_come_from_a_list_or_from_dns() {
    let config = parsed("[cluster.discovery]\nkind = \"dns\"\nname = \"node\"").unwrap();
    let dns = Discovery::Dns(Dns {
        name: "node".into(),
        every: Span::from_secs(5),
        ..Dns::default()
    });
    assert_eq!(config.cluster.discovery, Some(dns));
    assert_eq!(
        parse(&config.masked().unwrap(), &Overrides::default()).unwrap(),
        as_printed(&config)
    );

    let both = complaint(
        "[cluster]\npeers = [\"http://a:1\"]\n[cluster.discovery]\nkind = \"dns\"\nname = \"node\"",
    );
    assert!(
        both.starts_with("cluster.peers: the members come from cluster.discovery"),
        "{both}"
    );
    let unknown = complaint("[cluster.discovery]\nkind = \"consul\"");
    assert!(
        unknown.starts_with("cluster.discovery.kind: unknown variant `consul`"),
        "{unknown}"
    );
}

#[test]
fn the_loads_that_may_ask_an_origin_are_a_number_or_auto() {
    let loads = |text: &str| {
        let text = format!("[groups.scores]\nmax-origin-loads = {text}\n{SCORES}");
        let config = parse(&text, &Overrides::default())?;
        let loads = config.groups["scores"].max_origin_loads;
        Ok::<_, ConfigError>((loads.most, loads.adapt))
    };
    assert_eq!(loads("8").unwrap(), (8, false));
    assert_eq!(loads("\"auto\"").unwrap(), (256, true));
    assert_eq!(loads("\"auto:64\"").unwrap(), (64, true));
    for bad in [
        "0",
        "-1",
        "\"\"",
        "\"auto:0\"",
        "\"auto:x\"",
        "\"many\"",
        "true",
    ] {
        let line = loads(bad).unwrap_err().to_string();
        assert!(
            line.starts_with("groups.scores.max-origin-loads:"),
            "{line}"
        );
    }
}

#[test]
fn a_value_that_could_never_be_loaded_is_no_limit() {
    let text = format!(
        "[node]\nmax-in-flight = \"4MiB\"\n[groups.scores]\nmax-value = \"5MiB\"\n{SCORES}"
    );
    let line = parse(&text, &Overrides::default()).unwrap_err().to_string();
    assert!(line.starts_with("groups.scores.max-value:"), "{line}");
}
