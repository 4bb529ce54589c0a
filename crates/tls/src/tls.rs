use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use crate::{ClientCerts, ClientTls, ServerTls, TlsError, TlsFiles, material::Material};

/// Certificates that were read from files, and can be read again. Cheap to clone; clones share
/// their content.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<Shared>,
}

struct Shared {
    files: TlsFiles,
    current: RwLock<Arc<Material>>,
    /// Held while files are read, so that the later of two reloads wins.
    reload: Mutex<()>,
}

impl Tls {
    /// Reads the files. Blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// One line that names the file and what is wrong with it: it is missing, holds no certificate
    /// or no key, the two do not belong together, or the certificate is not valid now.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let material = Material::new(&files, &files.read()?, 1)?;
        Ok(Self {
            shared: Arc::new(Shared {
                files,
                current: RwLock::new(Arc::new(material)),
                reload: Mutex::new(()),
            }),
        })
    }

    /// The configurations of a server.
    ///
    /// # Errors
    ///
    /// Without a certificate, and for [`ClientCerts::Optional`] or
    /// [`ClientCerts::Required`] without a [CA for clients](TlsFiles::client_ca).
    pub fn server(&self, certs: ClientCerts) -> Result<ServerTls, TlsError> {
        ServerTls::new(self.clone(), certs)
    }

    /// The configurations of a client.
    #[must_use]
    pub fn client(&self) -> ClientTls {
        ClientTls::new(self.clone())
    }

    /// Reads the files again. Changes apply from the next connection on. Blocks while they are
    /// read.
    ///
    /// Returns `false` if they are unchanged.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load). The old content then stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let shared = &self.shared;
        let _one_at_a_time = shared.reload.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = shared.files.read()?;
        let before = self.material();
        if contents.fingerprint() == before.fingerprint {
            return Ok(false);
        }
        let material = Material::new(&shared.files, &contents, before.generation + 1)?;
        let mut current = shared
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(material);
        Ok(true)
    }

    /// When the certificate, or an intermediate certificate that was valid when it was read,
    /// expires first; `None` without a certificate.
    #[must_use]
    pub fn not_after(&self) -> Option<SystemTime> {
        self.material().not_after
    }

    /// How often the files were read with changes in them, including the first time.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.material().generation
    }

    pub(crate) fn material(&self) -> Arc<Material> {
        // Only complete values are ever written.
        let current = self.shared.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.shared.files)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
