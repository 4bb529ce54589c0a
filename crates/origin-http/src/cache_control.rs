//! The `Cache-Control` of an answer, as a shared cache reads it (RFC 9111, section 5.2.2; RFC
//! 5861).
//!
//! The parser is the crate's own, because neither of the well-maintained libraries fits:
//!
//! * `headers` 0.4 knows neither `stale-while-revalidate` nor `stale-if-error`. Of two `max-age`
//!   it takes the last. One number that is not a `u64` makes it reject the whole field, `no-store`
//!   included.
//! * `http-cache-semantics` 3.0 answers for a whole request and response, with a storage policy,
//!   heuristics and a clock of its own, and does not expose the stale windows. It splits at commas
//!   inside quoted strings, and its names are case-sensitive.
//!
//! Reading never fails: a malformed directive is read as the most restrictive that it could mean,
//! and an unknown one is ignored.

/// The most seconds that a number can mean: the value that RFC 9111, section 1.2.2 allows for a
/// number that overflows.
pub(crate) const MAX_SECONDS: u32 = (1 << 31) - 1;

/// The directives about how long an answer may be served. Numbers are seconds, at most
/// [`MAX_SECONDS`].
///
/// A number that is missing or malformed is read as zero: by RFC 9111, section 4.2.1 such an
/// answer is stale. If a directive appears several times, the smallest number counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheControl {
    /// `no-store`, or `private` in either form: a shared cache must not keep the answer.
    pub(crate) no_store: bool,
    /// `no-cache` in either form: the answer must not be served again unasked.
    pub(crate) no_cache: bool,
    /// `must-revalidate` or `proxy-revalidate`: the answer must not be served stale.
    pub(crate) must_revalidate: bool,
    pub(crate) s_maxage: Option<u32>,
    pub(crate) max_age: Option<u32>,
    pub(crate) stale_while_revalidate: Option<u32>,
    pub(crate) stale_if_error: Option<u32>,
}

impl CacheControl {
    /// Reads all fields of that name.
    pub(crate) fn parse<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut all = Self::default();
        for directive in fields.into_iter().flat_map(directives) {
            all.add(directive);
        }
        all
    }

    fn add(&mut self, directive: &[u8]) {
        let (name, argument) = match directive.iter().position(|&byte| byte == b'=') {
            Some(at) => (&directive[..at], &directive[at + 1..]),
            None => (directive, &[][..]),
        };
        let number = match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"no-store" | b"private" => {
                self.no_store = true;
                return;
            }
            b"no-cache" => {
                self.no_cache = true;
                return;
            }
            b"must-revalidate" | b"proxy-revalidate" => {
                self.must_revalidate = true;
                return;
            }
            b"s-maxage" => &mut self.s_maxage,
            b"max-age" => &mut self.max_age,
            b"stale-while-revalidate" => &mut self.stale_while_revalidate,
            b"stale-if-error" => &mut self.stale_if_error,
            _ => return,
        };
        let seconds = delta_seconds(unquoted(argument.trim_ascii())).unwrap_or(0);
        *number = Some(number.map_or(seconds, |before| before.min(seconds)));
    }
}

/// A number of seconds: only digits, and at most [`MAX_SECONDS`].
pub(crate) fn delta_seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |seconds, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        let seconds = seconds.saturating_mul(10).saturating_add(digit);
        Some(seconds.min(MAX_SECONDS))
    })
}

/// The text between quotation marks, which some services put around numbers. With an escape it is
/// not a number.
fn unquoted(argument: &[u8]) -> &[u8] {
    let inner = argument.strip_prefix(b"\"");
    inner
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(argument)
}

/// Splits a field at its commas, except those inside quoted strings.
fn directives(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field);
    // If one quotation mark has no partner, no later one has, since escapes mean the same to both.
    let mut quotes = true;
    std::iter::from_fn(move || {
        let text = rest?;
        let mut at = 0;
        while at < text.len() && text[at] != b',' {
            let opens = quotes && text[at] == b'"' && text[..at].trim_ascii_end().ends_with(b"=");
            at += match opens.then(|| quoted_len(&text[at..])) {
                Some(Some(len)) => len,
                // It is an ordinary character, so that it hides none of the directives after it.
                Some(None) => {
                    quotes = false;
                    1
                }
                None => 1,
            };
        }
        rest = text.get(at + 1..);
        Some(&text[..at])
    })
}

/// The length of the quoted string that `text` begins with, including quotation marks; `None` if
/// it has no end.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(fields: &[&str]) -> CacheControl {
        CacheControl::parse(fields.iter().map(|field| field.as_bytes()))
    }

    fn split(field: &str) -> Vec<&str> {
        directives(field.as_bytes())
            .map(|directive| std::str::from_utf8(directive).unwrap())
            .collect()
    }

    #[test]
    fn commas_inside_quoted_strings_do_not_split() {
        assert_eq!(split(""), [""]);
        assert_eq!(split("a,b , c"), ["a", "b ", " c"]);
        assert_eq!(split("a=\"b,c\",d"), ["a=\"b,c\"", "d"]);
        assert_eq!(split("a= \"b\\\",c\",d"), ["a= \"b\\\",c\"", "d"]);
        assert_eq!(split("a=\"\\\\\",b"), ["a=\"\\\\\"", "b"]);
    }

    #[test]
    fn a_quotation_mark_without_a_partner_hides_nothing() {
        assert_eq!(split("a=\"b,no-store"), ["a=\"b", "no-store"]);
        assert_eq!(split("a=\"b,c=\\\"d,e"), ["a=\"b", "c=\\\"d", "e"]);
        assert_eq!(split("a=\"b,c\\"), ["a=\"b", "c\\"]);
        // A quoted string begins only after an equals sign.
        assert_eq!(split("a\"b,no-store\""), ["a\"b", "no-store\""]);
        assert!(parse(&["x=\"", "no-store, y=\"z\""]).no_store);
    }

    #[test]
    fn names_are_read_in_any_case_and_either_form() {
        for field in ["no-store", "NO-Store", "Private", "private=\"set-cookie\""] {
            assert!(parse(&[field]).no_store, "{field}");
        }
        for field in ["no-cache", "No-Cache=\"set-cookie, x\"", "no-cache =x"] {
            assert!(parse(&[field]).no_cache, "{field}");
        }
        for field in ["must-revalidate", "Proxy-Revalidate"] {
            assert!(parse(&[field]).must_revalidate, "{field}");
        }
    }

    #[test]
    fn what_is_not_known_is_ignored() {
        let field = "public, immutable, no-transform, must-understand, x-max-age=5, no-stores, \
                     community=\"no-store, max-age=1\", =, ,, \"";
        assert_eq!(parse(&[field, ""]), CacheControl::default());
    }

    #[test]
    fn a_number_is_a_number_or_zero() {
        for (argument, seconds) in [
            ("=60", 60),
            ("=\"60\"", 60),
            (" = 60 ", 60),
            ("=0060", 60),
            ("=2147483647", MAX_SECONDS),
            ("=2147483648", MAX_SECONDS),
            ("=99999999999999999999999999", MAX_SECONDS),
            ("", 0),
            ("=", 0),
            ("=\"\"", 0),
            ("=\"", 0),
            ("=\"60", 0),
            ("=60\"", 0),
            ("='60'", 0),
            ("=-1", 0),
            ("=+1", 0),
            ("=1.5", 0),
            ("=1e3", 0),
            ("=60s", 0),
            ("=6 0", 0),
            ("=soon", 0),
            ("=\u{0661}", 0),
        ] {
            let read = parse(&[&format!("Max-Age{argument}")]);
            assert_eq!(read.max_age, Some(seconds), "{argument}");
            let read = parse(&[&format!("stale-if-error{argument}")]);
            assert_eq!(read.stale_if_error, Some(seconds), "{argument}");
        }
    }

    #[test]
    fn of_several_the_smallest_counts() {
        assert_eq!(parse(&["max-age=60, max-age=30"]).max_age, Some(30));
        assert_eq!(parse(&["max-age=30", "max-age=60"]).max_age, Some(30));
        assert_eq!(parse(&["max-age=30, max-age=x"]).max_age, Some(0));
        let mixed = parse(&["s-maxage=9, max-age=8", "stale-while-revalidate=7"]);
        assert_eq!(mixed.s_maxage, Some(9));
        assert_eq!(mixed.max_age, Some(8));
        assert_eq!(mixed.stale_while_revalidate, Some(7));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(fields in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
            CacheControl::parse(fields.iter().map(Vec::as_slice));
        }

        /// Of the bytes that matter, and so with many quotation marks and escapes.
        #[test]
        fn no_bytes_are_lost(field in "[a=,\"\\\\ ]{0,40}") {
            let pieces: Vec<_> = directives(field.as_bytes()).collect();
            prop_assert_eq!(pieces.join(&b','), field.as_bytes());
        }

        #[test]
        fn nothing_before_it_that_is_whole_hides_a_directive(
            before in prop::collection::vec("[a-z]{1,5}(=([0-9a-z]{1,5}|\"([^\"\\\\]|\\\\.){0,9}\"))?", 0..4),
        ) {
            let field = format!("{},no-store", before.join(", "));
            prop_assert!(parse(&[&field]).no_store, "{}", field);
        }
    }
}
