use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    arguments: 1000,
    bytes: 1 << 20,
    known: true,
};

/// All requests, and how it ends: with an error, or with so many bytes that are incomplete.
type Read = (Vec<Vec<Vec<u8>>>, Result<usize, ProtocolError>);

/// Reads input that comes in these pieces, as a connection does.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: Limits) -> Read {
    let (mut parser, mut input, mut requests) = (Parser::default(), Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match parser.parse(&input, limits) {
                Ok(Parsed::Incomplete) => break,
                Ok(parsed) => {
                    if parsed == Parsed::Request {
                        let args = parser.args(&input);
                        assert_eq!(args.from(0).count(), args.len());
                        requests.push(args.from(0).map(<[u8]>::to_vec).collect());
                    }
                    assert!(parser.consumed() > 0 && parser.consumed() <= input.len());
                    input.drain(..parser.consumed());
                    parser.reset();
                }
                Err(error) => return (requests, Err(error)),
            }
        }
    }
    (requests, Ok(input.len()))
}

fn whole(input: &[u8]) -> Read {
    read([input], LIMITS)
}

fn words(input: &str) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let (mut requests, end) = whole(input.as_bytes());
    end?;
    Ok(requests.pop().unwrap_or_default())
}

fn encode(request: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", request.len()).into_bytes();
    for arg in request {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A parser that is slow and plain: what Redis' documentation says of arrays of bulk strings.
fn model(mut input: &[u8]) -> Read {
    fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
        let end = input.iter().position(|b| *b == b'\r')?;
        (input.len() > end + 1).then(|| (&input[..end], &input[end + 2..]))
    }
    let mut requests = Vec::new();
    'requests: loop {
        let Some(b'*') = input.first() else {
            return (requests, Ok(input.len()));
        };
        let Some((count, mut rest)) = line(&input[1..]) else {
            return (requests, Ok(input.len()));
        };
        let Some(count) = integer(count).filter(|n| *n <= 1000) else {
            return (requests, Err(ProtocolError::ArrayLength));
        };
        let mut request = Vec::new();
        for _ in 0..count.max(0) {
            let first = rest.first().copied();
            let Some((len, after)) = line(rest) else {
                return (requests, Ok(input.len()));
            };
            if first != Some(b'$') {
                return (requests, Err(ProtocolError::NoBulk(first.unwrap())));
            }
            let len = integer(&len[1..]).filter(|n| (0..=1 << 20).contains(n));
            let Some(len) = len.map(|len| usize::try_from(len).unwrap()) else {
                return (requests, Err(ProtocolError::BulkLength));
            };
            if after.len() < len + 2 {
                return (requests, Ok(input.len()));
            }
            request.push(after[..len].to_vec());
            rest = &after[len + 2..];
        }
        input = rest;
        if count > 0 {
            requests.push(request);
        }
        if input.is_empty() {
            break 'requests;
        }
    }
    (requests, Ok(0))
}

fn requests() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let arg = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(prop::collection::vec(arg, 1..6), 1..5)
}

proptest! {
    #[test]
    fn what_is_written_is_read(requests in requests()) {
        let input: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        prop_assert_eq!(whole(&input), (requests, Ok(0)));
    }

    /// However the bytes are cut, the same is read: in two pieces at each place, and byte by byte.
    #[test]
    fn pieces_make_no_difference(requests in requests(), inline in "[ -~]{0,20}\r?\n") {
        let mut input: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        input.extend_from_slice(inline.as_bytes());
        input.extend_from_slice(&encode(&requests[0]));
        let expected = whole(&input);
        for cut in 0..=input.len() {
            let (a, b) = input.split_at(cut);
            prop_assert_eq!(&read([a, b], LIMITS), &expected, "cut at {}", cut);
        }
        prop_assert_eq!(&read(input.chunks(1), LIMITS), &expected);
    }

    /// Requests in which some bytes were changed, beside the model.
    #[test]
    fn broken_requests_are_what_the_model_says(
        requests in requests(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut input: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        for (at, byte) in changes {
            // Mostly bytes that mean something.
            let known = b"*$\r\n-+0123456789";
            let byte = known.get(usize::from(byte) / 8).copied().unwrap_or(byte);
            *at.get_mut(&mut input) = byte;
        }
        let (expected, end) = model(&input);
        let (got, got_end) = whole(&input);
        // The model ends where an inline command begins.
        prop_assert_eq!(&got[..expected.len().min(got.len())], &expected[..]);
        let is_inline = |left: usize| input[input.len() - left..].first().is_some_and(|b| *b != b'*');
        if !end.is_ok_and(is_inline) {
            prop_assert_eq!(got.len(), expected.len());
            prop_assert_eq!(got_end, end);
        }
    }

    /// No bytes make it panic, take more than there is, or read differently in pieces.
    #[test]
    fn any_bytes(input in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b"*$\r\n\"'\\x -0123456789".to_vec())],
        0..200,
    )) {
        let expected = whole(&input);
        prop_assert_eq!(read(input.chunks(1), LIMITS), expected);
    }
}

/// Random bytes among pieces of requests, from a fixed seed: more of them than proptest makes.
#[test]
fn mutations() {
    let pieces: [&[u8]; 12] = [
        b"*2\r\n$3\r\nGET\r\n$3\r\nTom\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"*",
        b"$",
        b"\r\n",
        b"GET \"a\\x41\" 'b'\r\n",
        b"-1",
        b"*0\r\n",
        b"$-1\r\n",
        b"99999999999999999999",
        b"\0",
        b"\n",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    for _ in 0..20_000 {
        let mut input = Vec::new();
        for _ in 0..random() % 8 {
            input.extend_from_slice(pieces[random() % pieces.len()]);
        }
        for _ in 0..random() % 3 {
            if !input.is_empty() {
                let at = random() % input.len();
                input[at] = u8::try_from(random() % 256).unwrap();
            }
        }
        let expected = whole(&input);
        let cut = random() % (input.len() + 1);
        let (a, b) = input.split_at(cut);
        assert_eq!(read([a, b], LIMITS), expected, "{input:?} at {cut}");
        assert_eq!(read(input.chunks(1), LIMITS), expected, "{input:?}");
    }
}

/// What is taken for a plain get is that get for the parser, too.
fn agrees(input: &[u8]) -> bool {
    let Some((key, len)) = plain_get(input) else {
        return false;
    };
    assert!(len <= MAX_PLAIN);
    let mut parser = Parser::default();
    assert_eq!(
        parser.parse(input, LIMITS),
        Ok(Parsed::Request),
        "{input:?}"
    );
    assert_eq!(parser.consumed(), len, "{input:?}");
    let args = parser.args(input);
    assert!(args.get(0).eq_ignore_ascii_case(b"get"), "{input:?}");
    assert_eq!((args.len(), args.get(1)), (2, key));
    true
}

#[test]
fn plain_gets_are_gets() {
    let get = |name: &[u8], len: usize| encode(&[name.to_vec(), vec![b'\r'; len]]);
    for len in 0..1100 {
        for name in [b"GET", b"get"] {
            let mut input = get(name, len);
            assert_eq!(agrees(&input), len < 1000, "{len}");
            assert!(!agrees(&input[..input.len() - 1]));
            input.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
            assert_eq!(agrees(&input), len < 1000, "{len}");
        }
    }
    for len in [0, 9, 10, 16, 99, 100, 999] {
        let input = get(b"GET", len);
        let followed = [&input[..], b"*2\r\n"].concat();
        for at in 0..input.len().min(40) {
            assert!(!agrees(&input[..at]));
            for byte in 0..=u8::MAX {
                let mut changed = followed.clone();
                changed[at] = byte;
                agrees(&changed);
            }
        }
    }
    for other in [
        "*2\r\n$3\r\nGeT\r\n$1\r\nk\r\n",
        "GET k\r\n",
        "*2\r\n$3\r\nGET\r\n$01\r\nk\r\n",
    ] {
        assert!(!agrees(other.as_bytes()), "{other}");
    }
}

#[test]
fn errors() {
    use ProtocolError as E;
    for (input, error) in [
        ("*x\r\n", E::ArrayLength),
        ("*1001\r\n", E::ArrayLength),
        ("* 1\r\n", E::ArrayLength),
        ("*+1\r\n", E::ArrayLength),
        ("*01\r\n", E::ArrayLength),
        ("*\r\n", E::ArrayLength),
        ("*1\r\nx\r\n", E::NoBulk(b'x')),
        ("*1\r\n*1\r\n", E::NoBulk(b'*')),
        ("*1\r\n\r\n", E::NoBulk(b'\r')),
        ("*1\r\n$-1\r\n", E::BulkLength),
        ("*1\r\n$2000000\r\n", E::BulkLength),
        ("*1\r\n$9223372036854775808\r\n", E::BulkLength),
        ("*1\r\n$\r\n", E::BulkLength),
        ("get \"a\r\n", E::Quotes),
        ("get 'a'b\r\n", E::Quotes),
        (
            "*2\r\n$1000000\r\n",
            E::TooLarge(1 << 20), // With the second one.
        ),
    ] {
        let mut input = input.as_bytes().to_vec();
        if error == E::TooLarge(1 << 20) {
            input.resize(input.len() + 1_000_002, b'.');
            input.extend_from_slice(b"$1000000\r\n");
        }
        assert_eq!(whole(&input).1, Err(error));
    }
    let long = vec![b'1'; MAX_LINE + 2];
    for (start, error) in [
        ("*", E::LongArrayLength),
        ("*1\r\n$", E::LongBulkLength),
        ("", E::LongInline),
    ] {
        let input = [start.as_bytes(), &long].concat();
        assert_eq!(whole(&input).1, Err(error), "{start}");
        assert!(whole(&input[..100]).1.is_ok());
    }
}

#[test]
fn strangers_may_send_little() {
    let limits = Limits {
        known: false,
        ..LIMITS
    };
    let read = |input: &str| read([input.as_bytes()], limits).1;
    assert_eq!(read("*11\r\n"), Err(ProtocolError::StrangerArrayLength));
    assert_eq!(
        read("*2\r\n$16385\r\n"),
        Err(ProtocolError::StrangerBulkLength)
    );
    assert_eq!(read("*10\r\n$16384\r\n"), Ok(13));
}

#[test]
fn inline_words() {
    let ok = |input: &str| {
        let words = words(input).unwrap();
        let words = words.iter().map(|word| String::from_utf8_lossy(word));
        words.collect::<Vec<_>>().join("|")
    };
    assert_eq!(ok("get Tom\r\n"), "get|Tom");
    assert_eq!(ok("get Tom\n"), "get|Tom");
    assert_eq!(ok("  set \t a  b \r\n"), "set|a|b");
    assert_eq!(ok("echo \"a b\\n\\x41\\q\\\"\"\r\n"), "echo|a b\nAq\"");
    assert_eq!(ok("echo 'a \\n \\'' \"\"\r\n"), "echo|a \\n '|");
    assert_eq!(ok("a\"b c\"\r\n"), "ab c");
    assert_eq!(ok("echo \"\\x4\"\r\n"), "echo|x4");
    assert_eq!(ok("\r\n"), "");
    assert_eq!(ok("   \r\n"), "");
}

#[test]
fn nothing_is_answered_by_nothing() {
    for input in ["\r\n", "\n", "*0\r\n", "*-1\r\n", "*-7\r\n"] {
        assert_eq!(whole(input.as_bytes()), (vec![], Ok(0)), "{input:?}");
    }
}

#[test]
fn integers_have_one_spelling() {
    for (text, number) in [
        ("0", Some(0)),
        ("-1", Some(-1)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-0", None),
        ("00", None),
        ("+1", None),
        (" 1", None),
        ("1 ", None),
        ("", None),
        ("-", None),
        ("1.0", None),
    ] {
        assert_eq!(integer(text.as_bytes()), number, "{text}");
    }
}
