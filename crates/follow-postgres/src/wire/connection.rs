//! Messages over a socket.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::message::{self, Message};
use super::{Target, login};
use crate::PostgresError;

pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A row of a query: its columns in text.
pub(crate) type Row = Vec<Option<String>>;

/// The most bytes that one read takes.
const CHUNK: usize = 64 << 10;
/// The bytes that are kept of a message that is too long.
const BEGINNING: usize = 256;
/// The most rows that a query may return.
const MOST_ROWS: usize = 10_000;

/// A connection that is logged in. What it has read or still has to write survives a future that
/// is dropped, so that each of its methods except [`query`](Self::query) is cancel-safe.
pub(crate) struct Connection {
    socket: Box<dyn Socket>,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// How many bytes of a message that was too long still have to be skipped.
    skip: usize,
    /// The longest body of a message that is kept.
    largest: usize,
}

impl Connection {
    /// Connects and logs in, within the limit. `settings` go into the start-up message.
    pub(crate) async fn open(
        target: &Target,
        settings: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Self, PostgresError> {
        let opened = tokio::time::timeout(limit, login::open(target, settings)).await;
        opened.map_err(|_| PostgresError::ConnectTimeout {
            server: target.to_string(),
            limit,
        })?
    }

    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        Self {
            socket,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            skip: 0,
            largest: 1 << 20,
        }
    }

    /// From now on, keeps messages of at most that many bytes. Of a longer `CopyData` only the
    /// beginning is returned; any other longer message is an error.
    pub(crate) fn keep_up_to(&mut self, largest: usize) {
        self.largest = largest.max(BEGINNING);
    }

    /// A message that has already arrived.
    pub(crate) fn buffered(&mut self) -> Result<Option<Message>, PostgresError> {
        let thrown = self.skip.min(self.incoming.len());
        self.incoming.advance(thrown);
        self.skip -= thrown;
        let Some((&tag, rest)) = self.incoming.split_first() else {
            return Ok(None);
        };
        let Some(length) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length);
        let length = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_sub(4))
            .ok_or_else(|| PostgresError::protocol("a message with an impossible length"))?;
        let kept = if length <= self.largest {
            length
        } else if tag == b'd' {
            BEGINNING
        } else {
            return Err(PostgresError::protocol(format!(
                "a message of {length} bytes"
            )));
        };
        if rest.len() < 4 + kept {
            return Ok(None);
        }
        self.incoming.advance(5);
        let body = self.incoming.split_to(kept).freeze();
        self.skip = length - kept;
        Message::parse(tag, body, length).map(Some)
    }

    /// Waits until more bytes have arrived, and reads them.
    pub(crate) async fn fill(&mut self) -> Result<(), PostgresError> {
        if self.incoming.is_empty() && self.incoming.capacity() > 16 * CHUNK {
            // The memory of a long message is freed.
            self.incoming = BytesMut::new();
        }
        self.incoming.reserve(CHUNK);
        let read = self.socket.read_buf(&mut self.incoming).await;
        match read.map_err(PostgresError::Broken)? {
            0 => Err(PostgresError::Closed),
            _ => Ok(()),
        }
    }

    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> Result<Message, PostgresError> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// The buffer for messages to the server. The next [`flush`](Self::flush) sends them.
    pub(crate) fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.outgoing
    }

    /// Sends the buffered messages.
    pub(crate) async fn flush(&mut self) -> Result<(), PostgresError> {
        while !self.outgoing.is_empty() {
            let written = self.socket.write_buf(&mut self.outgoing).await;
            if written.map_err(PostgresError::Broken)? == 0 {
                return Err(PostgresError::Closed);
            }
        }
        self.socket.flush().await.map_err(PostgresError::Broken)
    }

    /// Runs one statement and returns its rows. If the future is dropped, the connection cannot be
    /// used any more.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<Row>, PostgresError> {
        self.ask(sql)?;
        self.flush().await?;
        let mut rows = Vec::new();
        let mut failed = None;
        loop {
            match self.next().await? {
                Message::DataRow(_) if rows.len() == MOST_ROWS => {
                    return Err(PostgresError::protocol("more rows than were asked for"));
                }
                Message::DataRow(row) => rows.push(message::columns(row)?),
                Message::Error(error) => failed = Some(error),
                Message::ReadyForQuery => {
                    return failed.map_or(Ok(rows), |error| Err(PostgresError::Server(error)));
                }
                _ => {}
            }
        }
    }

    /// Adds a statement to the messages to send.
    pub(crate) fn ask(&mut self, sql: &str) -> Result<(), PostgresError> {
        frontend::query(sql, &mut self.outgoing).map_err(invalid)
    }

    /// Ends the session, and waits until the server has closed its side, within the limit.
    pub(crate) async fn end(mut self, limit: Duration) {
        frontend::terminate(&mut self.outgoing);
        let goodbye = async {
            self.flush().await?;
            loop {
                self.incoming.clear();
                self.fill().await?;
            }
        };
        // It ends with an error, since the server closes the connection.
        let ended: Result<Result<(), PostgresError>, _> =
            tokio::time::timeout(limit, goodbye).await;
        if let Ok(Err(error)) = ended {
            tracing::trace!(%error, "the connection has ended");
        }
    }
}

/// A message that cannot be written, such as a statement with a zero byte.
pub(super) fn invalid(error: io::Error) -> PostgresError {
    PostgresError::Unsendable(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag], &length.to_be_bytes()[..], body].concat()
    }

    #[tokio::test]
    async fn messages_come_whole_however_they_are_cut() {
        let all = [frame(b'd', b"one"), frame(b'Z', b"I"), frame(b'd', b"two")].concat();
        for cut in 0..all.len() {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            let mut connection = Connection::new(Box::new(ours));
            theirs.write_all(&all[..cut]).await.unwrap();
            let mut seen = Vec::new();
            while seen.len() < 3 {
                match connection.buffered().unwrap() {
                    Some(Message::CopyData(data)) => seen.push(data),
                    Some(Message::ReadyForQuery) => seen.push("ready".into()),
                    Some(other) => panic!("{other:?}"),
                    None => {
                        // A dropped wait loses nothing.
                        let waited = tokio::time::timeout(Duration::ZERO, connection.fill());
                        if waited.await.is_err() {
                            theirs.write_all(&all[cut..]).await.unwrap();
                        }
                    }
                }
            }
            assert_eq!(seen, ["one", "ready", "two"]);
        }
    }

    #[tokio::test]
    async fn of_what_is_too_long_the_beginning_is_kept() {
        let (ours, mut theirs) = tokio::io::duplex(100);
        let mut connection = Connection::new(Box::new(ours));
        connection.keep_up_to(1000);
        let long = [b"begins".as_slice(), &[7; 500_000]].concat();
        let all = [frame(b'd', &long), frame(b'd', b"short")].concat();
        let writer = tokio::spawn(async move { theirs.write_all(&all).await.map(|()| theirs) });
        let Message::CopyDataCut { beginning, length } = connection.next().await.unwrap() else {
            panic!("not cut");
        };
        assert!(beginning.starts_with(b"begins") && beginning.len() == BEGINNING);
        assert_eq!(length, long.len());
        let Message::CopyData(data) = connection.next().await.unwrap() else {
            panic!("not the next one");
        };
        assert_eq!(data, "short");
        assert!(connection.incoming.capacity() < 200_000);
        writer.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn another_message_must_not_be_long() {
        let (ours, mut theirs) = tokio::io::duplex(100);
        let mut connection = Connection::new(Box::new(ours));
        theirs.write_all(b"D\x7f\xff\xff\xff").await.unwrap();
        assert!(matches!(
            connection.next().await,
            Err(PostgresError::Protocol(_))
        ));
        let (ours, mut theirs) = tokio::io::duplex(100);
        let mut connection = Connection::new(Box::new(ours));
        theirs.write_all(b"D\0\0\0\x03").await.unwrap();
        assert!(matches!(
            connection.next().await,
            Err(PostgresError::Protocol(_))
        ));
    }
}
