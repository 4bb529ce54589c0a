//! The files that the `security` table names, as they were read.

use std::path::Path;

use gaggle_tls::TlsFiles;
use gaggle_token::Tokens;

use super::ConfigError;
use super::security::{PUBLIC, Port, Security, Tls};

/// How this node authenticates other programs, and itself to them. Each can be read again while
/// the node runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    /// Required at the peers' and the admin port, and sent to peers.
    pub(crate) tokens: Option<Tokens>,
    /// Of the peers' and the admin port, and of this node as a client of its peers.
    pub(crate) tls: Option<gaggle_tls::Tls>,
    /// Of the front door, whose clients may have a CA of their own.
    pub(crate) front_door: Option<gaggle_tls::Tls>,
}

impl Security {
    /// Reads the token and the certificates. Blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or does not hold what it should; the line names it and shows
    /// nothing of it.
    pub(crate) fn open(&self) -> Result<Credentials, ConfigError> {
        Ok(Credentials {
            tokens: self.tokens()?,
            tls: self.open_tls()?,
            front_door: self
                .tls_of(Port::FrontDoor)
                .map(|of| load(of.front_door_files()))
                .transpose()?,
        })
    }

    /// The certificates of the peers' and the admin port alone.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(crate) fn open_tls(&self) -> Result<Option<gaggle_tls::Tls>, ConfigError> {
        self.tls.as_ref().map(|of| load(of.files())).transpose()
    }

    fn tokens(&self) -> Result<Option<Tokens>, ConfigError> {
        if let Some(path) = &self.token_file {
            return Tokens::read(path)
                .map(Some)
                .map_err(|failure| ConfigError::new("security.token-file", failure));
        }
        self.token_in_place()
    }

    /// The token that is in the configuration itself.
    pub(super) fn token_in_place(&self) -> Result<Option<Tokens>, ConfigError> {
        let tokens = self
            .token
            .as_ref()
            .map(|token| Tokens::parse(token.reveal()));
        tokens
            .transpose()
            .map_err(|failure| ConfigError::new("security.token", failure))
    }
}

fn load(files: TlsFiles) -> Result<gaggle_tls::Tls, ConfigError> {
    gaggle_tls::Tls::load(files).map_err(|failure| ConfigError::new("security.tls", failure))
}

impl Tls {
    /// Whether peers' certificates are by a public authority.
    fn is_public(&self) -> bool {
        self.ca.as_deref() == Some(Path::new(PUBLIC))
    }

    /// Of the peers' and the admin port.
    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles {
            cert: self.cert.clone(),
            key: self.key.clone(),
            client_ca: self.client_ca.clone(),
            ca: self.ca.clone().filter(|_| !self.is_public()),
            public_ca: self.is_public(),
            peer_name: self.peer_name.clone(),
        }
    }

    /// Of the front door.
    fn front_door_files(&self) -> TlsFiles {
        TlsFiles {
            client_ca: self.front_door_client_ca.clone(),
            ..self.files()
        }
    }
}
