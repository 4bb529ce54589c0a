//! The text of a query: where it ends, and where its parameters are.
//!
//! It parses only enough of SQL to distinguish a parameter or a semicolon from the same character
//! in a string, a quoted name or a comment.

use std::ops::Range;

/// The SQL dialect of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    Postgres,
    #[cfg_attr(not(feature = "mysql"), allow(dead_code))]
    Mysql,
}

/// One statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Without a semicolon at its end.
    pub(crate) text: String,
    /// Where its numbered parameters (`$1`) are, and their numbers.
    pub(crate) parameters: Vec<(Range<usize>, u32)>,
}

impl Statement {
    /// The statement in a text. `Err` means that it has none, or several.
    pub(crate) fn read(text: &str, flavour: Flavour) -> Result<Self, String> {
        let mut reader = Reader {
            bytes: text.as_bytes(),
            at: 0,
            flavour,
        };
        let mut parameters = Vec::new();
        let mut end = None;
        let mut is_empty = true;
        while let Some((token, range)) = reader.next() {
            match (token, end) {
                (Token::Blank, _) => {}
                (Token::Semicolon, None) => end = Some(range.start),
                (Token::Semicolon, Some(_)) => {}
                (_, Some(_)) => return Err("it holds more than one statement".to_owned()),
                (Token::Parameter(number), None) => {
                    is_empty = false;
                    parameters.push((range, number));
                }
                (Token::Other, None) => is_empty = false,
            }
        }
        if is_empty {
            return Err("it holds no statement".to_owned());
        }
        Ok(Self {
            text: text[..end.unwrap_or(text.len())].to_owned(),
            parameters,
        })
    }

    /// The text with something else in place of each parameter.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    pub(crate) fn with(&self, in_place: &str) -> String {
        let mut text = String::with_capacity(self.text.len());
        let mut from = 0;
        for (range, _) in &self.parameters {
            text.push_str(&self.text[from..range.start]);
            text.push_str(in_place);
            from = range.end;
        }
        text.push_str(&self.text[from..]);
        text
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// White space or a comment.
    Blank,
    Semicolon,
    Parameter(u32),
    Other,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    flavour: Flavour,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<(Token, Range<usize>)> {
        let from = self.at;
        let token = self.token()?;
        Some((token, from..self.at))
    }

    fn token(&mut self) -> Option<Token> {
        let first = *self.bytes.get(self.at)?;
        let is_postgres = self.flavour == Flavour::Postgres;
        Some(match first {
            b if is_blank(b) => self.skip(1, Token::Blank),
            b';' => self.skip(1, Token::Semicolon),
            b'-' if self.starts_comment() => self.line_comment(),
            b'#' if !is_postgres => self.line_comment(),
            b'/' if self.ahead(1) == Some(b'*') => self.block_comment(),
            b'\'' => self.quoted(b'\'', !is_postgres),
            b'"' => self.quoted(b'"', !is_postgres),
            b'`' if !is_postgres => self.quoted(b'`', false),
            b'e' | b'E' if is_postgres && self.ahead(1) == Some(b'\'') => {
                self.at += 1;
                self.escape_string()
            }
            b if starts_name(b) => self.name(),
            b'$' if is_postgres => self.dollar(),
            _ => self.skip(1, Token::Other),
        })
    }

    fn ahead(&self, by: usize) -> Option<u8> {
        self.bytes.get(self.at + by).copied()
    }

    fn skip(&mut self, by: usize, token: Token) -> Token {
        self.at = self.bytes.len().min(self.at + by);
        token
    }

    fn skip_while(&mut self, holds: impl Fn(u8) -> bool) {
        while self.ahead(0).is_some_and(&holds) {
            self.at += 1;
        }
    }

    /// `--`, which in MySQL needs white space after it: `5--3` is 8 there.
    fn starts_comment(&self) -> bool {
        let after = self.ahead(2);
        let counts = self.flavour == Flavour::Postgres
            || after.is_none_or(|b| b.is_ascii_whitespace() || b.is_ascii_control());
        self.ahead(1) == Some(b'-') && counts
    }

    fn line_comment(&mut self) -> Token {
        let is_postgres = self.flavour == Flavour::Postgres;
        self.skip_while(|b| b != b'\n' && !(is_postgres && b == b'\r'));
        Token::Blank
    }

    /// PostgreSQL's can hold others.
    fn block_comment(&mut self) -> Token {
        let mut depth = 0;
        while self.at < self.bytes.len() {
            match (self.ahead(0), self.ahead(1)) {
                (Some(b'/'), Some(b'*')) if depth == 0 || self.flavour == Flavour::Postgres => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        break;
                    }
                }
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.bytes.len());
        Token::Blank
    }

    /// A string or a quoted name. A quote that is doubled does not end it, which here reads as two
    /// strings with nothing between them.
    fn quoted(&mut self, quote: u8, has_escapes: bool) -> Token {
        self.at += 1;
        while let Some(b) = self.ahead(0) {
            self.at += 1;
            if b == quote {
                break;
            }
            if b == b'\\' && has_escapes {
                self.at += 1;
            }
        }
        self.skip(0, Token::Other)
    }

    /// `E'…'`. A quote that is doubled, or that follows a line break after the string, continues
    /// it, and escapes still count.
    fn escape_string(&mut self) -> Token {
        loop {
            self.quoted(b'\'', true);
            let end = self.at;
            let mut is_continued = self.ahead(0) == Some(b'\'');
            while let Some(b) = self.ahead(0) {
                if is_blank(b) {
                    is_continued |= matches!(b, b'\n' | b'\r');
                    self.at += 1;
                } else if b == b'-' && self.starts_comment() {
                    self.line_comment();
                } else {
                    break;
                }
            }
            if !is_continued || self.ahead(0) != Some(b'\'') {
                self.at = end;
                return Token::Other;
            }
        }
    }

    /// A name or a number with all of its characters: the `$1` of `a$1` is a part of the name.
    fn name(&mut self) -> Token {
        self.skip_while(|b| starts_name(b) || b.is_ascii_digit() || b == b'$');
        Token::Other
    }

    /// `$1`, or a string in dollar quotes: `$$…$$`, `$tag$…$tag$`.
    fn dollar(&mut self) -> Token {
        let from = self.at;
        self.at += 1;
        self.skip_while(|b| b.is_ascii_digit());
        let digits = &self.bytes[from + 1..self.at];
        if !digits.is_empty() {
            let number = std::str::from_utf8(digits)
                .ok()
                .and_then(|d| d.parse().ok());
            return Token::Parameter(number.unwrap_or(u32::MAX));
        }
        self.skip_while(|b| starts_name(b) || b.is_ascii_digit());
        if self.ahead(0) != Some(b'$') {
            return Token::Other;
        }
        self.at += 1;
        let tag = &self.bytes[from..self.at];
        let rest = &self.bytes[self.at..];
        let end = rest.windows(tag.len()).position(|window| window == tag);
        let len = end.map_or(rest.len(), |end| end + tag.len());
        self.skip(len, Token::Other)
    }
}

fn is_blank(b: u8) -> bool {
    // The vertical tab, too.
    b.is_ascii_whitespace() || b == 0x0B
}

fn starts_name(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || !b.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::Flavour::{Mysql, Postgres};
    use super::*;

    fn replaced(text: &str) -> String {
        Statement::read(text, Postgres).unwrap().with("K")
    }

    #[test]
    fn a_parameter_is_replaced_where_it_is_one() {
        for (text, expected) in [
            (
                "SELECT v FROM t WHERE k = $1",
                "SELECT v FROM t WHERE k = K",
            ),
            ("SELECT $1::text||$1", "SELECT K::text||K"),
            ("SELECT '$1', $1", "SELECT '$1', K"),
            ("SELECT 'it''s $1', $1", "SELECT 'it''s $1', K"),
            (r"SELECT 'a\', $1", r"SELECT 'a\', K"),
            (r"SELECT E'a\'$1', $1", r"SELECT E'a\'$1', K"),
            (r"SELECT e'\\', $1", r"SELECT e'\\', K"),
            (r"SELECT fe'a\', $1", r"SELECT fe'a\', K"),
            (
                r#"SELECT "$1" FROM t WHERE k=$1"#,
                r#"SELECT "$1" FROM t WHERE k=K"#,
            ),
            (r#"SELECT "a""$1", $1"#, r#"SELECT "a""$1", K"#),
            ("SELECT $$ $1 $$, $1", "SELECT $$ $1 $$, K"),
            (
                "SELECT $a$ $1 $$ $b$ $a$, $1",
                "SELECT $a$ $1 $$ $b$ $a$, K",
            ),
            ("SELECT $ä1$ $1 $ä1$, $1", "SELECT $ä1$ $1 $ä1$, K"),
            ("SELECT -- $1\n $1", "SELECT -- $1\n K"),
            ("SELECT -- $1\r $1", "SELECT -- $1\r K"),
            (r"SELECT E'a''\'$1', $1", r"SELECT E'a''\'$1', K"),
            ("SELECT E'a' \n '\\'$1', $1", "SELECT E'a' \n '\\'$1', K"),
            (
                "SELECT E'a' -- it's\r'\\'$1', $1",
                "SELECT E'a' -- it's\r'\\'$1', K",
            ),
            ("SELECT E'a'\n, '\\', $1", "SELECT E'a'\n, '\\', K"),
            ("SELECT E'a' '\\', $1", "SELECT E'a' '\\', K"),
            (
                "SELECT /* $1 /* $1 */ $1 */ $1",
                "SELECT /* $1 /* $1 */ $1 */ K",
            ),
            ("SELECT a$1, $1", "SELECT a$1, K"),
            ("SELECT 1+$1", "SELECT 1+K"),
            ("SELECT ($1)", "SELECT (K)"),
            ("SELECT '数' || $1", "SELECT '数' || K"),
        ] {
            assert_eq!(replaced(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_of_parameters_are_read_whole() {
        let numbers = |text| -> Vec<u32> {
            let statement = Statement::read(text, Postgres).unwrap();
            statement
                .parameters
                .iter()
                .map(|(_, number)| *number)
                .collect()
        };
        assert_eq!(numbers("SELECT $1, $10, $2"), [1, 10, 2]);
        assert_eq!(numbers("SELECT $99999999999"), [u32::MAX]);
        assert_eq!(numbers("SELECT 1"), [0; 0]);
    }

    #[test]
    fn a_semicolon_at_the_end_is_dropped_and_a_second_statement_refused() {
        for flavour in [Postgres, Mysql] {
            for (text, expected) in [
                ("SELECT 1", "SELECT 1"),
                ("SELECT 1;", "SELECT 1"),
                ("SELECT 1 ; ;\n ", "SELECT 1 "),
                ("SELECT 1; -- done;", "SELECT 1"),
                ("SELECT 1; /* ; */ ", "SELECT 1"),
                ("SELECT ';' -- a;b", "SELECT ';' -- a;b"),
                ("SELECT 1 /* ; */", "SELECT 1 /* ; */"),
                ("SELECT 'a'';b'", "SELECT 'a'';b'"),
                ("SELECT 'open;", "SELECT 'open;"),
                ("SELECT 1 /* open;", "SELECT 1 /* open;"),
            ] {
                let read = Statement::read(text, flavour).unwrap();
                assert_eq!(read.text, expected, "{flavour:?} {text}");
            }
            for text in ["SELECT 1; SELECT 2", "SELECT 1; DROP TABLE t;", ";SELECT 1"] {
                let error = Statement::read(text, flavour).unwrap_err();
                assert!(
                    error.contains("more than one"),
                    "{flavour:?} {text}: {error}"
                );
            }
            for text in ["", " ; ", "-- nothing", "/* nothing */;"] {
                let error = Statement::read(text, flavour).unwrap_err();
                assert!(
                    error.contains("no statement"),
                    "{flavour:?} {text}: {error}"
                );
            }
        }
    }

    #[test]
    fn each_flavour_has_its_own_quotes_and_comments() {
        let is_one = |text, flavour| Statement::read(text, flavour).is_ok();
        for (text, in_postgres, in_mysql) in [
            ("SELECT `;` FROM t", false, true),
            ("SELECT 1 # ; SELECT 2", false, true),
            ("SELECT 5--3;\n SELECT 2", true, false),
            (r"SELECT 'a\';b'", false, true),
            (r#"SELECT "a\";b""#, false, true),
            ("SELECT /* /* */ 1; SELECT 2 */", true, false),
            ("SELECT $$;x$$", true, false),
        ] {
            assert_eq!(is_one(text, Postgres), in_postgres, "postgres: {text}");
            assert_eq!(is_one(text, Mysql), in_mysql, "mysql: {text}");
        }
    }
}
