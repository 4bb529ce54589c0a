//! Following by LISTEN and NOTIFY.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_follow::{Batch, Change, Feed, FeedError, Opened, Position};
use tokio::time::{Instant, sleep_until};

use crate::names::{self, identifier};
use crate::options::NotifyOptions;
use crate::wire::{Connection, Message, Target};
use crate::{OptionsError, PostgresError};

/// The most bytes of keys in a batch.
const MOST_BYTES: usize = 256 << 10;
const GOODBYE: Duration = Duration::from_millis(500);
/// How long it may take to read an answer that arrived between two calls.
const UNREAD: Duration = Duration::from_secs(1);

/// Listens to a channel. A notice's payload is a key; an empty one means that everything may have
/// changed. Notices that were sent without a connection are lost, so each opening returns
/// `Opened::Missed`.
pub struct NotifyFeed {
    options: NotifyOptions,
    target: Target,
    channel: String,
    listening: Option<Listening>,
}

struct Listening {
    connection: Connection,
    changes: Vec<Change>,
    bytes: usize,
    /// When the connection is checked if nothing arrives.
    next_check: Instant,
    /// Until when the server has to answer a check.
    answer_by: Option<Instant>,
}

impl NotifyFeed {
    /// Checks the options. It connects when it is opened.
    ///
    /// # Errors
    ///
    /// If an option cannot be used: the URL, or the channel.
    pub fn new(options: NotifyOptions, group: &str) -> Result<Self, OptionsError> {
        let password = options.password.as_deref();
        let target = Target::parse(&options.url, password, options.ca.as_deref())?
            .of_group(group, options.password_file.as_deref())?;
        let channel = channel(&options.channel, group)?;
        if options.max_batch == 0 {
            return Err(OptionsError::new("max_batch", "expected 1 or more"));
        }
        if options.check_interval.is_zero() {
            return Err(OptionsError::new("check_interval", "expected more than 0"));
        }
        Ok(Self {
            options,
            target,
            channel,
            listening: None,
        })
    }

    /// The name of the channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }
}

/// The channel that the options name, or the one of the group.
pub(crate) fn channel(name: &str, group: &str) -> Result<String, OptionsError> {
    if name.is_empty() {
        return Ok(names::default_name(group));
    }
    names::check("channel", name)?;
    Ok(name.into())
}

impl Listening {
    fn is_full(&self, most: usize) -> bool {
        self.changes.len() >= most || self.bytes >= MOST_BYTES
    }

    fn take(&mut self, message: Message, channel: &str) -> Result<(), PostgresError> {
        match message {
            Message::Notification {
                channel: on,
                payload,
            } if on == channel.as_bytes() => self.add(&payload),
            Message::ReadyForQuery => self.answer_by = None,
            Message::Error(error) => return Err(PostgresError::Server(error)),
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, payload: &[u8]) {
        if payload.is_empty() {
            if self.changes.last() != Some(&Change::All) {
                self.changes.push(Change::All);
            }
            return;
        }
        self.bytes += payload.len();
        // A copy, since the payload lies in a larger buffer.
        self.changes
            .push(Change::Key(Bytes::copy_from_slice(payload)));
    }

    async fn next(
        &mut self,
        options: &NotifyOptions,
        channel: &str,
    ) -> Result<Batch, PostgresError> {
        loop {
            while !self.is_full(options.max_batch)
                && let Some(message) = self.connection.buffered()?
            {
                self.take(message, channel)?;
            }
            if !self.changes.is_empty() {
                self.bytes = 0;
                return Ok(Batch {
                    changes: std::mem::take(&mut self.changes),
                    ..Batch::default()
                });
            }
            // This continues a check that a dropped future has written in part.
            self.connection.flush().await?;
            tokio::select! {
                read = self.connection.fill() => {
                    read?;
                    self.next_check = Instant::now() + options.check_interval;
                }
                () = sleep_until(self.answer_by.unwrap_or(self.next_check)) => {
                    if self.answer_by.is_some() {
                        return Err(PostgresError::Silent(options.check_timeout));
                    }
                    self.connection.ask("SELECT 1")?;
                    self.answer_by = Some(Instant::now() + options.check_timeout);
                }
            }
        }
    }
}

#[async_trait]
impl Feed for NotifyFeed {
    async fn open(&mut self) -> Result<Opened, FeedError> {
        self.close().await;
        let limit = self.options.connect_timeout;
        let mut connection = Connection::open(&self.target, &[], limit)
            .await
            .map_err(FeedError::new)?;
        let listen = format!("LISTEN {}", identifier(&self.channel));
        connection.query(&listen).await.map_err(FeedError::new)?;
        self.listening = Some(Listening {
            connection,
            changes: Vec::new(),
            bytes: 0,
            next_check: Instant::now() + self.options.check_interval,
            answer_by: None,
        });
        Ok(Opened::Missed(
            "notices of a time without a connection are not kept".into(),
        ))
    }

    async fn next(&mut self) -> Result<Batch, FeedError> {
        let listening = self.listening.as_mut();
        let listening = listening.ok_or_else(|| FeedError::new(PostgresError::NotOpen))?;
        // If `next` was not called for a while, the answer may have arrived but not been read yet.
        let now = Instant::now();
        if let Some(by) = &mut listening.answer_by
            && *by <= now
        {
            *by = now + self.options.check_timeout.min(UNREAD);
        }
        let next = listening.next(&self.options, &self.channel).await;
        if next.is_err() {
            self.listening = None;
        }
        next.map_err(FeedError::new)
    }

    async fn confirm(&mut self, _position: Position) -> Result<(), FeedError> {
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.connection.end(GOODBYE).await;
        }
    }
}

impl fmt::Debug for NotifyFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyFeed")
            .field("server", &format_args!("{}", self.target))
            .field("channel", &self.channel)
            .field("is_open", &self.listening.is_some())
            .finish_non_exhaustive()
    }
}
