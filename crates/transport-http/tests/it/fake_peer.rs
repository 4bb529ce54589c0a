//! A peer that answers from a script of bytes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::LONG;

/// How a peer treats a connection once it has sent an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    /// Reads the next request.
    Keep,
    /// Closes it in order.
    Close,
    /// Breaks it, as a crash does.
    Reset,
    /// Sends nothing more until the client closes it.
    Hang,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The head of a request, and the number of the connection that it came on.
    Request(usize, String),
    /// The client has closed this connection.
    Closed(usize),
}

pub(crate) struct FakePeer {
    pub(crate) address: SocketAddr,
    events: mpsc::UnboundedReceiver<Event>,
}

type Script = Arc<Mutex<VecDeque<(Vec<u8>, Then)>>>;

impl FakePeer {
    /// Each request, on whatever connection, is answered by the next step. Past the last one,
    /// connections are closed.
    pub(crate) async fn new<A: AsRef<[u8]>>(steps: impl IntoIterator<Item = (A, Then)>) -> Self {
        let steps = steps
            .into_iter()
            .map(|(answer, then)| (answer.as_ref().to_vec(), then));
        let script = Script::new(Mutex::new(steps.collect()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, events) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for number in 0.. {
                let (connection, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(connection, number, script.clone(), tell.clone()));
            }
        });
        Self { address, events }
    }

    /// A peer that gives one answer and closes.
    pub(crate) async fn once(answer: impl AsRef<[u8]>) -> Self {
        Self::new([(answer, Then::Close)]).await
    }

    pub(crate) async fn event(&mut self) -> Event {
        timeout(LONG, self.events.recv())
            .await
            .expect("something happens")
            .unwrap()
    }

    /// The head of the next request.
    pub(crate) async fn request(&mut self) -> String {
        match self.event().await {
            Event::Request(_, head) => head,
            closed => panic!("{closed:?}"),
        }
    }

    /// How many requests arrived that were not examined yet.
    pub(crate) fn further_requests(&mut self) -> usize {
        let mut requests = 0;
        while let Ok(event) = self.events.try_recv() {
            requests += usize::from(matches!(event, Event::Request(..)));
        }
        requests
    }
}

async fn answer(
    mut connection: TcpStream,
    number: usize,
    script: Script,
    tell: mpsc::UnboundedSender<Event>,
) {
    while let Some(head) = read_head(&mut connection).await {
        let _ = tell.send(Event::Request(number, head));
        let Some((answer, then)) = script.lock().unwrap().pop_front() else {
            return;
        };
        // A client may close the connection before it has read all, as some tests do.
        let _ = connection.write_all(&answer).await;
        match then {
            Then::Keep => {}
            Then::Close => return,
            Then::Reset => {
                connection.set_zero_linger().unwrap();
                return;
            }
            Then::Hang => {
                let _ = connection.read_to_end(&mut Vec::new()).await;
                break;
            }
        }
    }
    let _ = tell.send(Event::Closed(number));
}

/// The next request's head, or `None` if the client has closed. Its body is read and thrown away.
async fn read_head(connection: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let len = head
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |len| len.parse().unwrap());
    connection.read_exact(&mut vec![0; len]).await.ok()?;
    Some(head)
}
