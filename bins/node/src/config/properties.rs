//! Whatever stands in a configuration, reading it ends in a configuration or in one line that names what is wrong.

use proptest::prelude::*;

use super::{Config, ConfigError, parse};
use crate::cli::Overrides;

/// A file with every kind of field, to be damaged.
const WHOLE: &str = r#"
[node]
peer-addr = "127.0.0.1:8001"
advertise = "http://10.0.0.1:8001"
drain-delay = "3s"
drain-timeout = "10s"
max-connections = 100
max-in-flight = "64MiB"
log-format = "json"
[cluster]
peers = ["http://10.0.0.2:8001"]
profile = "groupcache"
encoding = "raw"
damping = "5s"
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
url = "http://127.0.0.1:7000/{key}"
"#;

/// Inputs that were thought up by hand, and those that once were read wrongly.
const CORPUS: [&str; 14] = [
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
];

fn check(text: &str) {
    let read: Result<Config, ConfigError> = parse(text, &Overrides::default());
    match read {
        Ok(config) => {
            let printed = config.masked().unwrap();
            let again = parse(&printed, &Overrides::default()).unwrap();
            assert_eq!(again, config.spelled_out(), "{text:?}");
            // No sum of times in it overflows.
            let _ = config.node.drain().whole();
        }
        Err(failure) => {
            let line = failure.to_string();
            assert!(!line.contains(['\n', '\r']), "{line:?}");
            assert!(!failure.field.is_empty(), "{line:?}");
        }
    }
}

#[test]
fn the_corpus_is_read_or_refused() {
    parse(WHOLE, &Overrides::default()).unwrap();
    for text in CORPUS {
        check(text);
        check(&format!("{WHOLE}\n{text}"));
    }
}

proptest! {
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
