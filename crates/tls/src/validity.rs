use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::pki_types::CertificateDer;
use x509_cert::{Certificate, der::Decode};

use crate::TlsError;

/// The validity period of a certificate.
#[derive(Debug)]
pub(crate) struct Validity {
    not_before: x509_cert::time::Time,
    not_after: x509_cert::time::Time,
}

impl Validity {
    /// `path` is for the error.
    pub(crate) fn of(certificate: &CertificateDer<'_>, path: &Path) -> Result<Self, TlsError> {
        let parsed =
            Certificate::from_der(certificate).map_err(|error| TlsError::BadCertificate {
                path: path.to_owned(),
                problem: error.to_string(),
            })?;
        let validity = parsed.tbs_certificate().validity();
        Ok(Self {
            not_before: validity.not_before,
            not_after: validity.not_after,
        })
    }

    pub(crate) fn not_after(&self) -> SystemTime {
        self.not_after.to_system_time()
    }

    /// Whether it is valid at `now`; `path` is for the error.
    pub(crate) fn check(&self, now: SystemTime, path: &Path) -> Result<(), TlsError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if now > self.not_after.to_unix_duration() {
            return Err(TlsError::Expired {
                path: path.to_owned(),
                not_after: self.not_after.to_string(),
            });
        }
        if now < self.not_before.to_unix_duration() {
            return Err(TlsError::NotYetValid {
                path: path.to_owned(),
                not_before: self.not_before.to_string(),
            });
        }
        Ok(())
    }
}
