//! [`Certificates`]: an authority made for one test, and a server certificate for the loopback names.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// The files of a test's own certificate authority and of the server certificate it signed.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate, which a client is told to trust.
    pub authority: PathBuf,
    /// The server's certificate, for `127.0.0.1` and `localhost`.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes the three files in `directory`.
    pub fn make(directory: &Path) -> Self {
        // The certificate of an authority is refused by rustls as a server's own, hence two of them.
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("the parameters are complete");
        let names = ["127.0.0.1", "localhost"].map(String::from);
        let server = CertificateParams::new(names).expect("the names are valid");
        let server_key = key();
        let certificate = server.signed_by(&server_key, &authority).expect("the parameters are complete");
        // A directory of its own: skopeo takes every key beside a certificate for a client's.
        let trusted = directory.join("authority");
        fs::create_dir_all(&trusted).expect("the test's own directory is writable");
        let made = Self {
            authority: trusted.join("ca.crt"),
            certificate: directory.join("server.crt"),
            key: directory.join("server.key"),
        };
        let files = [
            (&made.authority, authority.pem()),
            (&made.certificate, certificate.pem()),
            (&made.key, server_key.serialize_pem()),
        ];
        for (path, text) in files {
            fs::write(path, text).expect("the test's own directory is writable");
        }
        made
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("this machine has randomness")
}
