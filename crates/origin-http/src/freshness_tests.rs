//! Headers, and their meaning.

use std::time::UNIX_EPOCH;

use hyper::header::HeaderName;
use proptest::prelude::*;

use super::*;

/// Ttl, stale-while-revalidate, stale-if-error; `None` if the group decides.
type Said = (Option<u64>, Option<u64>, Option<u64>);

const NOTHING: Said = (None, None, None);
const NOT_KEPT: Said = (Some(0), Some(0), Some(0));

const fn ttl(seconds: u64) -> Said {
    (Some(seconds), None, None)
}

/// Ten minutes after `DATE_0`.
fn now() -> SystemTime {
    parse_http_date("Sun, 06 Nov 1994 08:10:00 GMT").unwrap()
}

const DATE_0: &str = "Date: Sun, 06 Nov 1994 08:00:00 GMT";
const EXPIRES_30: &str = "Expires: Sun, 06 Nov 1994 08:00:30 GMT";
const EXPIRES_900: &str = "Expires: Sun, 06 Nov 1994 08:15:00 GMT";

fn headers(lines: &[&str]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        map.append(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_bytes(value.trim().as_bytes()).unwrap(),
        );
    }
    map
}

fn said(headers: &HeaderMap) -> Said {
    let hint = hint(headers, now());
    let seconds = |of: Option<Duration>| of.map(|of| of.as_secs());
    (
        seconds(hint.ttl),
        seconds(hint.stale_while_revalidate),
        seconds(hint.stale_if_error),
    )
}

#[test]
fn headers_and_their_meaning() {
    let table: &[(&[&str], Said)] = &[
        // Nothing, and nothing of a lifetime.
        (&[], NOTHING),
        (
            &[
                DATE_0,
                "Last-Modified: Sun, 06 Nov 1994 07:00:00 GMT",
                "ETag: \"1\"",
            ],
            NOTHING,
        ),
        (&["Cache-Control: public, immutable"], NOTHING),
        (&["Cache-Control:"], NOTHING),
        (&["Age: 100"], NOTHING),
        (&["Pragma: no-cache"], NOTHING),
        // Answers that must not be kept.
        (&["Cache-Control: no-store"], NOT_KEPT),
        (&["Cache-Control: max-age=60, NO-STORE"], NOT_KEPT),
        (
            &["Cache-Control: max-age=60", "Cache-Control: no-store"],
            NOT_KEPT,
        ),
        (&["Cache-Control: private, max-age=60"], NOT_KEPT),
        (
            &["Cache-Control: private=\"set-cookie\", s-maxage=60"],
            NOT_KEPT,
        ),
        (
            &["Cache-Control: no-cache, max-age=60, stale-if-error=60"],
            NOT_KEPT,
        ),
        (&["Cache-Control: no-cache=\"a, b\", max-age=60"], NOT_KEPT),
        (&["Vary: *", "Cache-Control: max-age=60"], NOT_KEPT),
        (&["Vary: accept", "Vary: x, *"], NOT_KEPT),
        (
            &["Vary: accept, cookie", "Cache-Control: max-age=60"],
            ttl(60),
        ),
        // Lifetimes, and which of several counts.
        (&["Cache-Control: max-age=60"], ttl(60)),
        (&["Cache-Control: max-age=\"60\""], ttl(60)),
        (
            &["Cache-Control: x=\"max-age=5, no-store\", max-age=60"],
            ttl(60),
        ),
        (
            &["Cache-Control: max-age=60", "Cache-Control: max-age=30"],
            ttl(30),
        ),
        (&["Cache-Control: max-age=0"], ttl(0)),
        (&["Cache-Control: max-age=soon"], ttl(0)),
        (&["Cache-Control: max-age=-60"], ttl(0)),
        (&["Cache-Control: max-age"], ttl(0)),
        (
            &["Cache-Control: max-age=99999999999999999999"],
            ttl(2_147_483_647),
        ),
        (&["Cache-Control: max-age=60", DATE_0, EXPIRES_900], ttl(60)),
        (
            &["Cache-Control: max-age=soon", DATE_0, EXPIRES_900],
            ttl(0),
        ),
        (
            &["Cache-Control: max-age=60, s-maxage=90"],
            (Some(90), Some(0), Some(0)),
        ),
        (&["Cache-Control: max-age=60, s-maxage=x"], NOT_KEPT),
        // Expires, by the service's own clock or otherwise by this machine's.
        (&[DATE_0, EXPIRES_30], ttl(30)),
        (&[DATE_0, EXPIRES_900, EXPIRES_30], ttl(30)),
        (&["Cache-Control: public", DATE_0, EXPIRES_30], ttl(30)),
        (&[EXPIRES_900], ttl(300)),
        (&[EXPIRES_30], ttl(0)),
        (&["Date: today", EXPIRES_900], ttl(300)),
        (&[DATE_0, "Expires: 0"], ttl(0)),
        (&[DATE_0, "Expires: -1"], ttl(0)),
        (&[DATE_0, EXPIRES_900, "Expires: 0"], ttl(0)),
        (&[DATE_0, "Expires: Sun, 06 Nov 1994 07:59:59 GMT"], ttl(0)),
        (
            &[DATE_0, "Expires: Fri, 31 Dec 9999 23:59:59 GMT"],
            ttl(2_147_483_647),
        ),
        (
            &[DATE_0, "Expires: Sunday, 06-Nov-94 08:00:30 GMT"],
            ttl(30),
        ),
        // Age.
        (&["Cache-Control: max-age=60", "Age: 45"], ttl(15)),
        (&["Cache-Control: max-age=60", "Age: 90"], ttl(0)),
        (
            &["Cache-Control: max-age=60", "Age: 99999999999999999999"],
            ttl(0),
        ),
        (&["Cache-Control: max-age=60", "Age: 45, 50"], ttl(15)),
        (
            &["Cache-Control: max-age=60", "Age: 45", "Age: 50"],
            ttl(15),
        ),
        (&["Cache-Control: max-age=60", "Age: old"], ttl(60)),
        (&["Cache-Control: max-age=60", "Age: -5"], ttl(60)),
        (&["Cache-Control: max-age=60", "Age:"], ttl(60)),
        (&[DATE_0, EXPIRES_30, "Age: 10"], ttl(20)),
        // The Date is ten minutes ago, which is no age: clocks differ.
        (&["Cache-Control: max-age=60", DATE_0], ttl(60)),
        // Windows.
        (
            &["Cache-Control: max-age=60, stale-while-revalidate=30, stale-if-error=600"],
            (Some(60), Some(30), Some(600)),
        ),
        (
            &["Cache-Control: max-age=60, stale-if-error=600"],
            (Some(60), None, Some(600)),
        ),
        (
            &["Cache-Control: stale-while-revalidate=30"],
            (None, Some(30), None),
        ),
        (
            &["Cache-Control: max-age=60, stale-if-error=x"],
            (Some(60), None, Some(0)),
        ),
        (
            &["Cache-Control: max-age=60, stale-if-error=600, stale-if-error=5"],
            (Some(60), None, Some(5)),
        ),
        (
            &[
                "Cache-Control: max-age=60, stale-while-revalidate=30, stale-if-error=600",
                "Age: 100",
            ],
            (Some(0), Some(0), Some(560)),
        ),
        (
            &[
                "Cache-Control: stale-if-error=600",
                DATE_0,
                EXPIRES_30,
                "Age: 40",
            ],
            (Some(0), None, Some(590)),
        ),
        // An age does not shorten a window after a ttl that the group decides on.
        (
            &["Cache-Control: stale-if-error=600", "Age: 100"],
            (None, None, Some(600)),
        ),
        // Directives that forbid serving it stale.
        (
            &["Cache-Control: max-age=60, must-revalidate"],
            (Some(60), Some(0), Some(0)),
        ),
        (
            &["Cache-Control: max-age=60, proxy-revalidate"],
            (Some(60), Some(0), Some(0)),
        ),
        (
            &["Cache-Control: must-revalidate"],
            (None, Some(0), Some(0)),
        ),
        (
            &["Cache-Control: max-age=60, must-revalidate, stale-if-error=600"],
            (Some(60), Some(0), Some(0)),
        ),
        (
            &["Cache-Control: s-maxage=60"],
            (Some(60), Some(0), Some(0)),
        ),
        (
            &["Cache-Control: s-maxage=60, stale-while-revalidate=30"],
            (Some(60), Some(30), Some(0)),
        ),
        (
            &["Cache-Control: s-maxage=60, stale-if-error=600", "Age: 70"],
            (Some(0), Some(0), Some(590)),
        ),
        (
            &["Cache-Control: s-maxage=60, stale-if-error=600, proxy-revalidate"],
            (Some(60), Some(0), Some(0)),
        ),
    ];
    for (lines, expected) in table {
        assert_eq!(said(&headers(lines)), *expected, "{lines:?}");
    }
}

#[test]
fn bytes_that_are_no_text_hide_no_directive() {
    let mut map = HeaderMap::new();
    let value = HeaderValue::from_bytes(b"x=\xE9, no-store").unwrap();
    map.append(CACHE_CONTROL, value);
    assert_eq!(said(&map), NOT_KEPT);
}

#[test]
fn a_clock_before_every_date_has_no_effect() {
    let map = headers(&[EXPIRES_30]);
    let lifetime = hint(&map, UNIX_EPOCH).ttl.unwrap();
    assert_eq!(lifetime.as_secs(), 784_108_830);
}

proptest! {
    #[test]
    fn no_headers_panic_and_none_last_without_end(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![AGE, CACHE_CONTROL, DATE, EXPIRES, VARY]),
                prop_oneof![
                    "[ -~]{0,60}",
                    "(s-maxage|max-age|stale-if-error)=\"?[0-9]{0,12}\"?",
                    "[MTWFS][a-z]{2}, [0-9]{2} [JFMASOND][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
                ],
            ),
            0..6,
        ),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(name, HeaderValue::from_str(&value).unwrap());
        }
        let hint = hint(&map, now());
        let longest = Duration::from_secs(MAX_SECONDS.into());
        for part in [hint.ttl, hint.stale_while_revalidate, hint.stale_if_error] {
            prop_assert!(part.is_none_or(|part| part <= longest));
        }
    }
}
