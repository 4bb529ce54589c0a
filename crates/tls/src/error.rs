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
    /// No certificate file is that long.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
    /// It is damaged, or not PEM.
    #[error("{} cannot be read as PEM: {problem}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It may hold something different, such as the key.
    #[error("there is no certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// It may hold something different, such as the certificate, or an encrypted key.
    #[error("there is no private key in {}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// It is PEM without a usable certificate.
    #[error("a certificate in {} cannot be used: {problem}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It is PEM without a usable key.
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
    /// It has expired.
    #[error("the certificate in {} expired at {not_after}", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// In UTC.
        not_after: String,
    },
    /// It is not valid yet. The clock may be wrong.
    #[error("the certificate in {} is not valid before {not_before}", path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// In UTC.
        not_before: String,
    },
    /// A certificate and its key are needed together.
    #[error(
        "a certificate needs its private key, and the other way round: {} is alone",
        path.display()
    )]
    Alone {
        /// The file that was given.
        path: PathBuf,
    },
    /// A server has to present a certificate.
    #[error("a server needs a certificate and its private key")]
    NoIdentity,
    /// Clients' certificates cannot be checked.
    #[error("without a CA for clients, their certificates cannot be checked")]
    NoClientCa,
    /// It cannot be in a certificate.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    PeerName {
        /// The name as it was given.
        name: String,
    },
    /// rustls does not accept the files.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] rustls::Error),
}
