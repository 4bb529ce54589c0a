//! For any text, reading it results in a configuration or in one line that names what is wrong.

use gaggle_token::PLACEHOLDER;
use proptest::prelude::*;

use super::{ConfigError, Given, Loaded, read};

/// A file with every kind of field, to be damaged.
const WHOLE: &str = r#"
[node]
peer-addr = "127.0.0.1:8001"
advertise = "https://10.0.0.2:8001"
drain-delay = "3s"
drain-timeout = "10s"
max-connections = 100
max-in-flight = "64MiB"
log-format = "json"
[cluster]
peers = ["https://10.0.0.2:8001"]
profile = "groupcache"
encoding = "raw"
damping = "5s"
settle = "3s"
[cluster.health]
probe-every = "1s"
[cluster.client]
batching = false
[security]
token = "sixteen-bytes-at-least"
[security.tls]
cert = "node.crt"
key = "node.key"
client-ca = "ca.crt"
ports = ["peers", "admin"]
[groups.scores]
capacity = "1GiB"
load-timeout = "250ms"
max-key = "1KiB"
max-value = "1MiB"
max-origin-loads = "auto:64"
max-wait = "1s"
ttl = "5m"
ttl-jitter = 0.25
refresh-ahead = 0.1
[groups.scores.origin]
kind = "http"
url = "http://127.0.0.1:7000/{key}?sig=x"
headers = { Authorization = "Bearer x" }
"#;

/// Hand-written inputs, and those that were once read wrongly.
const CORPUS: [&str; 18] = [
    "",
    "\u{feff}",
    "[node]\nmax-connections = 99999999999999999999",
    "[node]\nmax-connections = -1",
    "[node]\nmax-in-flight = \"18446744073709551615GiB\"",
    "[node]\ndrain-delay = \"584942417355years\"",
    "[node]\ndrain-timeout = \"0s\"",
    "[groups.\"a/b\"]",
    "[groups.\"\"]",
    "[groups.x]\nttl-jitter = nan",
    "[groups.x]\nmax-origin-loads = \"auto:18446744073709551616\"",
    "[groups.x.origin]\nkind = \"http\"\nurl = \"http://{key}/\"",
    "a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\0",
    "[groups.\"a\\nb\"]\nttl = 1",
    "[groups.\"a\\u001b[2J\".origin]\nkind = \"x\\ny\"",
    "[node]\nadvertise = \"http://a\\nb\"",
    "[security]\ntoken = 12345678901234567",
];

fn parse(text: &str) -> Result<Loaded, ConfigError> {
    read(&Given {
        file: Some(("gaggle.toml".into(), text.into())),
        ..Given::default()
    })
}

fn check(text: &str) {
    checked(parse(text), &text);
}

fn checked(read: Result<Loaded, ConfigError>, from: &dyn std::fmt::Debug) {
    match read {
        Ok(Loaded { config, sources }) => {
            let printed = config.masked().unwrap();
            let masked = config.spelled_out().unwrap().without_secrets();
            let annotated = config.annotated(&sources).unwrap();
            for printed in [printed, annotated] {
                // The mask of a token is refused as a token.
                let printed = printed.replace(PLACEHOLDER, "0123456789abcdef");
                let again = parse(&printed).unwrap().config;
                assert_eq!(again.without_secrets(), masked, "{from:?}");
            }
            // No sum of times in it overflows.
            let _ = config.node.drain().whole();
        }
        Err(failure) => {
            let line = failure.to_string();
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(!failure.field.is_empty(), "{line:?}");
        }
    }
}

#[test]
fn the_corpus_is_read_or_refused() {
    parse(WHOLE).unwrap();
    for text in CORPUS {
        check(text);
        check(&format!("{WHOLE}\n{text}"));
    }
}

proptest! {
    #[test]
    fn any_variable_is_read_or_refused(
        name in prop_oneof![
            "GAGGLE_[A-Z_]{1,30}",
            "GAGGLE_GROUPS__[A-Za-z_]{0,4}__[A-Z_]{0,12}",
            "GAGGLE_(NODE__PEER_ADDR|NODE__LIMITS__BACKLOG|CLUSTER__PEERS|CLUSTER__MEMBER|SECURITY__TOKEN)",
            "GAGGLE_GROUPS__SCORES__(TTL|TTL_JITTER|CAPACITY|ORIGIN__URL|ORIGIN__HEADERS__[A-Z_]{0,3})",
        ],
        value in prop_oneof![".{0,40}", "[0-9]{0,20}", "\\[.{0,20}\\]", "[0-9]{1,12}[a-zA-Z]{1,3}"],
    ) {
        let given = Given {
            file: Some(("gaggle.toml".into(), WHOLE.into())),
            environment: vec![(name, value)],
            ..Given::default()
        };
        checked(read(&given), &given.environment);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        check(&text);
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(
        at in 0..WHOLE.len(),
        cut in 0..40_usize,
        put in "[\\x00-\\x7f]{0,12}",
    ) {
        let end = (at + cut).min(WHOLE.len());
        let mut text = String::new();
        text.push_str(&WHOLE[..at]);
        text.push_str(&put);
        text.push_str(&WHOLE[end..]);
        check(&text);
    }
}
