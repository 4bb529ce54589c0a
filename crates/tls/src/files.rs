use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::TlsError;

/// A bundle of all public CAs has a quarter of that.
const LONGEST: u64 = 1 << 20;

/// The files of certificates, all in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by the intermediate certificates that lead to its CA. A server
    /// needs it; a client presents it to a server that requests one.
    pub cert: Option<PathBuf>,
    /// The certificate's private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: Option<PathBuf>,
    /// The CAs, one or more, that clients' certificates are checked against.
    pub client_ca: Option<PathBuf>,
    /// The CAs that servers' certificates are checked against. Default: `client_ca`; without it,
    /// the public CAs.
    pub ca: Option<PathBuf>,
    /// Whether servers' certificates may be by a public CA (Mozilla's list, compiled in), in
    /// addition to those in `ca`. `client_ca` then applies only to clients.
    pub public_ca: bool,
    /// A DNS name or an IP address that a server's certificate may have instead of the host that
    /// was dialled.
    pub peer_name: Option<String>,
}

/// The content of the files.
pub(crate) struct Contents {
    pub(crate) cert: Option<FileText>,
    pub(crate) key: Option<FileText>,
    pub(crate) client_ca: Option<FileText>,
    pub(crate) ca: Option<FileText>,
}

pub(crate) struct FileText {
    pub(crate) path: PathBuf,
    pub(crate) text: Vec<u8>,
}

/// Detects changed files, without keeping a key for that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl TlsFiles {
    pub(crate) fn read(&self) -> Result<Contents, TlsError> {
        match (&self.cert, &self.key) {
            (Some(path), None) | (None, Some(path)) => {
                return Err(TlsError::Alone { path: path.clone() });
            }
            _ => {}
        }
        let read = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
        Ok(Contents {
            cert: read(&self.cert)?,
            key: read(&self.key)?,
            client_ca: read(&self.client_ca)?,
            ca: read(&self.ca)?,
        })
    }
}

impl Contents {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        for file in [&self.cert, &self.key, &self.client_ca, &self.ca] {
            let text = file.as_ref().map_or(&[][..], |file| &file.text);
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Fingerprint(hash.finalize().into())
    }
}

fn read(path: &Path) -> Result<FileText, TlsError> {
    let whole = || -> io::Result<Vec<u8>> {
        // Checked before it is opened: to open a pipe could block forever.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut text = Vec::new();
        File::open(path)?.take(LONGEST + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = whole().map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })?;
    if text.len() as u64 > LONGEST {
        return Err(TlsError::TooLong {
            path: path.to_owned(),
            limit: LONGEST,
        });
    }
    Ok(FileText {
        path: path.to_owned(),
        text,
    })
}
