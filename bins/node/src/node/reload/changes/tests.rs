use super::super::super::groups;
use super::*;

/// Every field that may be left out is given here; the others are there by default. Not valid: it
/// has both of two fields that exclude each other.
const EXAMPLE: &str = r#"
[node]
name = "name"
advertise = "http://127.0.0.1:8001"
drain-delay = "1s"
resp-addr = "127.0.0.1:6379"
resp-group = "example"
[cluster]
peers = ["http://127.0.0.1:8001"]
[cluster.client]
connect-timeout = "1s"
remove-timeout = "1s"
max-requests-per-peer = 1
read-timeout = "1s"
idle-per-peer = 1
idle-timeout = "1s"
unacknowledged-timeout = "1s"
batching = true
requests-at-once = 1
smallest-batch = 1
longest-batch-wait = "1s"
max-waiting = 1
keep-alive-interval = "1s"
keep-alive-timeout = "1s"
[security]
token-file = "file"
token = "token"
[security.tls]
cert = "file"
key = "file"
client-ca = "file"
ca = "file"
peer-name = "name"
front-door-client-ca = "file"
[tracing]
endpoint = "http://127.0.0.1:4318"
headers-file = "file"
ca = "file"
resource-attributes = "team=a"
[groups.example]
max-wait = "1s"
origin-grace = "1s"
ttl = "1s"
negative-ttl = "1s"
cache-control = "ttl"
snapshot = "file"
"#;

/// The tables that have kinds, each kind once.
const KINDS: [&str; 5] = [
    r#"
[groups.example.origin]
kind = "http"
url = "http://h/{key}"
headers = { authorization = "secret" }
fallbacks = ["http://i/{key}"]
total-timeout = "1s"
token = "token"
token-file = "file"
ca = "file"
client-cert = "file"
client-key = "file"
[groups.example.origin.batch]
url = "http://h/batch"
fallbacks = ["http://i/batch"]
timeout = "1s"
[groups.example.follow]
kind = "postgres"
url = "postgres://h/d"
url-file = "file"
password = "secret"
password-file = "file"
ca = "file"
publication = "publication"
slot = "slot"
tables = [{ table = "table", key = "{id}", payload = "value" }]
[cluster.discovery]
kind = "dns"
name = "node"
port = 1
nameserver = "127.0.0.1:53"
"#,
    r#"
[groups.example.origin]
kind = "sqlite"
path = "file"
query = "SELECT ?1"
acquire-timeout = "1s"
[groups.example.follow]
kind = "postgres-notify"
url = "postgres://h/d"
url-file = "file"
password = "secret"
password-file = "file"
ca = "file"
channel = "channel"
tables = [{ table = "table", key = "{id}", payload = "value" }]
[cluster.discovery]
kind = "gossip"
advertise = "127.0.0.1:7946"
seeds = ["127.0.0.1:7947"]
"#,
    r#"
[groups.example.origin]
kind = "files"
root = "root"
[groups.example.follow]
kind = "files"
root = "root"
[cluster.discovery]
kind = "file"
path = "file"
"#,
    r#"
[groups.example.origin]
kind = "postgres"
url = "postgres://h/d"
url-file = "file"
password = "secret"
password-file = "file"
replicas = ["postgres://i/d"]
query = "SELECT $1"
acquire-timeout = "1s"
statement-timeout = "1s"
ca = "file"
[groups.example.follow]
kind = "files"
root = "root"
[cluster.discovery]
kind = "file"
path = "file"
"#,
    r#"
[groups.example.origin]
kind = "object"
url = "s3://bucket"
endpoint = "http://h"
region = "region"
access-key-id = "id"
secret-access-key = "secret"
secret-access-key-file = "file"
token = "secret"
token-file = "file"
options = { aws_request_payer = "true" }
parallel-from = "8MiB"
[groups.example.follow]
kind = "files"
root = "root"
[cluster.discovery]
kind = "file"
path = "file"
"#,
];

fn examples() -> [Config; 5] {
    KINDS.map(|kinds| read(&format!("{EXAMPLE}{kinds}")))
}

/// A field that is added and may be left out is missing in the text until it is put there.
#[test]
fn the_examples_leave_no_field_out() {
    for example in examples() {
        let shown = format!("{example:?}");
        let missing = shown
            .match_indices("None")
            .map(|(at, _)| &shown[at.saturating_sub(40)..at]);
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}

/// An example with every field set, and the same with one changed field.
struct Case {
    path: Path,
    before: Config,
    after: Config,
}

/// One for each field of each example.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for before in examples() {
        let table = Table::try_from(&before).unwrap();
        let mut paths = Vec::new();
        compare(&Table::new(), &table, &mut Path::new(), &mut paths);
        let paths = paths.iter().flat_map(|path| leaves(path, &table));
        for path in paths {
            // Another kind has other fields.
            if path.last().unwrap() == "kind" {
                continue;
            }
            // It has one value so far.
            if path.join(".") == "tracing.protocol" {
                continue;
            }
            let after = changed(&table, &path, &before);
            let before = before.clone();
            cases.push(Case {
                path,
                before,
                after,
            });
        }
    }
    cases
}

/// The fields at or below a path.
fn leaves(path: &Path, table: &Table) -> Vec<Path> {
    match value_at(path, &mut table.clone()) {
        Value::Table(inner) => {
            let below = inner
                .keys()
                .map(|name| [path, &[name.clone()][..]].concat());
            below.flat_map(|path| leaves(&path, table)).collect()
        }
        _ => vec![path.clone()],
    }
}

fn value_at<'t>(path: &[String], table: &'t mut Table) -> &'t mut Value {
    let (first, rest) = path.split_first().unwrap();
    let value = table.get_mut(first).unwrap();
    match rest {
        [] => value,
        rest => value_at(rest, value.as_table_mut().unwrap()),
    }
}

/// The configuration with another value of that field, of whatever type it is.
fn changed(table: &Table, path: &[String], before: &Config) -> Config {
    let texts = [
        "7s",
        "7KiB",
        "group",
        "off",
        "json",
        "grpc",
        "groupcache",
        "raw",
        "blob",
        "ipv6",
        "127.0.0.1:7",
        "round-robin",
        "mozilla",
        "object",
        "base64",
        "lru",
        "other",
    ];
    let mut table = table.clone();
    let value = value_at(path, &mut table).clone();
    let others: Vec<Value> = match value {
        Value::Integer(number) => vec![Value::Integer(number + 1)],
        Value::Float(number) => vec![Value::Float(number + 0.25)],
        Value::Boolean(is) => vec![Value::Boolean(!is)],
        Value::Array(_) => vec![
            Value::Array(vec!["peers".into()]),
            Value::Array(vec!["other".into()]),
            Value::Array(Vec::new()),
        ],
        _ => texts.map(Value::from).into(),
    };
    let mut read = others.into_iter().filter_map(|other| {
        *value_at(path, &mut table) = other;
        let config: Config = table.clone().try_into().ok()?;
        (config != *before).then_some(config)
    });
    read.next()
        .unwrap_or_else(|| panic!("no other value of {}", path.join(".")))
}

#[test]
fn each_field_can_change_or_is_refused() {
    let cases = cases();
    for Case {
        path,
        before,
        after,
    } in &cases
    {
        let field = path.join(".");
        let changes = Changes::between(before, after).unwrap();
        assert_eq!(changes.names(), std::slice::from_ref(&field));
        let refused = changes.refused(before, after);
        let can_change = CAN_CHANGE.iter().any(|like| is_like(path, like));
        assert_eq!(refused.is_none(), can_change, "{field}: {refused:?}");
        if let Some(refused) = refused {
            assert_eq!(refused.field, field);
            let restart = "cannot change while the node runs; restart it for this";
            assert_eq!(refused.problem, restart);
        }
    }
    for like in CAN_CHANGE {
        let is_there = cases.iter().any(|case| is_like(&case.path, like));
        assert!(is_there, "there is no field {like}");
    }
    // Far more than can change: an empty example would prove nothing.
    assert!(cases.len() > 150, "{}", cases.len());
}

#[test]
fn each_field_of_a_group_that_can_change_has_an_effect() {
    let cases = cases();
    for like in CAN_CHANGE.iter().filter(|like| like.starts_with("groups.")) {
        let has_effect = |case: &Case| {
            let group = |config: &Config| config.groups["example"].clone();
            let (before, after) = (group(&case.before), group(&case.after));
            groups::settings(&before) != groups::settings(&after)
                || before.hot_copies != after.hot_copies
        };
        let mut of_field = cases.iter().filter(|case| is_like(&case.path, like));
        assert!(of_field.any(has_effect), "{like}");
    }
}

fn read(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn refusal(before: &str, after: &str) -> Option<String> {
    let (before, after) = (read(before), read(after));
    let changes = Changes::between(&before, &after).unwrap();
    changes
        .refused(&before, &after)
        .map(|refused| refused.to_string())
}

const SQLITE: &str = "origin = { kind = \"sqlite\", path = \"a\", max-connections = 4 }";

#[test]
fn a_database_gets_no_more_connections_than_it_was_opened_with() {
    let group = |loads: &str| format!("[groups.a]\nmax-origin-loads = {loads}\n{SQLITE}");
    let refused = refusal(&group("2"), &group("3")).unwrap();
    assert_eq!(
        refused,
        "groups.a.max-origin-loads: the database was opened with 2 connections, one for each load; restart it for this"
    );
    assert_eq!(refusal(&group("2"), &group("1")), None);
    assert_eq!(refusal(&group("4"), &group("\"auto:50\"")), None);
    let http = |loads: &str| {
        format!(
            "[groups.a]\nmax-origin-loads = {loads}\norigin = {{ kind = \"http\", url = \"u\" }}"
        )
    };
    assert_eq!(refusal(&http("2"), &http("3")), None);
}

#[test]
fn copies_do_not_outlive_what_the_node_was_started_to_remember() {
    let group = |ttl: &str| format!("[groups.a]\nhot-ttl = \"{ttl}\"");
    let most = read("").peers_options().remember_for;
    let longer = most + std::time::Duration::from_secs(1);
    let spelled = humantime::format_duration(most).to_string();
    assert_eq!(refusal(&group("1s"), &group(&spelled)), None);
    let spelled = humantime::format_duration(longer).to_string();
    let refused = refusal(&group("1s"), &group(&spelled)).unwrap();
    let line = "groups.a.hot-ttl: copies would outlive the ";
    assert!(refused.starts_with(line), "{refused}");
    // It remembers longer where it was started so.
    assert_eq!(refusal(&group("1day"), &group(&spelled)), None);
}

#[test]
fn a_table_of_another_kind_is_one_field_and_so_is_one_that_comes_or_goes() {
    let http = "[groups.a.origin]\nkind = \"http\"\nurl = \"u\"";
    let files = "[groups.a.origin]\nkind = \"files\"\nroot = \"r\"";
    let line = |field: &str| {
        Some(format!(
            "{field}: cannot change while the node runs; restart it for this"
        ))
    };
    assert_eq!(refusal(http, files), line("groups.a.origin.kind"));
    let dns = "[cluster.discovery]\nkind = \"dns\"\nname = \"n\"";
    assert_eq!(refusal("", dns), line("cluster.discovery"));
    assert_eq!(refusal(dns, ""), line("cluster.discovery"));
    let comes = "groups.b: no group comes or goes while the node runs; restart it for this";
    let both = format!("{http}\n[groups.b]");
    assert_eq!(refusal(http, &both), Some(comes.into()));
    assert_eq!(refusal(&both, http), Some(comes.into()));
}

#[test]
fn the_first_of_several_is_named_and_the_others_are_counted() {
    let more = "[node]\nname = \"n\"\nlog-level = \"debug\"\n[cluster]\nname = \"c\"";
    assert_eq!(
        refusal("", more).unwrap(),
        "cluster.name: cannot change while the node runs; restart it for this and 1 more field"
    );
    let more = format!("{more}\nprofile = \"groupcache\"");
    let refused = refusal("", &more).unwrap();
    assert!(
        refused.ends_with("restart it for this and 2 more fields"),
        "{refused}"
    );
}

#[test]
fn there_is_a_token_or_there_is_none() {
    let (none, token) = ("", "[security]\ntoken = \"a\"");
    let (other, file) = (
        "[security]\ntoken = \"b\"",
        "[security]\ntoken-file = \"f\"",
    );
    for (before, after) in [(none, token), (file, none)] {
        let refused = refusal(before, after).unwrap();
        assert!(
            refused.contains("whether there is a token cannot change"),
            "{refused}"
        );
    }
    for (before, after) in [(token, other), (token, file), (file, other)] {
        assert_eq!(refusal(before, after), None);
    }
}
