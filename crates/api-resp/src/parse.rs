//! Requests: arrays of bulk strings, and inline commands, as Redis reads them.
//!
//! The parser works on what has arrived and allocates nothing for a request that is there as a
//! whole: it says where the arguments lie. What it has learnt of an incomplete request it keeps,
//! so that a request that comes in small pieces is scanned once.

use std::fmt;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// The longest line: an inline command, or the length of an array or a bulk string.
pub(crate) const MAX_LINE: usize = 64 << 10;

/// The most arguments, and the longest one, before a client is authenticated: as with Redis.
const STRANGER_ARGUMENTS: u32 = 10;
const STRANGER_BYTES: u32 = 16 << 10;

/// The most bytes of a request that is there in part, before a client is authenticated. They are
/// fewer than those from which on a request draws on the budget of bytes in flight.
pub(crate) const STRANGER_REQUEST: u32 = 24 << 10;

/// What a request may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) arguments: u32,
    /// Of the whole request.
    pub(crate) bytes: u32,
    /// Whether the client may send more than is needed to authenticate.
    pub(crate) known: bool,
}

/// Why the bytes are no request. The connection cannot go on: nobody knows where the next one
/// begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    ArrayLength,
    StrangerArrayLength,
    BulkLength,
    StrangerBulkLength,
    NoBulk(u8),
    LongArrayLength,
    LongBulkLength,
    LongInline,
    Quotes,
    TooLarge(u32),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArrayLength => f.write_str("invalid multibulk length"),
            Self::StrangerArrayLength => f.write_str("unauthenticated multibulk length"),
            Self::BulkLength => f.write_str("invalid bulk length"),
            Self::StrangerBulkLength => f.write_str("unauthenticated bulk length"),
            Self::NoBulk(got) => write!(f, "expected '$', got '{}'", char::from(*got)),
            Self::LongArrayLength => f.write_str("too big mbulk count string"),
            Self::LongBulkLength => f.write_str("too big bulk count string"),
            Self::LongInline => f.write_str("too big inline request"),
            Self::Quotes => f.write_str("unbalanced quotes in request"),
            Self::TooLarge(limit) => write!(f, "a request of more than {limit} bytes"),
        }
    }
}

/// What there is at the start of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A request: [`Parser::args`] has its arguments, one at least.
    Request,
    /// An empty line or an empty array, which is answered by nothing.
    Nothing,
    /// The start of a request.
    Incomplete,
}

/// Where the arguments of a request lie.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    args: Vec<Range<u32>>,
    /// The arguments of an inline command, whose quotes and escapes are resolved.
    inline: Vec<u8>,
    is_inline: bool,
    /// Arguments that are yet to come; 0 before the array's length is known.
    left: u32,
    /// The length of the argument that is being read.
    bulk: Option<u32>,
    /// How far the request has been read.
    at: usize,
}

/// The arguments of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Args<'a> {
    bytes: &'a [u8],
    at: &'a [Range<u32>],
}

impl<'a> Args<'a> {
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    /// An argument; empty where there is none.
    #[inline]
    pub(crate) fn get(&self, n: usize) -> &'a [u8] {
        self.at.get(n).map_or(&[], |at| slice(self.bytes, at))
    }

    pub(crate) fn from(&self, n: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        let at = self.at.get(n..).unwrap_or_default();
        at.iter().map(move |at| slice(bytes, at))
    }
}

#[inline]
fn slice<'a>(bytes: &'a [u8], at: &Range<u32>) -> &'a [u8] {
    bytes
        .get(at.start as usize..at.end as usize)
        .unwrap_or_default()
}

/// A number in a line of its own.
enum Line {
    /// It, and where the next line begins.
    Number(i64, usize),
    Incomplete,
    Long,
    Bad,
}

/// A `GET` of one key in the form that clients send it in, at the start of the bytes and there as
/// a whole: the key, and how many bytes the request takes. These are most of all requests, so that
/// this saves the general way of [`Parser`], which has the same answer to them. `None` says
/// nothing of the bytes.
#[inline]
pub(crate) fn plain_get(input: &[u8]) -> Option<(&[u8], usize)> {
    const UPPER: &[u8; 14] = b"*2\r\n$3\r\nGET\r\n$";
    const LOWER: &[u8; 14] = b"*2\r\n$3\r\nget\r\n$";
    let (head, rest) = input.split_first_chunk()?;
    if head != UPPER && head != LOWER {
        return None;
    }
    let digit = |digit: u8| usize::from(digit - b'0');
    let (len, rest, digits) = match rest {
        [a @ b'0'..=b'9', b'\r', b'\n', rest @ ..] => (digit(*a), rest, 1),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', rest @ ..] => {
            (digit(*a) * 10 + digit(*b), rest, 2)
        }
        [
            a @ b'1'..=b'9',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            b'\r',
            b'\n',
            rest @ ..,
        ] => (digit(*a) * 100 + digit(*b) * 10 + digit(*c), rest, 3),
        _ => return None,
    };
    // Its last two bytes are there, and not looked at, as by the parser.
    rest.get(len..len + 2)?;
    let key = rest.get(..len)?;
    Some((key, UPPER.len() + digits + 2 + len + 2))
}

/// The most bytes of a request that [`plain_get`] takes.
pub(crate) const MAX_PLAIN: usize = 1024;

impl Parser {
    /// Goes on with `input`, which begins where the request does and has at least what it had at
    /// the last call.
    pub(crate) fn parse(&mut self, input: &[u8], limits: Limits) -> Result<Parsed, ProtocolError> {
        if self.left == 0 {
            match input.first() {
                None => return Ok(Parsed::Incomplete),
                Some(b'*') => {}
                Some(_) => return self.parse_inline(input, limits),
            }
            let (count, next) = match line(input, 1) {
                Line::Number(count, next) => (count, next),
                Line::Incomplete => return Ok(Parsed::Incomplete),
                Line::Long => return Err(ProtocolError::LongArrayLength),
                Line::Bad => return Err(ProtocolError::ArrayLength),
            };
            self.at = next;
            if count <= 0 {
                // As Redis has it, -7 is nothing, too.
                return Ok(Parsed::Nothing);
            }
            match u32::try_from(count) {
                Ok(count) if count <= limits.arguments => self.left = count,
                _ => return Err(ProtocolError::ArrayLength),
            }
            if !limits.known && self.left > STRANGER_ARGUMENTS {
                return Err(ProtocolError::StrangerArrayLength);
            }
        }
        while self.left > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => match self.bulk_length(input, limits)? {
                    Some(len) => len,
                    None => return Ok(Parsed::Incomplete),
                },
            };
            let end = self.at + len as usize;
            // Its last two bytes are not looked at, which is Redis' way, too.
            if input.len() < end + 2 {
                self.bulk = Some(len);
                return Ok(Parsed::Incomplete);
            }
            self.bulk = None;
            self.args.push(narrow(self.at)..narrow(end));
            self.at = end + 2;
            self.left -= 1;
        }
        Ok(Parsed::Request)
    }

    #[inline]
    fn bulk_length(&mut self, input: &[u8], limits: Limits) -> Result<Option<u32>, ProtocolError> {
        // As Redis has it, the line is there as a whole before its first byte is looked at.
        let dollar = match input.get(self.at) {
            Some(b'$') => 1,
            Some(_) => 0,
            None => return Ok(None),
        };
        let (len, next) = match line(input, self.at + dollar) {
            Line::Number(len, next) => (len, next),
            Line::Incomplete => return Ok(None),
            Line::Long => return Err(ProtocolError::LongBulkLength),
            Line::Bad => (-1, 0),
        };
        if dollar == 0 {
            let got = input.get(self.at).copied().unwrap_or_default();
            return Err(ProtocolError::NoBulk(got));
        }
        let len = match u32::try_from(len) {
            Ok(len) if len <= limits.bytes => len,
            _ => return Err(ProtocolError::BulkLength),
        };
        if !limits.known && len > STRANGER_BYTES {
            return Err(ProtocolError::StrangerBulkLength);
        }
        if next + len as usize + 2 > limits.bytes as usize + MAX_LINE {
            return Err(ProtocolError::TooLarge(limits.bytes));
        }
        self.at = next;
        Ok(Some(len))
    }

    fn parse_inline(&mut self, input: &[u8], limits: Limits) -> Result<Parsed, ProtocolError> {
        let seen = self.at.min(input.len());
        let Some(end) = input.iter().skip(seen).position(|b| *b == b'\n') else {
            if input.len() > MAX_LINE {
                return Err(ProtocolError::LongInline);
            }
            self.at = input.len();
            return Ok(Parsed::Incomplete);
        };
        let end = seen + end;
        let line = input.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_LINE {
            return Err(ProtocolError::LongInline);
        }
        self.at = end + 1;
        self.is_inline = true;
        split(line, &mut self.inline, &mut self.args)?;
        match self.args.len() {
            0 => Ok(Parsed::Nothing),
            n if n > limits.arguments as usize => Err(ProtocolError::ArrayLength),
            _ => Ok(Parsed::Request),
        }
    }

    /// The arguments of the request that `input` begins with.
    #[inline]
    pub(crate) fn args<'a>(&'a self, input: &'a [u8]) -> Args<'a> {
        let bytes = if self.is_inline { &self.inline } else { input };
        Args {
            bytes,
            at: &self.args,
        }
    }

    /// Whether it has begun no request whose arguments follow.
    #[inline]
    pub(crate) fn is_at_start(&self) -> bool {
        self.left == 0
    }

    /// How many bytes the request takes, once it is there.
    pub(crate) fn consumed(&self) -> usize {
        self.at
    }

    /// How many bytes the request takes at least, by what is known of it.
    pub(crate) fn stated(&self) -> usize {
        self.at + self.bulk.map_or(0, |len| len as usize + 2)
    }

    /// Makes ready for the next request.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.args.clear();
        if self.is_inline {
            self.inline.clear();
            self.is_inline = false;
        }
        self.left = 0;
        self.bulk = None;
        self.at = 0;
    }

    /// Whether it takes little memory.
    pub(crate) fn is_small(&self) -> bool {
        self.args.capacity() <= 1024 && self.inline.capacity() <= 4096
    }
}

/// Positions are within a request, whose limit is a `u32`.
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The number from `at` to the end of its line.
#[inline]
fn line(input: &[u8], at: usize) -> Line {
    // Nearly every number has a few digits.
    let digits = input.get(at..).unwrap_or_default();
    let mut number = 0;
    for (n, digit) in digits.iter().take(9).enumerate() {
        match digit {
            b'0'..=b'9' if number > 0 || n == 0 => {
                number = number * 10 + i64::from(*digit - b'0');
            }
            b'\r' if n > 0 => {
                if digits.len() < n + 2 {
                    return Line::Incomplete;
                }
                return Line::Number(number, at + n + 2);
            }
            _ => break,
        }
    }
    long_line(digits, at)
}

#[cold]
fn long_line(digits: &[u8], at: usize) -> Line {
    let Some(end) = digits.iter().position(|b| *b == b'\r') else {
        return match digits.len() > MAX_LINE {
            true => Line::Long,
            false => Line::Incomplete,
        };
    };
    if digits.len() < end + 2 {
        return Line::Incomplete;
    }
    match integer(digits.get(..end).unwrap_or_default()) {
        Some(number) => Line::Number(number, at + end + 2),
        None => Line::Bad,
    }
}

/// A number as Redis takes one: in its only spelling.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let first = digits.first()?;
    let is_only = first.is_ascii_digit() && (*first != b'0' || text == b"0");
    if !is_only || digits.len() > 19 {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The words of an inline command. A word may be in quotes: in double ones `\n`, `\r`, `\t`, `\b`,
/// `\a` and `\xFF` stand for what they do in C, in single ones `\'` for a quote.
fn split(
    line: &[u8],
    words: &mut Vec<u8>,
    args: &mut Vec<Range<u32>>,
) -> Result<(), ProtocolError> {
    let is_space = |b: u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && is_space(*first)
        {
            rest = tail;
        }
        // Redis' lines end at a NUL.
        if matches!(rest, [] | [0, ..]) {
            return Ok(());
        }
        let start = words.len();
        // Plain until a quote opens.
        let mut quote = None;
        loop {
            match (quote, rest) {
                (None, [] | [0, ..]) => break,
                (None, [b, ..]) if is_space(*b) => break,
                (None, [q @ (b'"' | b'\''), tail @ ..]) => {
                    quote = Some(*q);
                    rest = tail;
                }
                (None, [b, tail @ ..]) => {
                    words.push(*b);
                    rest = tail;
                }
                (Some(_), [] | [0, ..]) => return Err(ProtocolError::Quotes),
                (Some(b'"'), [b'\\', b'x', high, low, tail @ ..])
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    words.push(nibble(*high) << 4 | nibble(*low));
                    rest = tail;
                }
                (Some(b'"'), [b'\\', escaped, tail @ ..]) if *escaped != 0 => {
                    words.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 0x08,
                        b'a' => 0x07,
                        other => *other,
                    });
                    rest = tail;
                }
                (Some(b'\''), [b'\\', b'\'', tail @ ..]) => {
                    words.push(b'\'');
                    rest = tail;
                }
                (Some(open), [b, tail @ ..]) if *b == open => {
                    // A closing quote ends the word.
                    if tail.first().is_some_and(|b| !is_space(*b) && *b != 0) {
                        return Err(ProtocolError::Quotes);
                    }
                    rest = tail;
                    break;
                }
                (Some(_), [b, tail @ ..]) => {
                    words.push(*b);
                    rest = tail;
                }
            }
        }
        args.push(narrow(start)..narrow(words.len()));
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}
