use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::debug;

use super::{Refusals, Tls};
use crate::{counts::Counts, io::Writes};

/// The first byte of a client that speaks TLS: a record of the handshake (RFC 8446, 5.1). No
/// method of HTTP, nor the preface of HTTP/2, begins with it.
const HANDSHAKE: u8 = 0x16;
/// How long a client that is refused has to read the reason, and to close.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The most bytes that it may send meanwhile.
const UNREAD: usize = 64 << 10;

const SPEAKS_TLS: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 42\r\n\
    connection: close\r\n\
    \r\n\
    this port speaks TLS: use an https:// URL\n";

/// What a connection turns out to be.
pub(super) enum Greeted {
    Tls(Box<TlsStream<Writes<TcpStream>>>),
    Plain(Writes<TcpStream>),
    /// The connection has ended.
    Closed,
}

/// Detects whether the client speaks TLS, and then makes the handshake.
pub(super) async fn greet(
    tls: &Tls,
    socket: Writes<TcpStream>,
    client: SocketAddr,
    refusals: &Refusals,
    counts: &Counts,
) -> Greeted {
    let mut first = [0];
    match socket.socket().peek(&mut first).await {
        Ok(0) => Greeted::Closed,
        Ok(_) if first == [HANDSHAKE] => {
            let accept = TlsAcceptor::from((tls.config)()).accept(socket);
            match accept.into_fallible().await {
                Ok(stream) => Greeted::Tls(Box::new(stream)),
                Err((error, socket)) => {
                    if refusals.report(client, &error) {
                        counts.handshake_failed();
                    }
                    leave(socket, client).await;
                    Greeted::Closed
                }
            }
        }
        Ok(_) if tls.accept_plain => Greeted::Plain(socket),
        Ok(_) => {
            debug!(%client, "plain HTTP to a port that speaks TLS");
            counts.handshake_failed();
            refuse_plain(socket, client).await;
            Greeted::Closed
        }
        Err(error) => {
            debug!(%client, %error, "the connection failed before the handshake");
            Greeted::Closed
        }
    }
}

async fn refuse_plain(mut socket: Writes<TcpStream>, client: SocketAddr) {
    match socket.write_all(SPEAKS_TLS.as_bytes()).await {
        Ok(()) => leave(socket, client).await,
        Err(error) => debug!(%client, %error, "the client did not hear that the port speaks TLS"),
    }
}

/// Closes once the client has read what was sent. If bytes of the client were left unread, the
/// kernel would reset the connection, and the client would see nothing but that.
async fn leave(mut socket: Writes<TcpStream>, client: SocketAddr) {
    let left = timeout(LAST_WORDS, async {
        socket.shutdown().await?;
        let mut unread = socket.take(UNREAD as u64);
        tokio::io::copy(&mut unread, &mut tokio::io::sink()).await
    });
    let left: Result<io::Result<_>, _> = left.await;
    if !matches!(left, Ok(Ok(_))) {
        debug!(%client, "the client may not have read why it was refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_states_its_length() {
        let (head, body) = SPEAKS_TLS.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
