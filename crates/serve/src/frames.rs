/// What a client sends before anything else on HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEAD: usize = 9;

/// Follows what a client sends and counts the HTTP/2 frames that cost this side work and carry no
/// part of a request.
///
/// `h2` bounds resets, headers and their continuations, and data in small frames or empty ones. It
/// answers each `PING` and each `SETTINGS`, and skips each `PRIORITY`, `WINDOW_UPDATE` and frame
/// of an unknown type, without a limit.
#[derive(Debug)]
pub(crate) enum Frames {
    /// That many bytes of the preface have arrived.
    Preface(usize),
    /// Not HTTP/2.
    Other,
    /// In a frame's head, or before one.
    Head { bytes: [u8; HEAD], have: usize },
    /// That many bytes of a payload have yet to arrive.
    Payload(usize),
}

/// What some bytes contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The connection speaks HTTP/2, of which it has sent the preface.
    pub(crate) http2: bool,
    /// One for each frame that is not a request's, and for each KiB of it.
    pub(crate) cost: u32,
}

impl Frames {
    const NEXT: Self = Self::Head {
        bytes: [0; HEAD],
        have: 0,
    };

    /// The next bytes that a client has sent.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Seen {
        let mut cost = 0_u32;
        while !bytes.is_empty() {
            match self {
                Self::Other => break,
                Self::Preface(have) => {
                    let rest = PREFACE.get(*have..).unwrap_or_default();
                    let taken = rest.len().min(bytes.len());
                    let (head, tail) = bytes.split_at(taken);
                    if !rest.starts_with(head) {
                        *self = Self::Other;
                    } else if taken == rest.len() {
                        *self = Self::NEXT;
                    } else {
                        *have += taken;
                    }
                    bytes = tail;
                }
                Self::Head { bytes: head, have } => {
                    let (_, free) = head.split_at_mut(*have);
                    let taken = free.len().min(bytes.len());
                    let (now, tail) = bytes.split_at(taken);
                    if let Some(free) = free.get_mut(..taken) {
                        free.copy_from_slice(now);
                    }
                    *have += taken;
                    bytes = tail;
                    if *have == HEAD {
                        let [l0, l1, l2, kind, ..] = *head;
                        let length = u32::from_be_bytes([0, l0, l1, l2]);
                        if is_overhead(kind) {
                            cost = cost.saturating_add(1 + length / 1_024);
                        }
                        *self = match usize::try_from(length) {
                            Ok(0) => Self::NEXT,
                            Ok(length) => Self::Payload(length),
                            Err(_) => Self::Other,
                        };
                    }
                }
                Self::Payload(left) => {
                    let taken = (*left).min(bytes.len());
                    bytes = bytes.split_at(taken).1;
                    *left -= taken;
                    if *left == 0 {
                        *self = Self::NEXT;
                    }
                }
            }
        }
        Seen {
            http2: matches!(self, Self::Head { .. } | Self::Payload(_)),
            cost,
        }
    }
}

/// All types except `DATA`, `HEADERS`, `PUSH_PROMISE` (an error) and `CONTINUATION`.
fn is_overhead(kind: u8) -> bool {
    !matches!(kind, 0 | 1 | 5 | 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [.., a, b, c] = length.to_be_bytes();
        let mut frame = vec![a, b, c, kind, 0, 0, 0, 0, 0];
        frame.resize(HEAD + length, 0);
        frame
    }

    fn read_in_parts(sent: &[u8], part: usize) -> Seen {
        let mut frames = Frames::Preface(0);
        let mut all = Seen::default();
        for bytes in sent.chunks(part) {
            let seen = frames.read(bytes);
            all = Seen {
                http2: seen.http2,
                cost: all.cost + seen.cost,
            };
        }
        all
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        // SETTINGS, HEADERS, DATA, PING, WINDOW_UPDATE, and one of an unknown type with 2 KiB.
        let frames = [(4, 0), (1, 300), (0, 16_384), (6, 8), (8, 4), (0xbe, 2_048)];
        let mut sent = PREFACE.to_vec();
        for (kind, length) in frames {
            sent.extend(frame(kind, length));
        }
        for part in [1, 2, 7, 8, 9, 10, 24, 25, 1_000, sent.len()] {
            let expected = Seen {
                http2: true,
                cost: 3 + 3,
            };
            assert_eq!(read_in_parts(&sent, part), expected, "parts of {part}");
        }
    }

    #[test]
    fn http1_is_left_alone() {
        for sent in ["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/1.1\r\n\r\n", "PRIX"] {
            for part in [1, 4, sent.len()] {
                assert_eq!(read_in_parts(sent.as_bytes(), part), Seen::default());
            }
        }
    }
}
