use std::{
    borrow::Cow,
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use rustls::{CertificateError, Error};
use tracing::{debug, warn};

use crate::rarely::Rarely;

/// Logs failed handshakes, with a rate limit.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<Rarely>);

impl Refusals {
    /// Returns whether the handshake was refused; otherwise the client has disconnected.
    pub(super) fn report(&self, client: SocketAddr, error: &io::Error) -> bool {
        let Some(error) = error.get_ref().and_then(|e| e.downcast_ref::<Error>()) else {
            // The client has disconnected, as port scans and connection checks do.
            let kind = error.kind();
            debug!(%client, ?kind, "the client left during the handshake");
            return false;
        };
        let reason = reason(error);
        let report = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .report();
        match report {
            Some(unreported) => warn!(%client, %reason, unreported, "a TLS handshake failed"),
            None => debug!(%client, %reason, "a TLS handshake failed"),
        }
        true
    }
}

/// The error in words for an operator.
fn reason(error: &Error) -> Cow<'static, str> {
    use CertificateError::{
        Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    match error {
        Error::NoCertificatesPresented => "the client showed no certificate".into(),
        Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "the client's certificate has expired".into()
        }
        Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "the client's certificate is not valid yet".into()
        }
        Error::InvalidCertificate(UnknownIssuer) => {
            "the client's certificate is not by a CA that is trusted here".into()
        }
        Error::AlertReceived(alert) => format!("the client refused: {alert:?}").into(),
        error => error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::*;

    #[test]
    fn reasons_are_said_in_one_line_without_rust() {
        for (error, expected) in [
            (
                Error::NoCertificatesPresented,
                "the client showed no certificate",
            ),
            (
                Error::InvalidCertificate(CertificateError::Expired),
                "the client's certificate has expired",
            ),
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "the client's certificate is not by a CA that is trusted here",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "the client refused: UnknownCA",
            ),
        ] {
            assert_eq!(reason(&error), expected);
        }
    }
}
