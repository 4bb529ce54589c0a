//! The trusted authorities over https, and the client certificate.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto};

use crate::{HttpOptions, OptionsError, Trust};

/// The longest file of certificates, in bytes: that of all public authorities has 0.3 MB.
const MAX_LEN: u64 = 16 << 20;

/// A configuration with a provider of its own, so that none is needed for the process. Roots are
/// read only if a URL begins with `https`: reading those of a machine takes milliseconds.
pub(crate) fn client_config(
    options: &HttpOptions,
    https: bool,
) -> Result<ClientConfig, OptionsError> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OptionsError::new("url", format!("no TLS: {error}")))?;
    if !https {
        let none = RootCertStore::empty();
        return Ok(builder.with_root_certificates(none).with_no_client_auth());
    }
    let builder = builder.with_root_certificates(roots(options)?);
    let (Some(cert), Some(key)) = (&options.client_cert, &options.client_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("client_cert", cert)?;
    let text = read("client_key", key)?;
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| unreadable("client_key", key, &error, "no private key"))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        let reason = format!("cannot be used with the certificate: {error}");
        OptionsError::new("client_key", reason)
    })
}

fn roots(options: &HttpOptions) -> Result<RootCertStore, OptionsError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &options.ca {
        for certificate in certificates("ca", ca)? {
            roots.add(certificate).map_err(|error| {
                let reason = format!("{}: is no authority's certificate: {error}", ca.display());
                OptionsError::new("ca", reason)
            })?;
        }
        return Ok(roots);
    }
    if options.trust == Trust::Platform {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a part of the machine's root certificates cannot be read");
        }
        let (known, _odd) = roots.add_parsable_certificates(found.certs);
        if known > 0 {
            return Ok(roots);
        }
        tracing::info!("the machine has no root certificates; Mozilla's are used");
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(roots)
}

/// All certificates of a PEM file, of which there is at least one.
fn certificates(
    field: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, OptionsError> {
    let text = read(field, path)?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| unreadable(field, path, &error, "no certificate"))?;
    if found.is_empty() {
        let error = pem::Error::NoItemsFound;
        return Err(unreadable(field, path, &error, "no certificate"));
    }
    Ok(found)
}

fn unreadable(field: &'static str, path: &Path, error: &pem::Error, without: &str) -> OptionsError {
    let path = path.display();
    let reason = match error {
        pem::Error::NoItemsFound => format!("{path}: has {without} in PEM"),
        // Its text may repeat a part of the file, which may be a key.
        _ => format!("{path}: is not PEM"),
    };
    OptionsError::new(field, reason)
}

fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, OptionsError> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_LEN + 1).read_to_end(&mut text));
    let told = match read {
        Err(error) => error.to_string(),
        Ok(_) if text.len() as u64 > MAX_LEN => format!("over {MAX_LEN} bytes"),
        Ok(_) => return Ok(text),
    };
    Err(OptionsError::new(
        field,
        format!("{}: {told}", path.display()),
    ))
}
