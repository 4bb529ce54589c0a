//! Answers on their way to a client: small ones in one buffer, large values as they are.

use std::fmt::{self, Write as _};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gaggle_group::{ByteBudget, Hold, Reservation};
use tokio::io::AsyncWrite;

/// The version of the protocol that a client speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Proto {
    #[default]
    Two,
    Three,
}

/// Values in one call to the system.
const MAX_SLICES: usize = 64;

/// A buffer of this size is kept for the next client.
const KEPT: usize = 64 << 10;

/// The most characters of an error's text.
const MAX_ERROR: usize = 1024;

/// Which requests a client wants no answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// So many, with the one that is being answered.
    Next(u8),
    /// All, until it asks for answers.
    All,
}

#[derive(Debug, Default)]
pub(crate) struct Output {
    buf: Vec<u8>,
    /// Values that are not copied, each with its place in `buf`.
    values: Vec<Value>,
    values_len: usize,
    /// How much of `buf` is sent.
    sent: usize,
    /// The first of the values that is not sent as a whole, and how much of it is.
    next: usize,
    next_sent: usize,
    /// Whether the stream has bytes that it may keep: TLS has a buffer of its own.
    unflushed: bool,
    /// Errors that were written.
    pub(crate) errors: u64,
    /// For what is kept beyond the usual.
    pub(crate) room: Option<Room>,
    /// Whether the client wants no answers at the moment.
    muted: Option<Muted>,
}

/// Answers that are written from a place on and not sent.
#[derive(Debug)]
struct Muted {
    quiet: Quiet,
    buf: usize,
    values: usize,
    values_len: usize,
}

#[derive(Debug)]
struct Value {
    /// It is sent when so much of the buffer is.
    at: usize,
    bytes: Bytes,
    _hold: Option<Hold_>,
}

/// Counts until it is dropped. [`Hold`] and [`Reservation`] tell nothing of themselves.
pub(crate) struct Opaque<T>(T);

impl<T> fmt::Debug for Opaque<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

type Hold_ = Opaque<Hold>;
pub(crate) type Room = Opaque<Reservation>;

impl<T> Opaque<T> {
    pub(crate) fn new(of: T) -> Self {
        Self(of)
    }
}

impl Output {
    /// The bytes that wait.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.buf.len() - self.sent + self.values_len
    }

    /// Whether the stream has taken all of it and keeps none of it.
    pub(crate) fn is_sent(&self) -> bool {
        self.waiting() == 0 && !self.unflushed
    }

    /// Whether it has values that count as in flight.
    pub(crate) fn has_holds(&self) -> bool {
        self.next < self.values.len()
    }

    /// Reserves so much for what is kept until it is sent, if that is free.
    pub(crate) fn reserve(&mut self, budget: &ByteBudget, bytes: usize) -> bool {
        let bytes = bytes as u64;
        if self
            .room
            .as_ref()
            .is_some_and(|room| room.0.bytes() >= bytes)
        {
            return true;
        }
        let Some(room) = budget.try_reserve(bytes) else {
            return false;
        };
        self.room = Some(Opaque::new(room));
        true
    }

    /// Sends no answers to these requests.
    pub(crate) fn mute(&mut self, quiet: Quiet) {
        self.drop_muted();
        self.muted = Some(Muted {
            quiet,
            buf: self.buf.len(),
            values: self.values.len(),
            values_len: self.values_len,
        });
    }

    /// Sends what is written from now on. Returns which requests were to have no answers.
    pub(crate) fn unmute(&mut self) -> Option<Quiet> {
        self.drop_muted();
        self.muted.take().map(|muted| muted.quiet)
    }

    #[inline]
    pub(crate) fn quiet(&self) -> Option<Quiet> {
        self.muted.as_ref().map(|muted| muted.quiet)
    }

    /// A request is answered as a whole.
    #[inline]
    pub(crate) fn answered(&mut self) {
        if self.muted.is_some() {
            self.one_less();
        }
    }

    #[cold]
    fn one_less(&mut self) {
        match self.unmute() {
            None | Some(Quiet::Next(..2)) => {}
            Some(Quiet::Next(requests)) => self.mute(Quiet::Next(requests - 1)),
            Some(Quiet::All) => self.mute(Quiet::All),
        }
    }

    fn drop_muted(&mut self) {
        if let Some(muted) = &self.muted {
            self.buf.truncate(muted.buf);
            self.values.truncate(muted.values);
            self.values_len = muted.values_len;
        }
    }

    pub(crate) fn is_small(&self) -> bool {
        self.buf.capacity() <= KEPT && self.values.capacity() <= MAX_SLICES
    }

    pub(crate) fn raw(&mut self, text: &[u8]) {
        self.buf.extend_from_slice(text);
    }

    /// `+OK`.
    pub(crate) fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A status. It has no line end.
    pub(crate) fn simple(&mut self, text: &str) {
        self.buf.push(b'+');
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// An error, in one line whatever is in it.
    pub(crate) fn error(&mut self, text: impl fmt::Display) {
        self.errors += 1;
        self.buf.push(b'-');
        let mut line = Line {
            to: &mut self.buf,
            left: MAX_ERROR,
        };
        // It ends early where the text is too long.
        let _ = write!(line, "{text}");
        self.raw(b"\r\n");
    }

    /// An error whose text may be any bytes.
    pub(crate) fn error_bytes(&mut self, text: &[u8]) {
        self.errors += 1;
        self.buf.push(b'-');
        let clean = text.iter().take(MAX_ERROR);
        let clean = clean.map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b });
        self.buf.extend(clean);
        self.raw(b"\r\n");
    }

    pub(crate) fn int(&mut self, number: i64) {
        self.buf.push(b':');
        self.number(number);
    }

    #[inline]
    pub(crate) fn bulk(&mut self, bytes: &[u8]) {
        self.buf.reserve(bytes.len() + 32);
        self.line(b'$', bytes.len());
        self.buf.extend_from_slice(bytes);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// A bulk string that is sent from where it is.
    pub(crate) fn value(&mut self, bytes: Bytes, hold: Hold) {
        self.line(b'$', bytes.len());
        self.values_len += bytes.len();
        self.values.push(Value {
            at: self.buf.len(),
            bytes,
            _hold: Some(Opaque(hold)),
        });
        self.raw(b"\r\n");
    }

    /// There is no such thing.
    pub(crate) fn null(&mut self, proto: Proto) {
        self.raw(match proto {
            Proto::Two => b"$-1\r\n",
            Proto::Three => b"_\r\n",
        });
    }

    pub(crate) fn array(&mut self, len: usize) {
        self.line(b'*', len);
    }

    /// A map of so many pairs, which is an array of twice as many before version 3.
    pub(crate) fn map(&mut self, proto: Proto, pairs: usize) {
        match proto {
            Proto::Two => self.array(pairs * 2),
            Proto::Three => self.line(b'%', pairs),
        }
    }

    pub(crate) fn set(&mut self, proto: Proto, len: usize) {
        match proto {
            Proto::Two => self.array(len),
            Proto::Three => self.line(b'~', len),
        }
    }

    /// Text for people.
    pub(crate) fn verbatim(&mut self, proto: Proto, text: &str) {
        match proto {
            Proto::Two => self.bulk(text.as_bytes()),
            Proto::Three => {
                self.line(b'=', text.len() + 4);
                self.raw(b"txt:");
                self.raw(text.as_bytes());
                self.raw(b"\r\n");
            }
        }
    }

    /// A length behind a mark of its kind. Few have more than three digits.
    #[inline]
    fn line(&mut self, kind: u8, len: usize) {
        let digit = |of: u16| b'0' + u8::try_from(of).unwrap_or_default();
        let [cr, lf] = *b"\r\n";
        let buf = &mut self.buf;
        match u16::try_from(len) {
            Ok(n @ 0..10) => buf.extend_from_slice(&[kind, digit(n), cr, lf]),
            Ok(n @ 10..100) => {
                buf.extend_from_slice(&[kind, digit(n / 10), digit(n % 10), cr, lf]);
            }
            Ok(n @ 100..1000) => {
                let (tens, c) = (n / 10, n % 10);
                let (a, b) = (tens / 10, tens % 10);
                buf.extend_from_slice(&[kind, digit(a), digit(b), digit(c), cr, lf]);
            }
            _ => {
                buf.push(kind);
                self.number(i64::try_from(len).unwrap_or(i64::MAX));
            }
        }
    }

    fn number(&mut self, number: i64) {
        let mut text = [0; 22];
        let mut at = text.len() - 2;
        let mut rest = number.unsigned_abs();
        if let Some(end) = text.last_chunk_mut() {
            *end = *b"\r\n";
        }
        loop {
            at -= 1;
            let digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            if let Some(place) = text.get_mut(at) {
                *place = digit;
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            self.buf.push(b'-');
        }
        self.buf
            .extend_from_slice(text.get(at..).unwrap_or_default());
    }

    /// Sends what waits, and what the stream keeps.
    pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let quiet = self.unmute();
        let sent = self.poll_send(to, cx);
        if let Some(quiet) = quiet {
            self.mute(quiet);
        }
        sent
    }

    fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.waiting() > 0 {
            let sent = if self.values.is_empty() {
                let rest = self.buf.get(self.sent..).unwrap_or_default();
                Pin::new(&mut *to).poll_write(cx, rest)
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let filled = self.slices(&mut slices);
                let slices = slices.get(..filled).unwrap_or_default();
                Pin::new(&mut *to).poll_write_vectored(cx, slices)
            };
            let Poll::Ready(sent) = sent else {
                self.forget_sent();
                return Poll::Pending;
            };
            let sent = sent?;
            self.unflushed = true;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.has_sent(sent);
        }
        self.clear();
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Frees what is sent of answers that a client takes slowly. Less is moved than was sent.
    fn forget_sent(&mut self) {
        if self.sent < KEPT || self.sent < self.buf.len() / 2 {
            return;
        }
        self.buf.drain(..self.sent);
        self.values.drain(..self.next);
        for value in &mut self.values {
            value.at -= self.sent;
        }
        self.sent = 0;
        self.next = 0;
    }

    /// What is to be sent next, and how many slices that is.
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let mut from = self.sent;
        let mut skip = self.next_sent;
        let mut filled = 0;
        let mut add = |slice: &'a [u8]| match slices.get_mut(filled) {
            Some(place) if !slice.is_empty() => {
                *place = IoSlice::new(slice);
                filled += 1;
                true
            }
            place => place.is_some(),
        };
        for value in self.values.iter().skip(self.next) {
            let before = self.buf.get(from..value.at).unwrap_or_default();
            let rest = value.bytes.get(skip..).unwrap_or_default();
            if !add(before) || !add(rest) {
                return filled;
            }
            (from, skip) = (value.at, 0);
        }
        add(self.buf.get(from..).unwrap_or_default());
        filled
    }

    fn has_sent(&mut self, mut sent: usize) {
        while let Some(value) = self.values.get_mut(self.next) {
            let before = sent.min(value.at - self.sent);
            self.sent += before;
            sent -= before;
            if sent == 0 {
                return;
            }
            let rest = value.bytes.len() - self.next_sent;
            let of_it = sent.min(rest);
            self.next_sent += of_it;
            self.values_len -= of_it;
            sent -= of_it;
            if of_it < rest {
                return;
            }
            // It no longer counts as in flight.
            value.bytes = Bytes::new();
            value._hold = None;
            self.next += 1;
            self.next_sent = 0;
        }
        self.sent += sent;
    }

    fn clear(&mut self) {
        self.buf.clear();
        self.values.clear();
        self.values_len = 0;
        self.sent = 0;
        self.next = 0;
        self.next_sent = 0;
        self.room = None;
    }
}

/// Writes at most so many bytes, and no line ends.
struct Line<'a> {
    to: &'a mut Vec<u8>,
    left: usize,
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            let letter = if letter.is_control() { ' ' } else { letter };
            let len = letter.len_utf8();
            if len > self.left {
                self.left = 0;
                return Err(fmt::Error);
            }
            self.left -= len;
            self.to
                .extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gaggle_group::ByteBudget;
    use proptest::prelude::*;

    use super::*;

    /// Takes a few bytes at a time.
    struct Narrow(Vec<u8>, usize);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = buf.len().min(self.1);
            self.0.extend_from_slice(&buf[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            let taken = all.len().min(self.1);
            self.0.extend_from_slice(&all[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn values_and_text_arrive_in_order(
            lens in prop::collection::vec((any::<bool>(), 0_usize..100), 0..200),
            narrow in 1_usize..300,
        ) {
            let budget = ByteBudget::unlimited();
            let (mut output, mut expected) = (Output::default(), Vec::new());
            for (n, (shared, len)) in lens.into_iter().enumerate() {
                let value = Bytes::from(vec![b'a' + u8::try_from(n % 26).unwrap(); len]);
                expected.extend_from_slice(format!("${len}\r\n").as_bytes());
                expected.extend_from_slice(&value);
                expected.extend_from_slice(b"\r\n");
                if shared {
                    output.value(value.clone(), budget.try_hold(&value).unwrap());
                } else {
                    output.bulk(&value);
                }
            }
            prop_assert_eq!(output.waiting(), expected.len());
            let mut to = Narrow(Vec::new(), narrow);
            let mut cx = Context::from_waker(std::task::Waker::noop());
            prop_assert!(output.poll_flush(&mut to, &mut cx).is_ready());
            prop_assert_eq!(to.0, expected);
            prop_assert_eq!(output.waiting(), 0);
        }
    }

    #[test]
    fn lengths() {
        for len in (0..1100).chain([9_999, 100_000]) {
            let mut output = Output::default();
            output.bulk(&vec![b'x'; len]);
            let expected = format!("${len}\r\n{}\r\n", "x".repeat(len));
            assert_eq!(output.buf, expected.as_bytes(), "{len}");
        }
    }

    #[test]
    fn numbers_and_errors() {
        let mut output = Output::default();
        for number in [0, -1, 10, i64::MAX, i64::MIN] {
            output.int(number);
        }
        output.error(format_args!("ERR a\r\nb\u{7f}{}", "x".repeat(5000)));
        output.error_bytes(b"ERR \xff\n.");
        let text = String::from_utf8_lossy(&output.buf);
        assert!(text.starts_with(
            ":0\r\n:-1\r\n:10\r\n:9223372036854775807\r\n:-9223372036854775808\r\n-ERR a  b x"
        ));
        assert!(text.ends_with("x\r\n-ERR \u{fffd} .\r\n"));
        assert!(text.len() < 1200);
    }
}
