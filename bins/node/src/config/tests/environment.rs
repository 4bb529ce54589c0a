use super::*;
use crate::config::environment::is_meant;
use crate::config::example;

fn with(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let given = Given {
        file: Some(("gaggle.toml".into(), file.into())),
        environment: variables.iter().map(own).collect(),
        ..Given::default()
    };
    Ok(read(&given)?.config)
}

fn refused(file: &str, variables: &[(&str, &str)]) -> String {
    with(file, variables).unwrap_err().to_string()
}

#[test]
fn a_whole_configuration_can_be_variables() {
    let config = with(
        "",
        &[
            ("GAGGLE_NODE__MAX_CONNECTIONS", "77"),
            ("GAGGLE_NODE__LOG_FORMAT", "json"),
            ("GAGGLE_NODE__LIMITS__MIN_RATE", "1KiB"),
            ("GAGGLE_CLUSTER__NAME", "12"),
            ("GAGGLE_CLUSTER__MEMBER", "false"),
            ("GAGGLE_CLUSTER__PEERS", "http://10.0.0.2:8001, 10.0.0.3"),
            ("GAGGLE_CLUSTER__HEALTH__PROBE_EVERY", "2s"),
            ("GAGGLE_SECURITY__TOKEN", "0123456789012345"),
            ("GAGGLE_GROUPS__SCORES__TTL", "5m"),
            ("GAGGLE_GROUPS__SCORES__TTL_JITTER", "0.5"),
            ("GAGGLE_GROUPS__SCORES__MAX_ORIGIN_LOADS", "auto:9"),
            ("GAGGLE_GROUPS__SCORES__ORIGIN__KIND", "http"),
            ("GAGGLE_GROUPS__SCORES__ORIGIN__URL", "http://h/{key}"),
            ("GAGGLE_GROUPS__SCORES__ORIGIN__HEADERS__X_API_KEY", "42"),
        ],
    )
    .unwrap();
    assert_eq!(config.node.max_connections, 77);
    assert_eq!(config.node.log_format, LogFormat::Json);
    assert_eq!(config.node.limits.min_rate, Size(1024));
    assert_eq!(
        (config.cluster.name.as_str(), config.cluster.member),
        ("12", false)
    );
    assert_eq!(config.cluster.peers, ["http://10.0.0.2:8001", "10.0.0.3"]);
    assert_eq!(config.cluster.health.probe_every, Span::from_secs(2));
    let token = config.security.token.as_ref().map(secret::Secret::reveal);
    assert_eq!(
        token,
        Some("0123456789012345"),
        "a text, though it has digits only"
    );
    let scores = &config.groups["scores"];
    assert_eq!(
        (scores.ttl, scores.ttl_jitter),
        (Some(Span::from_secs(300)), 0.5)
    );
    assert_eq!(scores.max_origin_loads.most, 9);
    let Some(Origin::Http(http)) = &scores.origin else {
        panic!("{:?}", scores.origin)
    };
    assert_eq!(http.headers["x-api-key"].reveal(), "42");
}

#[test]
fn every_field_has_a_variable() {
    fn each(table: &toml::Table, name: &str, all: &mut Vec<(String, toml::Value)>) {
        for (field, value) in table {
            let name = format!("{name}{}", field.to_ascii_uppercase().replace('-', "_"));
            match value {
                toml::Value::Table(inner) => each(inner, &format!("{name}__"), all),
                _ => all.push((name, value.clone())),
            }
        }
    }
    let mut count = 0;
    let kinds = example::kinds().into_iter();
    for ((origin, discovery, follow), files) in
        kinds.flat_map(|kind| [(kind.clone(), false), (kind, true)])
    {
        let mut config = example::config(origin, discovery, follow);
        example::choose(&mut config, files);
        // Fields that exclude each other.
        config.cluster.peers.clear();
        config.security.token = None;
        config.cluster.client = Default::default();
        let mut all = Vec::new();
        each(
            &toml::Table::try_from(&config).unwrap(),
            "GAGGLE_",
            &mut all,
        );
        let variables: Vec<_> = all
            .iter()
            .map(|(name, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (name.as_str(), text)
            })
            .collect();
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        assert_eq!(with("", &variables).unwrap(), config);
        count += variables.len();
    }
    assert!(count > 200, "{count}");
}

#[test]
fn groups_are_found_however_they_are_spelled() {
    let file = "[groups.user-profiles.origin]\nkind = \"files\"\nroot = \"r\"\n[groups.Scores.origin]\nkind = \"files\"\nroot = \"r\"\n";
    let config = with(
        file,
        &[
            ("GAGGLE_GROUPS__USER_PROFILES__TTL", "1m"),
            ("GAGGLE_GROUPS__scores__TTL", "2m"),
            ("GAGGLE_GROUPS__NEW_ONE__ORIGIN__ROOT", "n"),
            ("GAGGLE_GROUPS__new_one__ORIGIN__KIND", "files"),
            ("GAGGLE_GROUPS__Mixed__ORIGIN__KIND", "files"),
            ("GAGGLE_GROUPS__Mixed__ORIGIN__ROOT", "m"),
        ],
    )
    .unwrap();
    let names: Vec<_> = config.groups.keys().map(String::as_str).collect();
    assert_eq!(names, ["Mixed", "Scores", "new_one", "user-profiles"]);
    assert_eq!(
        config.groups["user-profiles"].ttl,
        Some(Span::from_secs(60))
    );
    assert_eq!(config.groups["Scores"].ttl, Some(Span::from_secs(120)));

    let two = "[groups.a-b]\n[groups.a_b]\n[groups.A_B]";
    let line = refused(two, &[("GAGGLE_GROUPS__a_B__TTL", "1s")]);
    assert!(
        line.starts_with("GAGGLE_GROUPS__a_B__TTL: may mean"),
        "{line}"
    );
    let exact = refused(two, &[("GAGGLE_GROUPS__A_B__TTL", "0s")]);
    assert!(!exact.contains("may mean"), "{exact}");
}

#[test]
fn lists_are_written_either_way() {
    let peers = |text: &str| {
        with(SCORES, &[("GAGGLE_CLUSTER__PEERS", text)]).map(|config| config.cluster.peers)
    };
    assert_eq!(peers("a:1,b:1").unwrap(), ["a:1", "b:1"]);
    assert_eq!(peers(" [\"a:1\", 'b:1'] ").unwrap(), ["a:1", "b:1"]);
    assert_eq!(peers("").unwrap(), [""; 0]);
    assert_eq!(peers("[]").unwrap(), [""; 0]);
    for bad in ["[", "[\"a:1\"", "[1]", "[]\nx = []", "[\"a:1\"] # x"] {
        let line = peers(bad).unwrap_err().to_string();
        assert!(
            line.starts_with("cluster.peers") && line.ends_with("(from GAGGLE_CLUSTER__PEERS)"),
            "{line}"
        );
    }
}

#[test]
fn an_error_names_its_variable() {
    for (variable, text, field) in [
        (
            "GAGGLE_NODE__MAX_CONNECTIONS",
            "many",
            "node.max-connections",
        ),
        ("GAGGLE_NODE__MAX_CONNECTIONS", "0", "node.max-connections"),
        ("GAGGLE_CLUSTER__MEMBER", "yes", "cluster.member"),
        ("GAGGLE_GROUPS__SCORES__TTL", "soon", "groups.scores.ttl"),
        ("GAGGLE_GROUPS__SCORES__TTL", "0s", "groups.scores.ttl"),
        (
            "GAGGLE_GROUPS__SCORES__ORIGIN__URL",
            "h",
            "groups.scores.origin.url",
        ),
        (
            "GAGGLE_GROUPS__SCORES__ORIGIN__IDLE_TIMEOUT",
            "x",
            "groups.scores.origin.idle-timeout",
        ),
        (
            "GAGGLE_GROUPS__SCORES__ORIGIN__ROOT",
            "r",
            "groups.scores.origin.root",
        ),
        ("GAGGLE_SECURITY__TOKEN", "short", "security.token"),
    ] {
        let line = refused(SCORES, &[(variable, text)]);
        assert!(line.starts_with(&format!("{field}: ")), "{line}");
        assert!(line.ends_with(&format!("(from {variable})")), "{line}");
    }
    let secret = refused(SCORES, &[("GAGGLE_SECURITY__TOKEN", "sh0rt")]);
    assert!(!secret.contains("sh0rt"), "{secret}");
}

#[test]
fn a_variable_that_names_no_field_is_an_error() {
    for variable in [
        "GAGGLE_NOED__PEER_ADDR",
        "GAGGLE_NODE__PEER_ADRR",
        "GAGGLE_NODE__PEER_ADDR__X",
        "GAGGLE_NODE__",
        "GAGGLE_GROUPS__SCORES",
        "GAGGLE_GROUPS____TTL",
        "GAGGLE_GROUPS__SCORES__ORIGIN",
        "GAGGLE_GROUPS__SCORES__TTL2",
        "GAGGLE_GROUPS__SCORES__ORIGIN__HEADERS__A__B",
        "GAGGLE_SECURITY__TLS__CERTS",
    ] {
        let line = refused(SCORES, &[(variable, "x")]);
        assert!(line.starts_with(&format!("{variable}: ")), "{line}");
    }
    // Not of this program, such as what Kubernetes sets for a service.
    for other in [
        "GAGGLE_PEERS_PORT",
        "GAGGLE_PORT_8001_TCP",
        "GAGGLE__X",
        "PATH",
        "OTHER_NODE__X",
    ] {
        with(SCORES, &[(other, "x")]).unwrap();
    }
}

#[test]
fn a_variable_with_an_underscore_too_few_is_an_error_that_says_how_it_is_written() {
    for (variable, meant) in [
        ("GAGGLE_SECURITY_TOKEN", "GAGGLE_SECURITY__TOKEN,"),
        ("GAGGLE_SECURITY_TOKEN_FILE", "GAGGLE_SECURITY__TOKEN_FILE,"),
        (
            "GAGGLE_SECURITY_TLS_CLIENT_CA",
            "GAGGLE_SECURITY__TLS__CLIENT_CA,",
        ),
        ("GAGGLE_CLUSTER_NAME", "GAGGLE_CLUSTER__NAME,"),
        ("GAGGLE_NODE_PEER_ADDR", "GAGGLE_NODE__PEER_ADDR,"),
        ("GAGGLE_GROUPS_SCORES_TTL", "GAGGLE_<TABLE>__<FIELD>,"),
        ("GAGGLE_NODE_PEER_ADRR", "GAGGLE_<TABLE>__<FIELD>,"),
        ("GAGGLE_security_token", "GAGGLE_SECURITY__TOKEN,"),
        ("gaggle_security_token", "GAGGLE_SECURITY__TOKEN,"),
        ("gaggle_security__token", "GAGGLE_SECURITY__TOKEN,"),
        ("GAGGLE__SECURITY_TOKEN", "GAGGLE_SECURITY__TOKEN,"),
    ] {
        let line = refused(SCORES, &[(variable, "hunter2")]);
        assert!(
            line.starts_with(&format!("{variable}: ")) && line.contains(meant),
            "{line}"
        );
        assert!(!line.contains("hunter2"), "{line}");
        assert!(is_meant(variable), "{variable}");
    }
    // As Kubernetes sets them in each pod, for services named gaggle-node and
    // gaggle-cluster-peers.
    for other in [
        "GAGGLE_NODE_SERVICE_HOST",
        "GAGGLE_NODE_SERVICE_PORT",
        "GAGGLE_NODE_SERVICE_PORT_PEERS",
        "GAGGLE_NODE_PORT",
        "GAGGLE_NODE_PORT_8001_TCP",
        "GAGGLE_NODE_PORT_8001_TCP_ADDR",
        "GAGGLE_CLUSTER_PEERS_SERVICE_HOST",
        "GAGGLE_CLUSTER_PEERS_SERVICE_PORT_HTTP",
        "GAGGLE_CLUSTER_PEERS_PORT",
        "GAGGLE_CLUSTER_PEERS_PORT_8001_TCP_PROTO",
        "GAGGLE_NODES",
        "GAGGLE_NODE",
        "GAGGLE_PEER_ADDR",
        "GAGGLE_CONFIG",
        "GAGGLECTL_TOKEN",
    ] {
        assert!(!is_meant(other), "{other}");
    }
}

#[test]
fn the_token_of_the_environment_is_in_place_of_the_files() {
    let token = "0123456789abcdef";
    let sources = |file: &str, variables: &[(&str, &str)]| {
        let security = with(&format!("[security]\n{file}\n{SCORES}"), variables)?.security;
        let token = security.token.map(|token| token.reveal().to_owned());
        Ok::<_, ConfigError>((token, security.token_file))
    };
    let (in_file, in_place) = ("token-file = \"a\"", "token = \"fedcba9876543210\"");
    let by_text = ("GAGGLE_SECURITY__TOKEN", token);
    let by_path = ("GAGGLE_SECURITY__TOKEN_FILE", "b");
    let none = ("GAGGLE_SECURITY__TOKEN_FILE", "");
    let text = || Some(token.to_owned());
    let path = || Some("b".into());
    assert_eq!(sources(in_file, &[by_text]).unwrap(), (text(), None));
    assert_eq!(sources(in_place, &[by_path]).unwrap(), (None, path()));
    assert_eq!(sources(in_file, &[by_path]).unwrap(), (None, path()));
    assert_eq!(sources(in_file, &[none]).unwrap(), (None, None));
    assert_eq!(sources("", &[none]).unwrap(), (None, None));
    assert_eq!(sources(in_file, &[by_text, none]).unwrap(), (text(), None));
    let kept = Some("fedcba9876543210".to_owned());
    assert_eq!(sources(in_place, &[none]).unwrap(), (kept, None));
    // Two from one source are still one too many, and an invalid token does not mean "none".
    let line = sources("", &[by_text, by_path]).unwrap_err();
    assert_eq!(line.field, "security.token");
    let line = sources(in_file, &[("GAGGLE_SECURITY__TOKEN", "")]).unwrap_err();
    assert_eq!(line.field, "security.token");
}

#[test]
fn flags_and_their_variables_win_over_variables_of_fields() {
    let given = Given {
        file: Some((
            "gaggle.toml".into(),
            format!("[node]\napi-addr = \"127.0.0.1:1\"\n{SCORES}"),
        )),
        environment: vec![("GAGGLE_NODE__API_ADDR".into(), "127.0.0.1:2".into())],
        flags: Overrides::default(),
    };
    assert_eq!(read(&given).unwrap().config.node.api_addr, "127.0.0.1:2");
    let flags = Overrides {
        api_addr: Some("127.0.0.1:3".into()),
        ..Overrides::default()
    };
    let given = Given { flags, ..given };
    assert_eq!(read(&given).unwrap().config.node.api_addr, "127.0.0.1:3");
}

#[test]
fn a_secret_of_the_environment_is_in_place_of_the_file_s_wherever_that_is_kept() {
    let file = "[groups.a.origin]\nkind = \"postgres\"\nurl = \"postgres://h/d\"\npassword-file = \"p\"\nquery = \"SELECT $1\"\n";
    let config = with(
        file,
        &[
            ("GAGGLE_GROUPS__A__ORIGIN__PASSWORD", "secret"),
            ("GAGGLE_GROUPS__A__ORIGIN__URL_FILE", "u"),
        ],
    );
    let config = config.unwrap();
    let Some(Origin::Postgres(server)) = &config.groups["a"].origin else {
        panic!("{:?}", config.groups["a"].origin)
    };
    assert_eq!((&server.password_file, server.url.as_str()), (&None, ""));
    assert_eq!(server.password.as_ref().unwrap().reveal(), "secret");
    assert_eq!(server.url_file.as_deref(), Some(std::path::Path::new("u")));
    // Both from the environment exclude each other.
    let both = [
        ("GAGGLE_GROUPS__A__ORIGIN__PASSWORD", "secret"),
        ("GAGGLE_GROUPS__A__ORIGIN__PASSWORD_FILE", "p"),
    ];
    assert!(with(file, &both).is_err());
}

#[test]
fn members_are_separated_by_commas_or_written_as_in_toml() {
    let given = |flag: bool, text: &str| {
        let split = text.split(',').map(str::to_owned).collect();
        let flags = Overrides {
            peers: flag.then_some(split),
            ..Overrides::default()
        };
        let variable = ("GAGGLE_CLUSTER__PEERS".to_owned(), text.to_owned());
        let given = Given {
            file: Some(("gaggle.toml".into(), SCORES.into())),
            environment: if flag { vec![] } else { vec![variable] },
            flags,
        };
        Ok::<_, ConfigError>(read(&given)?.config.cluster.peers)
    };
    for flag in [true, false] {
        for (text, peers) in [
            ("http://a:1,b:1", &["http://a:1", "b:1"][..]),
            (r#"["http://a:1", "b:1"]"#, &["http://a:1", "b:1"]),
            (r#" [ 'http://a:1' ] "#, &["http://a:1"]),
            ("[]", &[]),
            ("", &[]),
            ("[::1]:8001,[::2]:8001", &["[::1]:8001", "[::2]:8001"]),
            (r#"["[::1]:8001","b:1",]"#, &["[::1]:8001", "b:1"]),
        ] {
            assert_eq!(given(flag, text).unwrap(), peers, "{flag} {text}");
        }
        for text in ["[a:1]", "[\"a:1\"", "[\"a:1\"], b:1", "[5]", "[[\"a:1\"]]"] {
            let line = given(flag, text).unwrap_err().to_string();
            assert!(line.starts_with("cluster.peers"), "{flag} {text}: {line}");
            assert!(line.contains("PEERS)"), "{flag} {text}: {line}");
        }
    }
}
