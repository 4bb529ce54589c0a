//! Messages of the server, as far as following needs them
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use bytes::{Buf as _, Bytes};

use crate::{PostgresError, ServerError};

/// One message.
#[derive(Debug)]
pub(crate) enum Message {
    Authentication {
        kind: u32,
        data: Bytes,
    },
    ReadyForQuery,
    DataRow(Bytes),
    Error(ServerError),
    Notification {
        channel: Bytes,
        payload: Bytes,
    },
    CopyBoth,
    CopyData(Bytes),
    /// The beginning of a `CopyData` that is too long to be kept, and its whole length.
    CopyDataCut {
        beginning: Bytes,
        length: usize,
    },
    /// A message that needs no reaction: notices, settings, descriptions.
    Other,
}

impl Message {
    /// From a whole message. `length` is that of its body, of which only the beginning may be
    /// here.
    pub(crate) fn parse(tag: u8, mut body: Bytes, length: usize) -> Result<Self, PostgresError> {
        let short = || PostgresError::protocol("a message that is too short");
        Ok(match tag {
            b'R' => Self::Authentication {
                kind: body.try_get_u32().map_err(|_| short())?,
                data: body,
            },
            b'Z' => Self::ReadyForQuery,
            b'D' => Self::DataRow(body),
            b'E' => Self::Error(error(&body)),
            b'A' => {
                body.try_get_i32().map_err(|_| short())?;
                let channel = text(&mut body).ok_or_else(short)?;
                let payload = text(&mut body).ok_or_else(short)?;
                Self::Notification { channel, payload }
            }
            b'W' => Self::CopyBoth,
            b'd' if body.len() < length => Self::CopyDataCut {
                beginning: body,
                length,
            },
            b'd' => Self::CopyData(body),
            _ => Self::Other,
        })
    }
}

/// A text up to its zero byte.
fn text(from: &mut Bytes) -> Option<Bytes> {
    let end = from.iter().position(|byte| *byte == 0)?;
    let text = from.split_to(end);
    from.advance(1);
    Some(text)
}

/// Each field is a letter and a text; a zero byte ends them.
fn error(body: &[u8]) -> ServerError {
    let mut error = ServerError {
        code: String::new(),
        message: String::new(),
    };
    for field in body.split(|byte| *byte == 0) {
        let Some((kind, text)) = field.split_first() else {
            break;
        };
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            b'C' => error.code = text,
            b'M' => error.message = text,
            _ => {}
        }
    }
    error
}

/// The columns of a `DataRow` in text.
pub(crate) fn columns(mut row: Bytes) -> Result<Vec<Option<String>>, PostgresError> {
    let short = || PostgresError::protocol("a row that is too short");
    let count = row.try_get_u16().map_err(|_| short())?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let length = row.try_get_i32().map_err(|_| short())?;
        let Ok(length) = usize::try_from(length) else {
            columns.push(None);
            continue;
        };
        if row.len() < length {
            return Err(short());
        }
        let text = row.split_to(length);
        columns.push(Some(String::from_utf8_lossy(&text).into_owned()));
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_error_is_its_code_and_its_sentence() {
        let body = b"SERROR\0VERROR\0C55006\0Mit is active\0\0";
        let Message::Error(error) =
            Message::parse(b'E', Bytes::from_static(body), body.len()).unwrap()
        else {
            panic!("no error");
        };
        assert_eq!(error.to_string(), "it is active (55006)");
    }

    #[test]
    fn a_row_has_texts_and_nulls() {
        let row = Bytes::from_static(b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0");
        let columns = columns(row).unwrap();
        assert_eq!(columns, [Some("ab".into()), None, Some(String::new())]);
    }

    proptest! {
        #[test]
        fn no_message_is_too_much(tag: u8, body: Vec<u8>, more in 0_usize..2) {
            let length = body.len() + more;
            let _ = Message::parse(tag, body.clone().into(), length);
            let _ = columns(body.into());
        }
    }
}
