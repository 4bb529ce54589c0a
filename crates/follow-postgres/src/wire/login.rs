//! From a socket to a connection that is logged in.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Socket, invalid};
use super::message::Message;
use super::target::{Host, Target};
use super::tls::Verify;
use crate::PostgresError;

/// The longest file of a password, in bytes.
const LONGEST_PASSWORD_FILE: u64 = 64 << 10;

pub(super) async fn open(
    target: &Target,
    settings: &[(&str, &str)],
) -> Result<Connection, PostgresError> {
    let password = password(target).await?;
    let (socket, is_private) = connect(target).await?;
    let mut connection = Connection::new(socket);
    let own = [
        ("user", target.user.as_str()),
        ("database", target.database.as_str()),
        ("client_encoding", "UTF8"),
        (
            "application_name",
            target.application.as_deref().unwrap_or("gaggle"),
        ),
    ];
    let all = own.into_iter().chain(settings.iter().copied());
    frontend::startup_message(all, connection.outgoing()).map_err(invalid)?;
    connection.flush().await?;
    let mut login = Login {
        target,
        password,
        is_private,
        scram: None,
        is_done: false,
    };
    loop {
        match connection.next().await? {
            Message::Authentication { kind, data } => {
                login.answer(kind, data, connection.outgoing())?;
                connection.flush().await?;
            }
            Message::ReadyForQuery if login.is_done => return Ok(connection),
            Message::Error(error) => return Err(login.failed(error.to_string())),
            _ => {}
        }
    }
}

/// The present password. An error names the file, and none of its content.
async fn password(target: &Target) -> Result<Option<Vec<u8>>, PostgresError> {
    let Some(path) = &target.password_file else {
        return Ok(target.password.as_ref().map(|text| text.clone().into()));
    };
    let failed = |problem: &dyn std::fmt::Display| PostgresError::Login {
        server: target.to_string(),
        problem: format!("the password file {}: {problem}", path.display()),
    };
    let mut password = Vec::new();
    let read = async {
        let file = tokio::fs::File::open(path).await?;
        let mut most = file.take(LONGEST_PASSWORD_FILE + 1);
        most.read_to_end(&mut password).await
    };
    let length = read.await.map_err(|error| failed(&error))?;
    if u64::try_from(length).unwrap_or(u64::MAX) > LONGEST_PASSWORD_FILE {
        return Err(failed(&"it is longer than 64 KiB"));
    }
    if password.last() == Some(&b'\n') {
        password.pop();
        if password.last() == Some(&b'\r') {
            password.pop();
        }
    }
    if password.is_empty() || password.contains(&0) {
        return Err(failed(&"it holds no password"));
    }
    Ok(Some(password))
}

/// The socket, and whether a password could be sent over it in clear text.
async fn connect(target: &Target) -> Result<(Box<dyn Socket>, bool), PostgresError> {
    let failed = |source| PostgresError::Connect {
        server: target.to_string(),
        source,
    };
    let host = match &target.host {
        Host::Net(host) => host,
        Host::Socket(directory) => {
            let path = directory.join(format!(".s.PGSQL.{}", target.port));
            let socket = UnixStream::connect(path).await.map_err(failed)?;
            return Ok((Box::new(socket), true));
        }
    };
    let mut socket = TcpStream::connect((host.as_str(), target.port))
        .await
        .map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    let mode = target.tls.mode();
    if mode == Verify::Disable {
        return Ok((Box::new(socket), false));
    }
    let refused = |problem: String| PostgresError::Login {
        server: target.to_string(),
        problem,
    };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket.write_all(&request).await.map_err(failed)?;
    // Exactly one byte: anything that arrived with it in clear text could be an attacker's.
    match socket.read_u8().await.map_err(failed)? {
        b'S' => {}
        b'N' if mode == Verify::Prefer => return Ok((Box::new(socket), false)),
        _ => return Err(refused("it does not offer TLS".into())),
    }
    let config = target.tls.client().await.map_err(refused)?;
    let name = ServerName::try_from(host.clone())
        .map_err(|_| refused("the host is no name that a certificate can have".into()))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .map_err(|error| refused(format!("TLS: {error}")))?;
    Ok((Box::new(stream), mode.is_verified()))
}

struct Login<'a> {
    target: &'a Target,
    password: Option<Vec<u8>>,
    is_private: bool,
    scram: Option<ScramSha256>,
    is_done: bool,
}

impl Login<'_> {
    fn failed(&self, problem: impl Into<String>) -> PostgresError {
        PostgresError::Login {
            server: self.target.to_string(),
            problem: problem.into(),
        }
    }

    fn password(&self) -> Result<&[u8], PostgresError> {
        let password = self.password.as_deref();
        password.ok_or_else(|| self.failed("it asks for a password, and there is none"))
    }

    /// Answers one step of the authentication.
    fn answer(
        &mut self,
        kind: u32,
        mut data: Bytes,
        out: &mut BytesMut,
    ) -> Result<(), PostgresError> {
        match kind {
            // The server must not skip the proof that it knows the password, once it has asked for
            // this client's proof.
            0 if self.scram.is_some() => Err(self.failed("it has not proved who it is")),
            0 => {
                self.is_done = true;
                Ok(())
            }
            3 if self.is_private => {
                frontend::password_message(self.password()?, out).map_err(invalid)
            }
            3 => Err(self.failed(
                "it asks for the password in clear text, which is sent over TLS with \
                 sslmode=verify-ca or verify-full only",
            )),
            5 => {
                let mut salt = [0; 4];
                data.try_copy_to_slice(&mut salt)
                    .map_err(|_| self.failed("its salt is too short"))?;
                let user = self.target.user.as_bytes();
                let hash = md5_hash(user, self.password()?, salt);
                frontend::password_message(hash.as_bytes(), out).map_err(invalid)
            }
            10 => self.begin_scram(&data, out),
            11 => {
                let mut scram = self.take_scram()?;
                scram
                    .update(&data)
                    .map_err(|error| self.failed(error.to_string()))?;
                frontend::sasl_response(scram.message(), out).map_err(invalid)?;
                self.scram = Some(scram);
                Ok(())
            }
            12 => {
                let mut scram = self.take_scram()?;
                scram
                    .finish(&data)
                    .map_err(|error| self.failed(error.to_string()))
            }
            _ => Err(self.failed(format!("it asks for authentication of kind {kind}"))),
        }
    }

    fn begin_scram(&mut self, mechanisms: &[u8], out: &mut BytesMut) -> Result<(), PostgresError> {
        let mut offered = mechanisms.split(|byte| *byte == 0);
        if !offered.any(|name| name == SCRAM_SHA_256.as_bytes()) {
            return Err(self.failed("it offers no SCRAM-SHA-256"));
        }
        let scram = ScramSha256::new(self.password()?, ChannelBinding::unsupported());
        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out).map_err(invalid)?;
        self.scram = Some(scram);
        Ok(())
    }

    fn take_scram(&mut self) -> Result<ScramSha256, PostgresError> {
        let scram = self.scram.take();
        scram.ok_or_else(|| self.failed("it goes on with an authentication that was not begun"))
    }
}
