//! How this program authenticates to nodes, and they to it: the cluster's token, a client
//! certificate, and the authority that signs the nodes' certificates.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use hyper::header::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto};

use crate::cli::AccessArgs;
use crate::outcome::Failure;
use crate::output::shown;

/// The variable that holds the token itself. There is no flag for it: every user of a machine can
/// read command lines.
const TOKEN: &str = "GAGGLECTL_TOKEN";

/// The most bytes that are read from a file with tokens.
const MAX_TOKEN_FILE: u64 = 4 << 10;

/// The value of `Authorization`, if there is a token: the file's first line, or the environment's.
pub(crate) fn token(args: &AccessArgs) -> Result<Option<HeaderValue>, Failure> {
    let (name, text) = match (&args.token_file, std::env::var_os(TOKEN)) {
        (Some(path), _) => {
            let name = shown(path.as_os_str().as_encoded_bytes());
            let text = read(path).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
            (name, text)
        }
        (None, Some(text)) => (TOKEN.to_owned(), text.into_encoded_bytes()),
        (None, None) => return Ok(None),
    };
    header(&text)
        .map(Some)
        .ok_or_else(|| Failure::Usage(format!("{name}: its first line is no token")))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Checked before it is opened, because opening a pipe could block without end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    File::open(path)?
        .take(MAX_TOKEN_FILE)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// The first line that is not empty. The other lines of a file are tokens that nodes accept.
fn header(text: &[u8]) -> Option<HeaderValue> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let token = lines.find(|line| !line.is_empty())?;
    if !token.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// How to speak TLS to nodes.
pub(crate) fn tls(args: &AccessArgs) -> Result<Arc<ClientConfig>, Failure> {
    let roots = match &args.ca {
        Some(path) => authority(path)?,
        None => RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
    };
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Failed(format!("no TLS: {error}")))?
        .with_root_certificates(roots);
    let mut config = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let secret =
                PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
            let config = config.with_client_auth_cert(chain, secret);
            config.map_err(|error| unusable(cert, &error))?
        }
        // The command line accepts both or none.
        _ => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn authority(path: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|error| unusable(path, &error))?;
    if chain.is_empty() {
        return Err(unusable(path, &"it holds no certificate"));
    }
    Ok(chain)
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    let path = shown(path.as_os_str().as_encoded_bytes());
    Failure::Usage(format!("{path}: {}", shown(why.to_string().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_token() {
        for text in [
            "token",
            " token\r\n",
            "\n\ttoken\nold",
            "token\nnot a token",
        ] {
            let value = header(text.as_bytes()).unwrap();
            assert_eq!(value, "Bearer token", "{text:?}");
            assert!(value.is_sensitive());
        }
        for text in ["", "\n \n", "two words", "t\0", "\u{e4}"] {
            assert_eq!(header(text.as_bytes()), None, "{text:?}");
        }
    }
}
