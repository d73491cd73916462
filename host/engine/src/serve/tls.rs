//! TLS for the embedded registry: [`from_pem`] takes a certificate that somebody made, [`Authority`] makes one.
//!
//! The authority is made once and kept, as that is what clients trust; the server's own certificate is made at each start,
//! for the names that are wanted then, and its key is never on a disk.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
pub use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use zeroize::Zeroizing;

use crate::fsx;

/// What the authority calls itself.
const NAME: &str = "oc-mirror serve";
/// The authority's certificate: what is to be trusted.
const CERTIFICATE: &str = "ca.crt";
/// The authority's key.
const KEY: &str = "ca.key";

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or key cannot be read, or the two do not belong together.
    #[error("{what} cannot be used: {reason}")]
    Unusable {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A name is none.
    #[error("`{0}` is neither a host name nor an address")]
    Name(String),
    /// The files of the authority cannot be read or written.
    #[error("`{path}` cannot be accessed")]
    Disk {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn unusable(what: &'static str, reason: impl ToString) -> TlsError {
    TlsError::Unusable { what, reason: reason.to_string() }
}

/// Answers with these certificates, the server's own first, and the key that belongs to it, all PEM.
pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|e| unusable("the certificate", e))?;
    if chain.is_empty() {
        return Err(unusable("the certificate", "there is none in the file"));
    }
    // What is wrong with a key is said without anything of it.
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| unusable("the key", "it is not one in PEM, without a password"))?;
    configure(chain, key)
}

fn configure(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable("TLS", e))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| unusable("the certificate with its key", e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// An authority of one's own.
pub struct Authority {
    key: KeyPair,
    path: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// Opens the authority in a directory, and makes one where there is none.
    pub fn open_or_make(dir: &Path) -> Result<Self, TlsError> {
        let (key, path) = (dir.join(KEY), dir.join(CERTIFICATE));
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| TlsError::Disk { path, source }
        };
        match std::fs::read_to_string(&key).map(Zeroizing::new) {
            Ok(text) => {
                let parsed = KeyPair::from_pem(&text);
                let key = parsed.map_err(|_| unusable("the key of the authority", "it is not one in PEM"))?;
                let pem = match std::fs::read(&path) {
                    // It was made after the key, which may have been where it ended.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => make(&key, &path)?,
                    other => other.map_err(failed(&path))?,
                };
                Self::of(key, path, &pem)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(dir).map_err(failed(dir))?;
                let made = KeyPair::generate().map_err(|e| unusable("the key of the authority", e))?;
                write_secret(&key, &Zeroizing::new(made.serialize_pem())).map_err(failed(&key))?;
                let pem = make(&made, &path)?;
                Self::of(made, path, &pem)
            }
            Err(error) => Err(failed(&key)(error)),
        }
    }

    fn of(key: KeyPair, path: PathBuf, pem: &[u8]) -> Result<Self, TlsError> {
        let certificate = CertificateDer::from_pem_slice(pem)
            .map_err(|e| unusable("the certificate of the authority", e))?;
        Ok(Self { key, path, certificate })
    }

    /// Returns the file to trust.
    pub fn certificate_path(&self) -> &Path {
        &self.path
    }

    /// Returns the SHA-256 of the certificate to trust, as `openssl x509 -fingerprint -sha256` writes it.
    pub fn fingerprint(&self) -> String {
        let hash = ring::digest::digest(&ring::digest::SHA256, &self.certificate);
        hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// Makes a certificate for these host names and addresses, and answers with it.
    pub fn server(&self, names: &[String]) -> Result<Arc<ServerConfig>, TlsError> {
        let mut params = CertificateParams::default();
        for name in names {
            // One by one, to say which of them is not valid.
            let invalid = || TlsError::Name(name.clone());
            ServerName::try_from(name.as_str()).map_err(|_| invalid())?;
            let one = CertificateParams::new([name.clone()]).map_err(|_| invalid())?;
            params.subject_alt_names.extend(one.subject_alt_names);
        }
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuer = Issuer::new(authority_params(), &self.key);
        let made = |e: rcgen::Error| unusable("the certificate", e);
        let key = KeyPair::generate().map_err(made)?;
        let certificate = params.signed_by(&key, &issuer).map_err(made)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|e| unusable("the key", e))?;
        configure(vec![certificate.der().clone(), self.certificate.clone()], key)
    }
}

/// Describes the authority. It is valid for good: a far side may have no clock to go by, and who holds the key holds the
/// registry anyway.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, format!("{NAME} authority"));
    params
}

fn make(key: &KeyPair, path: &Path) -> Result<Vec<u8>, TlsError> {
    let made = authority_params().self_signed(key);
    let pem = made.map_err(|e| unusable("the certificate of the authority", e))?.pem().into_bytes();
    fsx::write_atomic(path, &pem)
        .map_err(|source| TlsError::Disk { path: path.display().to_string(), source })?;
    Ok(pem)
}

/// Writes a file that nobody else can read, at no time.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_authority_is_made_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().join("serve");
        let first = Authority::open_or_make(&dir).expect("made");
        let again = Authority::open_or_make(&dir).expect("opened");
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
        let mode = dir.join(KEY).metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        again.server(&["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate");
        for name in ["näme", "not a name", ""] {
            let error = again.server(&[name.to_owned()]).map(drop).expect_err("not a name");
            assert!(matches!(error, TlsError::Name(_)), "{error}");
        }
    }

    #[test]
    fn certificates_of_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let made = oc_mirror_testkit::Certificates::make(dir.path());
        let read = |path: &Path| std::fs::read(path).expect("there");
        let (certificate, key) = (read(&made.certificate), read(&made.key));
        from_pem(&certificate, &key).expect("usable");
        let other = KeyPair::generate().expect("randomness").serialize_pem();
        let text = |outcome: Result<Arc<ServerConfig>, TlsError>| {
            outcome.map(drop).expect_err("refused").to_string()
        };
        assert!(text(from_pem(&certificate, other.as_bytes())).contains("with its key"));
        assert!(text(from_pem(b"", &key)).contains("there is none"));
        assert!(text(from_pem(&certificate, b"secret")).starts_with("the key cannot be used"));
    }
}
