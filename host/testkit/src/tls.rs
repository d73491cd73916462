//! [`Certificates`]: an authority made for one test, a server certificate for the loopback names, and one of a client.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// The files of a test's own certificate authority and of the certificates it signed.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate, which a client is told to trust.
    pub authority: PathBuf,
    /// The server's certificate, for `127.0.0.1` and `localhost`.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
    /// A directory with all that a client needs, as `certs.d` has it: `ca.crt`, `client.cert` and `client.key`, the latter
    /// two signed by the same authority.
    pub client: PathBuf,
}

impl Certificates {
    /// Makes the files in `directory`.
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
        let mut client = CertificateParams::default();
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        client.distinguished_name.push(DnType::CommonName, "test client");
        let client_key = key();
        let client = client.signed_by(&client_key, &authority).expect("the parameters are complete");
        // A directory of its own: skopeo takes every key beside a certificate for a client's.
        let trusted = directory.join("authority");
        let shown = directory.join("client");
        for dir in [&trusted, &shown] {
            fs::create_dir_all(dir).expect("the test's own directory is writable");
        }
        let made = Self {
            authority: trusted.join("ca.crt"),
            certificate: directory.join("server.crt"),
            key: directory.join("server.key"),
            client: shown.clone(),
        };
        let files = [
            (made.authority.clone(), authority.pem()),
            (made.certificate.clone(), certificate.pem()),
            (made.key.clone(), server_key.serialize_pem()),
            (shown.join("ca.crt"), authority.pem()),
            (shown.join("client.cert"), client.pem()),
            (shown.join("client.key"), client_key.serialize_pem()),
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
