use proptest::prelude::*;

use super::*;
use crate::config::example;

#[test]
fn each_value_is_printed_with_where_it_was_set() {
    let given = Given {
        file: Some((
            "gaggle.toml".into(),
            format!("[cluster]\ndamping = \"1s\"\n# more\npeers = [\n  \"a:1\",\n]\n{SCORES}"),
        )),
        environment: vec![
            ("GAGGLE_GROUPS__SCORES__TTL".into(), "5m".into()),
            ("GAGGLE_NODE__API_ADDR".into(), "127.0.0.1:2".into()),
        ],
        flags: Overrides {
            log_level: Some("debug".into()),
            api_addr: Some("127.0.0.1:3".into()),
            flags: vec!["log_level".into()],
            ..Overrides::default()
        },
    };
    let Loaded { config, sources } = read(&given).unwrap();
    let printed = config.annotated(&sources).unwrap();
    for line in [
        "damping = \"1s\"  # gaggle.toml:2",
        "peers = [\"a:1\"]  # gaggle.toml:4",
        "ttl = \"5m\"  # GAGGLE_GROUPS__SCORES__TTL",
        "log-level = \"debug\"  # --log-level",
        "api-addr = \"127.0.0.1:3\"  # GAGGLE_API_ADDR",
        "url = \"http://127.0.0.1:7000/{key}\"  # gaggle.toml:9",
        "peer-addr = \"127.0.0.1:8001\"",
        "settle = \"10s\"",
        "suspect-after = \"100ms\"",
        "max-requests-per-peer = 256",
        "stand-in-ttl = \"1m\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
    assert_eq!(
        parse(&printed, &Overrides::default()).unwrap(),
        as_printed(&config)
    );
}

#[test]
fn a_file_with_an_odd_name_stays_a_comment() {
    let given = Given {
        file: Some(("a\nb = 1".into(), SCORES.into())),
        ..Given::default()
    };
    let Loaded { config, sources } = read(&given).unwrap();
    let printed = config.annotated(&sources).unwrap();
    assert_eq!(
        parse(&printed, &Overrides::default()).unwrap(),
        config_spelled(&config)
    );
}

fn config_spelled(config: &Config) -> Config {
    as_printed(config)
}

#[test]
fn a_secret_is_not_in_the_error_about_its_line() {
    for text in [
        "[security]\ntoken = hunter2hunter2",
        "[security]\ntoken = 42424242",
        "[security]\ntoken = [\"hunter2\"]",
        "[security]\ntoken = { hunter2 = \"42424242\" }",
        "[security]\ntoken = 1979-05-27",
        "[security]\ntoken = \"hunter2\"",
        "[groups.a.origin]\nkind = \"http\"\nurl = \"http://user:hunter2@h/{key}\"",
        "[groups.a.origin]\nkind = \"http\"\nurl = \"http://h/{key}\"\nheaders = { x = 42424242 }",
        "[groups.a.origin]\nkind = \"http\"\nurl = \"http://h/{key}\"\nheaders = { x = \"hunter2\\n\" }",
        "[node]\nadvertise = \"http://user:hunter2@h\"",
    ] {
        let line = parse(text, &Overrides::default()).unwrap_err().to_string();
        for secret in ["hunter2", "42424242", "1979"] {
            assert!(!line.contains(secret), "{text:?}: {line}");
        }
    }
}

proptest! {
    #[test]
    fn no_secret_is_printed(
        token in "[!-~]{8}xQz[!-~]{8}",
        header in "[ -~]{0,8}xQz[ -~]{0,8}",
        query in "[a-z0-9%]{0,5}xQz[a-z0-9%]{0,5}",
        around in "[a-z0-9]{0,3}xQz[a-z]{0,3}",
        password in "[a-z0-9:@]{0,3}xQz[a-z]{0,3}",
        user in "[a-z0-9]{0,3}xQz",
        fragment in "[a-z/?]{0,3}xQz",
    ) {
        let mut config = Config::default();
        config.security.token = Some(secret::Secret::new(token));
        let urls = [
            format!("http://h/{{key}}?sig={query}&x={{key}}{around}&{query}"),
            format!("http://name:{password}@h/{{key}}"),
            format!("https://{user}@h/a?b={around}{{key}}"),
            format!("http://h/{{key}}#{fragment}"),
            format!("http://name:{password}/{fragment}@h/{{key}}"),
            format!("http:/name:{password}@h/{{key}}"),
            format!("http://h/?a=b@c&sig={query}&k={{key}}"),
            format!("https://h/hooks/{around}/{{key}}/{user}"),
        ];
        for (n, url) in urls.into_iter().enumerate() {
            let http = origin::Http {
                url,
                headers: [("x".to_owned(), secret::Secret::new(header.clone()))].into(),
                ..origin::Http::default()
            };
            let group = Group { origin: Some(Origin::Http(http)), ..Group::default() };
            config.groups.insert(n.to_string(), group);
        }
        let printed = config.masked().unwrap();
        prop_assert!(!printed.contains("xQz"), "{printed}");
        let debug = format!("{config:?}");
        prop_assert!(!debug.contains("xQz"), "{debug}");
    }
}

#[test]
fn all_fields_of_each_kind_are_printed_and_read_back() {
    let kinds = example::kinds().into_iter();
    for ((origin, discovery, follow), files) in
        kinds.flat_map(|kind| [(kind.clone(), false), (kind, true)])
    {
        let mut config = example::config(origin, discovery, follow);
        example::choose(&mut config, files);
        config.cluster.peers.clear();
        config.cluster.client = Default::default();
        config.security.token = None;
        let printed = config.masked().unwrap();
        assert_eq!(
            parse(&printed, &Overrides::default()).unwrap(),
            as_printed(&config),
            "{printed}"
        );
    }
}
