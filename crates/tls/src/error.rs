use std::{io, path::PathBuf};

/// What is wrong with the files, in one line that names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// It does not exist, or may not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No file of certificates is that long.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
    /// It is damaged, or something else than PEM.
    #[error("{} cannot be read as PEM: {problem}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It may hold something else, such as the key.
    #[error("there is no certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// It may hold something else, such as the certificate, or an encrypted key.
    #[error("there is no private key in {}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// It is in PEM, and inside is no certificate that can be used.
    #[error("a certificate in {} cannot be used: {problem}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It is in PEM, and inside is no key that can be used.
    #[error("the private key in {} cannot be used: {problem}", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate is for another key.
    #[error(
        "the private key in {} does not belong to the certificate in {}",
        key.display(),
        cert.display()
    )]
    KeyMismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        cert: PathBuf,
    },
    /// Its validity is over.
    #[error("the certificate in {} expired at {not_after}", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// In UTC.
        not_after: String,
    },
    /// Its validity has not begun. The clock may be wrong.
    #[error("the certificate in {} is not valid before {not_before}", path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// In UTC.
        not_before: String,
    },
    /// One without the other is of no use.
    #[error(
        "a certificate needs its private key, and the other way round: {} is alone",
        path.display()
    )]
    Alone {
        /// The one that is there.
        path: PathBuf,
    },
    /// A server has to show a certificate.
    #[error("a server needs a certificate and its private key")]
    NoIdentity,
    /// Clients' certificates cannot be checked.
    #[error("without a CA for clients, their certificates cannot be checked")]
    NoClientCa,
    /// It can stand in no certificate.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    PeerName {
        /// As it was given.
        name: String,
    },
    /// rustls does not take what was read.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] rustls::Error),
}
