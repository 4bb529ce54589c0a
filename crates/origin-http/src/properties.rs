//! Properties of the decoders for any input: generated input, and the hand-picked corpus in
//! `corpus/`.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use gaggle_group::Hint;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use crate::cache_control::{CacheControl, MAX_SECONDS};
use crate::freshness::hint;
use crate::metadata::metadata;
use crate::template::{Template, Unaskable};
use crate::url::public_part;

/// The inputs of one folder of the corpus.
fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(folder);
    let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read(file.unwrap().path());
    let files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| read(file).unwrap())
        .collect();
    assert!(files.len() >= 20, "{}", files.len());
    files
}

// Cache-Control.

/// A field of these directives, as a service would write it.
fn print(all: &CacheControl) -> String {
    let flags = [
        ("no-store", all.no_store),
        ("no-cache", all.no_cache),
        ("must-revalidate", all.must_revalidate),
    ];
    let numbers = [
        ("s-maxage", all.s_maxage),
        ("max-age", all.max_age),
        ("stale-while-revalidate", all.stale_while_revalidate),
        ("stale-if-error", all.stale_if_error),
    ];
    let flags = flags
        .iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| (*name).to_owned());
    let numbers = numbers
        .iter()
        .filter_map(|(name, seconds)| Some(format!("{name}={}", (*seconds)?)));
    flags.chain(numbers).collect::<Vec<_>>().join(", ")
}

fn parse(field: &[u8]) -> CacheControl {
    CacheControl::parse([field])
}

/// A parsed field can be written, and parses again to the same.
fn check_cache_control(field: &[u8]) -> CacheControl {
    let read = parse(field);
    assert_eq!(parse(print(&read).as_bytes()), read, "{field:?}");
    let numbers = [
        read.s_maxage,
        read.max_age,
        read.stale_while_revalidate,
        read.stale_if_error,
    ];
    assert!(numbers.into_iter().flatten().all(|it| it <= MAX_SECONDS));
    read
}

#[test]
fn the_corpus_of_cache_control() {
    for field in corpus("cache-control") {
        check_cache_control(&field);
    }
}

/// A well-formed directive with a known meaning (RFC 9111, section 5.2).
#[derive(Debug, Clone)]
enum Directive {
    NoStore(&'static str),
    NoCache(&'static str),
    MustRevalidate(&'static str),
    Seconds(usize, u64),
    Unknown(String),
}

const NUMBERS: [&str; 4] = [
    "s-maxage",
    "max-age",
    "stale-while-revalidate",
    "stale-if-error",
];

fn directive() -> impl Strategy<Value = Directive> {
    let known = |names: Vec<&'static str>| prop::sample::select(names);
    prop_oneof![
        1 => known(vec!["no-store", "private", "private=\"a, max-age=1\""]).prop_map(Directive::NoStore),
        1 => known(vec!["no-cache", "no-cache=\"x\""]).prop_map(Directive::NoCache),
        1 => known(vec!["must-revalidate", "proxy-revalidate"]).prop_map(Directive::MustRevalidate),
        6 => (0..NUMBERS.len(), prop_oneof![0..100_000_u64, any::<u64>()])
            .prop_map(|(name, seconds)| Directive::Seconds(name, seconds)),
        2 => "x-[a-z]{1,9}(=([0-9A-Za-z!#$%&'*+.^_`|~-]{1,9}|\"([ !#-\\[\\]-~]|\\\\[ -~]){0,9}\"))?"
            .prop_map(Directive::Unknown),
    ]
}

/// The directive in one of the spellings that mean the same.
fn spelled(directive: &Directive, upper: bool, quoted: bool) -> String {
    let text = match directive {
        Directive::NoStore(text) | Directive::NoCache(text) | Directive::MustRevalidate(text) => {
            (*text).to_owned()
        }
        Directive::Seconds(name, seconds) if quoted => format!("{}=\"{seconds}\"", NUMBERS[*name]),
        Directive::Seconds(name, seconds) => format!("{}={seconds}", NUMBERS[*name]),
        Directive::Unknown(text) => text.clone(),
    };
    if upper {
        text.to_ascii_uppercase()
    } else {
        text
    }
}

proptest! {
    #[test]
    fn any_field_reads_as_what_it_prints_as(field in any::<Vec<u8>>()) {
        check_cache_control(&field);
    }

    #[test]
    fn any_field_of_the_bytes_that_matter_reads_as_what_it_prints_as(
        field in "(max-age|s-maxage|no-store|[,=\"\\\\ 0-9a]){0,30}",
    ) {
        check_cache_control(field.as_bytes());
    }

    #[test]
    fn a_well_formed_field_means_what_the_rfc_says(
        directives in prop::collection::vec((directive(), any::<bool>(), any::<bool>(), "[ \t]{0,2}", "[ \t]{0,2}"), 0..9),
    ) {
        let mut expected = CacheControl::default();
        let mut field = Vec::new();
        for (directive, upper, quoted, before, after) in &directives {
            field.push(format!("{before}{}{after}", spelled(directive, *upper, *quoted)));
            match directive {
                Directive::NoStore(_) => expected.no_store = true,
                Directive::NoCache(_) => expected.no_cache = true,
                Directive::MustRevalidate(_) => expected.must_revalidate = true,
                Directive::Seconds(name, seconds) => {
                    let number = [
                        &mut expected.s_maxage,
                        &mut expected.max_age,
                        &mut expected.stale_while_revalidate,
                        &mut expected.stale_if_error,
                    ];
                    let seconds = u32::try_from(*seconds).unwrap_or(MAX_SECONDS).min(MAX_SECONDS);
                    for number in number.into_iter().skip(*name).take(1) {
                        *number = Some(number.map_or(seconds, |before| before.min(seconds)));
                    }
                }
                Directive::Unknown(_) => {}
            }
        }
        prop_assert_eq!(parse(field.join(",").as_bytes()), expected, "{:?}", field);
    }
}

// The headers of an answer.

/// The headers of these lines, without those that no client would accept.
fn headers(lines: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(at) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..at]);
        let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

fn check_headers(headers: &HeaderMap) {
    let longest = Duration::from_secs(MAX_SECONDS.into());
    for now in [UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(1 << 40)] {
        let hint = hint(headers, now);
        let times = [hint.ttl, hint.stale_while_revalidate, hint.stale_if_error];
        let all = times.into_iter().flatten();
        assert!(all.clone().all(|time| time <= longest), "{headers:?}");
        let told = metadata(headers);
        assert!(told.age().is_none_or(|age| age <= longest), "{headers:?}");
        // A directive that forbids keeping the answer has effect, whatever the other ones say.
        let forbids = |value: &HeaderValue| parse(value.as_bytes()).no_store;
        if headers.get_all("cache-control").iter().any(forbids) {
            assert_eq!(hint, Hint::none(), "{headers:?}");
        }
    }
}

#[test]
fn the_corpus_of_headers() {
    for lines in corpus("headers") {
        check_headers(&headers(&lines));
    }
}

proptest! {
    #[test]
    fn any_headers_are_read(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec!["cache-control", "age", "date", "expires", "vary", "etag", "last-modified"]),
                prop_oneof![
                    any::<Vec<u8>>(),
                    prop::sample::select(vec![
                        "max-age=60", "s-maxage=9999999999", "no-store", "*", "0", "-1", "2147483647", "99999999999",
                        "Sun, 06 Nov 1994 08:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT",
                    ]).prop_map(|text| text.as_bytes().to_vec()),
                ],
            ),
            0..8,
        ),
    ) {
        let lines: Vec<_> = lines.iter().map(|(name, value)| [name.as_bytes(), b":", value].concat()).collect();
        check_headers(&headers(&lines.join(&b'\n')));
    }

    #[test]
    fn a_ttl_is_the_lifetime_less_the_age(lifetime in 0..100_000_u64, age in 0..200_000_u64, shared: bool) {
        let name = if shared { "max-age=1, s-maxage" } else { "max-age" };
        let lines = format!("Cache-Control: {name}={lifetime}\nAge: {age}");
        let said = hint(&headers(lines.as_bytes()), UNIX_EPOCH);
        prop_assert_eq!(said.ttl, Some(Duration::from_secs(lifetime.saturating_sub(age))));
    }
}

// The template of the URL.

/// Whatever the key: refused, or a URL of the same scheme and host, whose path is the template's
/// with the key as one part of one segment, or whose query has it in its place; also to those who
/// normalise paths.
fn check_template(template: &str, key: &[u8]) {
    let Ok(parsed) = Template::parse(template) else {
        return;
    };
    let uri = match parsed.uri(key) {
        Ok(uri) => uri.to_string(),
        Err(Unaskable::DotSegment) => {
            // Nothing is refused without a reason, and every refusal can be turned off.
            assert!(key.is_empty() || key.iter().any(|byte| b"./\\%;".contains(byte)));
            let parsed = Template::parse(template).unwrap().with_dot_segments();
            assert_ne!(parsed.uri(key), Err(Unaskable::DotSegment));
            return;
        }
        Err(Unaskable::TooLong { len }) => {
            assert!(len > 60_000, "{len}");
            return;
        }
    };
    let plain = parsed.uri(b"k").unwrap().to_string();
    let other = parsed.uri(b"q").unwrap().to_string();
    // Where they differ is the key's place.
    let place = std::iter::zip(plain.bytes(), other.bytes()).position(|(k, q)| k != q);
    let (before, after) = plain.split_at(place.unwrap());
    let after = after.strip_prefix('k').unwrap();
    let middle = uri
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after))
        .unwrap_or_else(|| panic!("{template} {key:?}: {uri}"));
    assert!(
        middle
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte))
    );
    assert_eq!(percent_decode_str(middle).collect::<Vec<_>>(), key);

    // As servers that decode once, or twice, before they look at the segments.
    if !before.contains('?') {
        let key_path = format!("{}{middle}{}", segment_before(before), segment_after(after));
        let once = percent_decode_str(&key_path).collect::<Vec<_>>();
        let twice = percent_encoding::percent_decode(&once).collect::<Vec<_>>();
        for decoded in [key_path.into_bytes(), once, twice] {
            let mut segments = decoded.split(|byte| b"/\\".contains(byte));
            assert!(segments.all(|it| it != b"." && it != b".."), "{uri}");
        }
    }

    // As browsers and many servers read it: without dot segments, encoded or not.
    let (read, plain) = (url::Url::parse(&uri), url::Url::parse(&plain));
    if let (Ok(read), Ok(plain)) = (read, plain) {
        assert_eq!(read.scheme(), plain.scheme());
        assert_eq!((read.host(), read.port()), (plain.host(), plain.port()));
        let segments = |url: &url::Url| url.path_segments().unwrap().count();
        assert_eq!(segments(&read), segments(&plain), "{uri}");
    }
}

/// The start of the key's segment.
fn segment_before(before: &str) -> &str {
    before.rsplit('/').next().unwrap()
}

/// The end of the key's segment.
fn segment_after(after: &str) -> &str {
    after.split(['/', '?']).next().unwrap()
}

#[test]
fn the_corpus_of_templates_and_keys() {
    let templates: HashSet<_> = corpus("templates")
        .into_iter()
        .map(|template| String::from_utf8(template).unwrap())
        .collect();
    let keys = corpus("keys");
    for template in &templates {
        for key in &keys {
            check_template(template, key);
        }
        let shown = public_part(template);
        assert!(
            shown.ends_with('…') && !shown.contains(['?', '@', '#']),
            "{shown}"
        );
    }
}

const TEMPLATES: [&str; 9] = [
    "http://h/{key}",
    "http://h/a/{key}/b",
    "http://h/.{key}",
    "http://h/{key}.",
    "http://h/%2e{key}",
    "http://h/{key}%2E/b?x=1",
    "http://h:81/a/v-{key}.json",
    "https://[::1]/?key={key}&b=c",
    "https://h?{key}",
];

proptest! {
    #[test]
    fn no_key_leads_elsewhere(template in prop::sample::select(TEMPLATES.to_vec()), key in any::<Vec<u8>>()) {
        check_template(template, &key);
    }

    #[test]
    fn no_key_of_dots_and_delimiters_leads_elsewhere(
        template in prop::sample::select(TEMPLATES.to_vec()),
        key in "[./%2eE:@?#&=\\\\\r\n;]{0,8}",
    ) {
        check_template(template, key.as_bytes());
    }

    #[test]
    fn any_template_is_read(template in "(http|https|HTTP|ftp)?(://)?[a-z@:\\[\\]0-9.]{0,8}[/?#a-z%2e.]{0,8}(\\{key\\})?[/?#a-z%2e.]{0,8}", key in any::<Vec<u8>>()) {
        check_template(&template, &key);
    }
}
