use super::*;
use crate::config::Port;

/// The file with these lines of `node` and these tables.
fn of(node: &str, tables: &str) -> Result<Config, ConfigError> {
    parse(
        &format!("[node]\n{node}\n{tables}\n{SCORES}"),
        &Overrides::default(),
    )
}

const TOKEN: &str = "[security]\ntoken-file = \"token\"";
const MUTUAL: &str = "[security.tls]\ncert = \"c\"\nkey = \"k\"\nclient-ca = \"ca\"";

#[test]
fn a_port_that_others_reach_needs_a_proof() {
    for (node, tables, refused) in [
        ("", "", None),
        (
            "peer-addr = \"127.9.9.9:8001\"\nadmin-addr = \"[::1]:1\"",
            "",
            None,
        ),
        ("peer-addr = \"localhost:8001\"", "", None),
        // The front door can only read.
        ("api-addr = \"0.0.0.0:9999\"", "", None),
        ("peer-addr = \"0.0.0.0:8001\"", "", Some("node.peer-addr")),
        ("peer-addr = \"[::]:8001\"", "", Some("node.peer-addr")),
        ("peer-addr = \"10.0.0.1:8001\"", "", Some("node.peer-addr")),
        ("peer-addr = \"node-1:8001\"", "", Some("node.peer-addr")),
        ("admin-addr = \"0.0.0.0:9990\"", "", Some("node.admin-addr")),
        ("admin-addr = \"0.0.0.0:9990\"", TOKEN, None),
        (
            "admin-addr = \"0.0.0.0:9990\"",
            "[security]\ninsecure = true",
            None,
        ),
        (
            "admin-addr = \"0.0.0.0:9990\"\npeer-addr = \"0.0.0.0:1\"",
            MUTUAL,
            None,
        ),
        (
            "admin-addr = \"0.0.0.0:9990\"",
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nca = \"public\"",
            Some("node.admin-addr"),
        ),
        (
            "admin-addr = \"0.0.0.0:9990\"",
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nclient-ca = \"ca\"\nports = [\"peers\"]",
            Some("node.admin-addr"),
        ),
        (
            "admin-addr = \"0.0.0.0:9990\"",
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nclient-ca = \"ca\"\naccept-plain = true",
            Some("node.admin-addr"),
        ),
        (
            "",
            "[cluster.discovery]\nkind = \"gossip\"",
            Some("cluster.discovery.listen"),
        ),
        (
            "",
            "[cluster.discovery]\nkind = \"gossip\"\nlisten = \"127.0.0.1:7946\"",
            None,
        ),
        // No certificate says who sends a datagram.
        (
            "",
            "[cluster.discovery]\nkind = \"gossip\"\n[security.tls]\ncert = \"c\"\nkey = \"k\"\nclient-ca = \"ca\"",
            Some("cluster.discovery.listen"),
        ),
        (
            "",
            "[cluster.discovery]\nkind = \"gossip\"\n[security]\ninsecure = true",
            None,
        ),
        (
            "",
            "[security]\ntoken = \"0123456789abcdef\"\n[cluster.discovery]\nkind = \"gossip\"",
            None,
        ),
    ] {
        match (of(node, tables), refused) {
            (Ok(_), None) => {}
            (Err(failure), Some(field)) => {
                let line = failure.to_string();
                assert!(
                    line.starts_with(&format!("{field}: ")),
                    "{node} {tables}: {line}"
                );
                for way in [
                    "token-file",
                    "GAGGLE_SECURITY__TOKEN",
                    "client-ca",
                    "security.insecure = true",
                ] {
                    assert!(line.contains(way), "{way}: {line}");
                }
            }
            (other, _) => panic!("{node} {tables}: {other:?}"),
        }
    }
}

#[test]
fn what_makes_no_tls_is_refused_by_name() {
    for (tables, field) in [
        ("[security.tls]\ncert = \"c\"", "security.tls.key"),
        ("[security.tls]\nkey = \"k\"", "security.tls.cert"),
        ("[security.tls]\nclient-ca = \"ca\"", "security.tls.cert"),
        (
            "[security.tls]\ncert = \"\"\nkey = \"k\"",
            "security.tls.cert",
        ),
        (
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nports = []",
            "security.tls.ports",
        ),
        (
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nports = [\"api\"]",
            "security.tls.ports[0]",
        ),
        (
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nports = [\"peers\", \"peers\"]",
            "security.tls.ports",
        ),
        (
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nclient-ca = \"ca\"\nports = [\"front-door\"]",
            "security.tls.client-ca",
        ),
        (
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nfront-door-client-ca = \"ca\"\nports = [\"peers\"]",
            "security.tls.front-door-client-ca",
        ),
        (
            "[security.tls]\ncert = \"c\"\nkey = \"k\"",
            "security.tls.ca",
        ),
        (
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nports = [\"peers\"]",
            "security.tls.ca",
        ),
        (
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nca = \"\"",
            "security.tls.ca",
        ),
        (
            "[security.tls]\ncert = \"c\"\nkey = \"k\"\nca = \"ca\"\npeer-name = \"a b\"",
            "security.tls.peer-name",
        ),
        (
            "[security]\ntoken-file = \"t\"\ntoken = \"0123456789abcdef\"",
            "security.token",
        ),
        ("[security]\ntoken-file = \"\"", "security.token-file"),
        ("[security]\ntoken = \"\"", "security.token"),
        (
            "[security]\ntoken = \"MASKED-MASKED-MASKED\"",
            "security.token",
        ),
        (
            "[security]\ntoken = \"0123456789abcdef\\nMASKED-MASKED-MASKED\"",
            "security.token",
        ),
        (
            "[security]\ntoken = \"with a space in it, yes\"",
            "security.token",
        ),
        ("[security]\npassword = \"x\"", "security.password"),
    ] {
        let line = of("", tables).unwrap_err().to_string();
        assert!(line.starts_with(&format!("{field}: ")), "{tables}: {line}");
    }
}

#[test]
fn peers_without_a_scheme_are_reached_as_this_node_is() {
    let list = |third: &str| {
        format!("[cluster]\npeers = [\"10.0.0.1\", \"[2001:db8::1]:8001\", \"{third}\"]")
    };
    let peers = &list("http://Node-3:80");
    let plain = of("", peers).unwrap();
    assert_eq!(
        plain.peer_urls(),
        [
            "http://10.0.0.1",
            "http://[2001:db8::1]:8001",
            "http://Node-3:80"
        ]
    );
    let listed: Vec<_> = plain
        .listed()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listed, ["10.0.0.1:80", "[2001:db8::1]:8001", "node-3:80"]);
    let line = of("", &format!("{MUTUAL}\n{peers}")).unwrap_err();
    assert_eq!(line.field, "cluster.peers");
    assert!(
        line.problem
            .starts_with("\"http://Node-3:80\" is not reached"),
        "{line}"
    );
    let changing = format!("{MUTUAL}\naccept-plain = true\n{peers}");
    assert_eq!(of("", &changing).unwrap().peer_urls()[0], "http://10.0.0.1");
    let tls = of("", &format!("{MUTUAL}\n{}", list("https://Node-3"))).unwrap();
    assert_eq!(tls.peer_urls()[0], "https://10.0.0.1");
    assert_eq!(tls.listed().unwrap()[0].port, 443);
    assert!(tls.security.tls_of(Port::Peers).is_some());

    let https = "[cluster]\npeers = [\"https://10.0.0.1\"]";
    of("", &format!("{MUTUAL}\n{https}")).unwrap();
    let line = of("", https).unwrap_err().to_string();
    assert!(
        line.starts_with("cluster.peers: ") && line.contains("[security.tls]"),
        "{line}"
    );
    let not_there = format!("{MUTUAL}\nports = [\"admin\"]\n{https}");
    of("", &not_there).unwrap_err();
    of("advertise = \"https://10.0.0.1\"", "").unwrap_err();
    of("advertise = \"https://10.0.0.1\"", MUTUAL).unwrap();
    let line = of("advertise = \"http://10.0.0.1\"", MUTUAL).unwrap_err();
    assert_eq!(line.field, "node.advertise");
    let changing = format!("{MUTUAL}\naccept-plain = true");
    of("advertise = \"http://10.0.0.1\"", &changing).unwrap();
}

#[test]
fn a_node_with_a_configured_name_is_in_its_list() {
    let found = |node: &str, peers: &str, own: &[&str]| {
        let config = of(
            node,
            &format!("[security]\ninsecure = true\n[cluster]\n{peers}"),
        )
        .unwrap();
        let listed = config.listed().unwrap();
        config
            .find_self(&listed, |place| {
                own.contains(&place.host.to_string().as_str())
            })
            .map_err(|failure| failure.field)
    };
    let two = "peers = [\"10.0.0.1:8001\", \"http://10.0.0.2:8001\"]";
    let advertise = |url: &str| format!("peer-addr = \"0.0.0.0:8001\"\nadvertise = \"{url}\"");
    found(&advertise("http://10.0.0.1:8001"), two, &[]).unwrap();
    found(
        &advertise("http://Node-1:8001"),
        "peers = [\"node-1:8001\"]",
        &[],
    )
    .unwrap();
    found(&advertise("http://a"), "peers = [\"http://a:80\"]", &[]).unwrap();
    // By an address of this machine.
    found(&advertise("http://node-1:8001"), two, &["10.0.0.2"]).unwrap();
    found(
        &advertise("http://node-1:8001"),
        "peers = [\"localhost:8001\"]",
        &[],
    )
    .unwrap();
    let missing = |node: &str, peers: &str, own: &[&str]| found(node, peers, own).unwrap_err();
    assert_eq!(
        missing(&advertise("http://10.0.0.3:8001"), two, &[]),
        "node.advertise"
    );
    // Another program's port on this machine.
    let other_port = "peers = [\"10.0.0.2:8002\"]";
    assert_eq!(
        missing(
            &advertise("http://10.0.0.3:8001"),
            other_port,
            &["10.0.0.2"]
        ),
        "node.advertise"
    );
    let named = "peer-addr = \"10.0.0.9:8001\"\nname = \"gaggle-0\"";
    assert_eq!(missing(named, two, &[]), "node.name");
    found(named, "peers = [\"10.0.0.9:8001\"]", &[]).unwrap();
    // Not configured, in no list, or in no ring.
    found("peer-addr = \"10.0.0.9:8001\"", two, &[]).unwrap();
    found(&advertise("http://10.0.0.3:8001"), "", &[]).unwrap();
    found(
        &advertise("http://10.0.0.3:8001"),
        &format!("{two}\nmember = false"),
        &[],
    )
    .unwrap();
}

#[test]
fn the_mask_of_a_token_is_no_token() {
    let config = of("", "[security]\ntoken = \"0123456789abcdef\"").unwrap();
    config.security.open().unwrap();
    let printed = config.masked().unwrap();
    let line = parse(&printed, &Overrides::default()).unwrap_err();
    assert_eq!(line.field, "security.token");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "0123456789abcdef\nMASKED-MASKED-MASKED\n").unwrap();
    let config = of("", &format!("[security]\ntoken-file = {path:?}")).unwrap();
    let line = config.security.open().unwrap_err();
    assert!(
        line.field == "security.token-file" && line.problem.contains("line 2"),
        "{line}"
    );
}

#[test]
fn peers_certificates_are_by_the_authority_that_is_named() {
    let files = |lines: &str| {
        let tables = format!("[security.tls]\ncert = \"c\"\nkey = \"k\"\n{lines}");
        of("", &tables).unwrap().security.tls.unwrap().files()
    };
    let given = |lines: &str| {
        let files = files(lines);
        (files.ca, files.client_ca, files.public_ca)
    };
    let ca = || Some("ca".into());
    assert_eq!(given("ca = \"ca\""), (ca(), None, false));
    assert_eq!(given("client-ca = \"ca\""), (None, ca(), false));
    assert_eq!(given("ca = \"public\""), (None, None, true));
    let both = "ca = \"public\"\nclient-ca = \"ca\"";
    assert_eq!(given(both), (None, ca(), true));
    let file = "ca = \"./public\"";
    assert_eq!(given(file), (Some("./public".into()), None, false));
    // No peer is asked over TLS.
    for ports in ["\"front-door\"", "\"admin\"", "\"front-door\", \"admin\""] {
        given(&format!("ports = [{ports}]"));
    }
}

#[test]
fn a_front_door_that_checks_certificates_takes_no_plain_http() {
    let takes = |lines: &str| {
        let config = of("", &format!("{MUTUAL}\n{lines}")).unwrap();
        let ports = [Port::FrontDoor, Port::Peers, Port::Admin];
        ports.map(|port| config.security.takes_plain(port))
    };
    assert_eq!(takes(""), [false; 3]);
    assert_eq!(takes("accept-plain = true"), [true; 3]);
    let checked = "accept-plain = true\nfront-door-client-ca = \"ca\"";
    assert_eq!(takes(checked), [false, true, true]);
    assert_eq!(takes("ports = [\"peers\"]"), [true, false, true]);
}
