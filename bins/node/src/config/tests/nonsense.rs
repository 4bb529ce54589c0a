use super::*;

#[test]
fn nonsense_is_refused_by_name() {
    let long = format!("[cluster]\nname = \"{}\"", "x".repeat(129));
    let long_group = format!(
        "[groups.{}.origin]\nkind = \"files\"\nroot = \"r\"",
        "x".repeat(129)
    );
    let group = |name: &str| format!("[groups.\"{name}\".origin]\nkind = \"files\"\nroot = \"r\"");
    let cases: &[(&str, &str)] = &[
        ("[groups.scores]\nmax-key = \"0\"", "groups.scores.max-key"),
        (
            "[groups.scores]\ncapacity = \"16EiB\"",
            "groups.scores.capacity",
        ),
        (
            "[groups.scores]\nmax-value = \"2PiB\"",
            "groups.scores.max-value",
        ),
        (
            "[node]\nmax-in-flight = \"99999999999999999999999GiB\"",
            "node.max-in-flight",
        ),
        (
            "[groups.scores]\nload-timeout = \"2days\"",
            "groups.scores.load-timeout",
        ),
        ("[groups.scores]\nttl = \"11years\"", "groups.scores.ttl"),
        (
            "[groups.scores]\nremoval-timeout = \"0s\"",
            "groups.scores.removal-timeout",
        ),
        (
            "[groups.scores]\nmax-wait = \"25h\"",
            "groups.scores.max-wait",
        ),
        ("[node]\ndrain-delay = \"25h\"", "node.drain-delay"),
        ("[node]\ndrain-delay = \"10s\"", "node.drain-delay"),
        (
            "[node]\ndrain-delay = \"1s\"\ndrain-timeout = \"1s\"",
            "node.drain-delay",
        ),
        ("[node]\ndrain-timeout = \"0s\"", "node.drain-timeout"),
        ("[node]\nlog-level = \"info,foo=\"", "node.log-level"),
        ("[node]\nlog-level = \"info,=debug\"", "node.log-level"),
        ("[node]\nlog-level = \"inof\"", "node.log-level"),
        ("[node]\nlog-level = \"\"", "node.log-level"),
        (
            "[node]\nadvertise = \"http://0.0.0.0:8001\"",
            "node.advertise",
        ),
        ("[node]\nadvertise = \"http://[::]:8001\"", "node.advertise"),
        (
            "[node]\nadvertise = \"http://10.0.0.1:0\"",
            "node.advertise",
        ),
        ("[node]\nname = \"0.0.0.0:8001\"", "node.name"),
        ("[node]\nname = \"[::]:8001\"", "node.name"),
        ("[node]\nname = \"\"", "node.name"),
        ("[node]\nname = \"a b\"", "node.name"),
        ("[node]\nname = \"http://a\"", "node.name"),
        (
            "[node]\nname = \"a\"\n[cluster]\nprofile = \"groupcache\"",
            "node.name",
        ),
        ("[cluster]\npeers = [\"0.0.0.0:8001\"]", "cluster.peers"),
        ("[cluster]\npeers = [\"a:0\"]", "cluster.peers"),
        ("[cluster]\npeers = [\"\"]", "cluster.peers"),
        (
            "[cluster]\npeers = [\"10.0.0.1\", \"http://10.0.0.1:80\"]",
            "cluster.peers",
        ),
        (
            "[cluster]\npeers = [\"http://A:1\", \"a:1\"]",
            "cluster.peers",
        ),
        ("[cluster]\nname = \"\"", "cluster.name"),
        ("[cluster]\nname = \"a b\"", "cluster.name"),
        (&long, "cluster.name"),
        ("[cluster]\nsettle = \"2days\"", "cluster.settle"),
        ("[cluster]\nquiet = \"11s\"", "cluster.quiet"),
        (
            "[node]\npeer-addr = \"0.0.0.0:8001\"\n[security]\ninsecure = true\n[cluster.discovery]\nkind = \"gossip\"",
            "node.advertise",
        ),
        (
            "[cluster.discovery]\nkind = \"gossip\"\nlisten = \"127.0.0.1:1\"\ndead-after = \"1s\"",
            "cluster.discovery.dead-after",
        ),
        (
            "[cluster.discovery]\nkind = \"gossip\"\nlisten = \"127.0.0.1:1\"\ninterval = \"1ms\"",
            "cluster.discovery.interval",
        ),
        (
            "[cluster.health]\nprobe-every = \"0s\"",
            "cluster.health.probe-every",
        ),
        (
            "[cluster.client]\nconnect-timeout = \"0s\"",
            "cluster.client.connect-timeout",
        ),
        (
            "[cluster.client]\nkeep-alive-timeout = \"1s\"",
            "cluster.client.keep-alive-timeout",
        ),
        (
            "[cluster]\ntransport = \"grpc\"\n[cluster.client]\nbatching = false",
            "cluster.client.batching",
        ),
        (
            "[cluster.discovery]\nkind = \"dns\"",
            "cluster.discovery.name",
        ),
        (
            "[cluster.discovery]\nkind = \"dns\"\nname = \"a..b\"",
            "cluster.discovery",
        ),
        (
            "[cluster.discovery]\nkind = \"dns\"\nname = \"a\"\nevery = \"0s\"",
            "cluster.discovery.every",
        ),
        (
            "[cluster.discovery]\nkind = \"dns\"\nname = \"a\"\nport = 0",
            "cluster.discovery",
        ),
        (
            "[cluster.discovery]\nkind = \"dns\"\nname = \"a\"\nport = 65536",
            "cluster.discovery.port",
        ),
        (
            "[cluster.discovery]\nkind = \"file\"",
            "cluster.discovery.path",
        ),
        (
            "[cluster.discovery]\nkind = \"file\"\npath = \"p\"\nseeds = []",
            "cluster.discovery.seeds",
        ),
        (
            "[cluster.discovery]\nkind = \"gossip\"\nseeds = [\"a\"]",
            "cluster.discovery.seeds",
        ),
        (
            "[cluster.discovery]\nkind = \"gossip\"\nseeds = [\"0.0.0.0:1\"]",
            "cluster.discovery.seeds",
        ),
        (
            "[cluster.discovery]\nkind = \"gossip\"\nadvertise = \"0.0.0.0:1\"",
            "cluster.discovery.advertise",
        ),
        (
            "[cluster.discovery]\nkind = \"gossip\"\nlisten = \"7946\"",
            "cluster.discovery.listen",
        ),
        ("[node]\napi-addr = \"127.0.0.1:8001\"", "node.api-addr"),
        (
            "[node]\nadmin-addr = \"LOCALHOST:1\"\napi-addr = \"localhost:1\"",
            "node.admin-addr",
        ),
        ("[node]\napi-addr = \"0.0.0.0:8001\"", "node.api-addr"),
        (
            "[node.limits]\nmax-header = \"1KiB\"",
            "node.limits.max-header",
        ),
        ("[node.limits]\nmin-rate = \"4GiB\"", "node.limits.min-rate"),
        (
            "[node.limits]\nheader-timeout = \"0s\"",
            "node.limits.header-timeout",
        ),
        (
            "[node.front-door]\nmax-batch-keys = 0",
            "node.front-door.max-batch-keys",
        ),
        (
            "[node.front-door]\ncors-origins = [\"https://app.example.com/\"]",
            "node.front-door.cors-origins",
        ),
        (
            "[node.front-door]\ncors-origins = [\"app.example.com\"]",
            "node.front-door.cors-origins",
        ),
        (
            "[node.front-door]\ncors-origins = [\"https://app.example.com:443\"]",
            "node.front-door.cors-origins",
        ),
        (
            "[node.front-door]\ncors-origins = [\"https://*.example.com\"]",
            "node.front-door.cors-origins",
        ),
        (
            "[groups.scores]\ncache-control = \"TTL\"",
            "groups.scores.cache-control",
        ),
        (
            "[groups.scores]\ncache-control = \"ttl \"",
            "groups.scores.cache-control",
        ),
        (
            "[node.front-door]\ncors-max-age = \"2d\"",
            "node.front-door.cors-max-age",
        ),
        (
            "[groups.a.origin]\nkind = \"sqlite\"\nquery = \"q\"",
            "groups.a.origin.path",
        ),
        (
            "[groups.a.origin]\nkind = \"sqlite\"\npath = \"p\"",
            "groups.a.origin.query",
        ),
        (
            "[groups.a.origin]\nkind = \"sqlite\"\npath = \"p\"\nquery = \"q\"\nmax-connections = 0",
            "groups.a.origin.max-connections",
        ),
        ("[groups.a.origin]\nkind = \"http\"", "groups.a.origin.url"),
        (
            "[groups.a.origin]\nkind = \"http\"\nurl = \"http://h/\"",
            "groups.a.origin.url",
        ),
        (
            "[groups.a.origin]\nkind = \"http\"\nurl = \"http://h/{key}\"\nheaders = { \"a b\" = \"x\" }",
            "groups.a.origin.headers",
        ),
        (
            "[groups.a.origin]\nkind = \"http\"\nurl = \"http://h/{key}\"\nread-timeout = \"0s\"",
            "groups.a.origin.read-timeout",
        ),
        (
            "[groups.a.origin]\nkind = \"files\"",
            "groups.a.origin.root",
        ),
        ("[groups.a.origin]\nroot = \"r\"", "groups.a.origin"),
        (&long_group, "groups"),
        (&group(""), "groups"),
        (&group(".."), "groups"),
        (&group("a/b"), "groups"),
        (&group("a\\nb"), "groups"),
        (&group("a\\u0000b"), "groups"),
    ];
    for (text, field) in cases {
        let line = complaint(text);
        assert!(line.starts_with(&format!("{field}: ")), "{text:?}: {line}");
    }
}

#[test]
fn ports_that_can_be_listened_at_together_are_taken() {
    for text in [
        "peer-addr = \"127.0.0.1:0\"\napi-addr = \"127.0.0.1:0\"\nadmin-addr = \"127.0.0.1:0\"",
        "api-addr = \"127.0.0.2:8001\"",
        "api-addr = \"[::1]:8001\"",
    ] {
        parsed(&format!("[node]\n{text}")).unwrap();
    }
}

#[test]
fn a_name_with_a_newline_leaves_one_line() {
    for text in [
        "[groups.\"a\\nb\"]\nttl = 1",
        "[groups.\"a\\nb\"]",
        "[\"x\\ny\"]",
        "[node]\n\"x\\ny\" = 1",
        "[node]\nadvertise = \"http://a\\nb\"",
        "[node]\npeer-addr = \"a\\u001b[2Jb\"",
        "[cluster]\npeers = [\"a\\u2028b\"]",
        "[groups.a.origin]\nkind = \"http\\nx\"",
        "[groups.a.origin]\nkind = \"files\"\n\"r\\n\" = 1",
    ] {
        let line = complaint(text);
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{2028}'),
            "{line:?}"
        );
    }
}

#[test]
fn a_ring_has_a_largest_number_of_members() {
    let list = |count: usize| {
        let peers: Vec<_> = (0..count).map(|n| format!("\"node-{n}:1\"")).collect();
        parsed(&format!("[cluster]\npeers = [{}]", peers.join(",")))
    };
    let most = gaggle_ring::Ring::MAX_MEMBERS;
    list(most).unwrap();
    let line = list(most + 1).unwrap_err().to_string();
    assert!(line.starts_with("cluster.peers: "), "{line}");
}

#[test]
fn a_period_has_a_shortest_one() {
    let gossip = "[cluster.discovery]\nkind = \"gossip\"\nlisten = \"127.0.0.1:1\"\n";
    let postgres =
        "[groups.a.origin]\nkind = \"postgres\"\nurl = \"postgres://h/d\"\nquery = \"SELECT $1\"\n";
    let tables = "tables = [{ table = \"t\", key = \"{id}\" }]\n";
    for (table, field, least) in [
        ("[node.limits]\n", "node.limits.http2-ping-interval", "1ms"),
        ("[tracing]\n", "tracing.interval", "1ms"),
        ("[cluster.health]\n", "cluster.health.suspect-after", "1ms"),
        ("[cluster.health]\n", "cluster.health.greet-every", "1ms"),
        ("[cluster.health]\n", "cluster.health.probe-every", "1ms"),
        (
            "[cluster]\ntransport = \"grpc\"\n[cluster.client]\n",
            "cluster.client.keep-alive-interval",
            "1ms",
        ),
        (
            "[cluster.discovery]\nkind = \"dns\"\nname = \"a\"\n",
            "cluster.discovery.every",
            "1ms",
        ),
        (
            "[cluster.discovery]\nkind = \"file\"\npath = \"p\"\n",
            "cluster.discovery.every",
            "10ms",
        ),
        (gossip, "cluster.discovery.interval", "20ms"),
        (
            &format!("{postgres}[groups.a.follow]\nkind = \"postgres\"\n{tables}"),
            "groups.a.follow.status-interval",
            "10ms",
        ),
        (
            &format!("{postgres}[groups.a.follow]\nkind = \"postgres-notify\"\n{tables}"),
            "groups.a.follow.check-interval",
            "1ms",
        ),
        ("[groups.scores]\n", "groups.scores.snapshot-interval", "1s"),
    ] {
        let name = field.rsplit('.').next().unwrap();
        let line = complaint(&format!("{table}{name} = \"1ns\""));
        assert!(
            line.starts_with(&format!("{field}: ")) && line.contains(least),
            "{line}"
        );
        if field != "cluster.discovery.interval" {
            parsed(&format!("{table}{name} = \"{least}\"")).unwrap();
        }
    }
}

#[test]
fn an_origin_of_pages_is_as_browsers_send_it() {
    let of = |text: &str| parsed(&format!("[node.front-door]\ncors-origins = [{text:?}]"));
    for good in [
        "*",
        "http://localhost",
        "http://localhost:3000",
        "https://app.example.com",
        "https://app.example.com:80",
        "http://[::1]:8080",
        "https://xn--bcher-kva.example",
    ] {
        of(good).unwrap();
    }
    for (bad, expected) in [
        ("https://a.example:443", "expected \"https://a.example\""),
        ("http://a.example:80", "expected \"http://a.example\""),
        ("https://a.example/", "expected \"https://a.example\""),
        ("https://A.example", "expected \"https://a.example\""),
        (
            "https://a.example:08443",
            "expected \"https://a.example:8443\"",
        ),
        (
            "https://b\u{fc}cher.example",
            "expected \"https://xn--bcher-kva.example\"",
        ),
        (
            "https://u:hunter2@a.example",
            "expected \"https://a.example\"",
        ),
        ("https://*.example.com", "expected each origin by itself"),
        ("**", "expected each origin by itself"),
        ("a.example", "expected one such as"),
        ("ftp://a.example", "expected one such as"),
        ("null", "expected one such as"),
        ("", "expected one such as"),
    ] {
        let line = of(bad).unwrap_err().to_string();
        assert!(line.contains(expected), "{bad}: {line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}
