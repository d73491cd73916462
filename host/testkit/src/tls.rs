//! [`Certificates`]: an authority made for one test, and a server certificate for the loopback names.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// The files of a test's own certificate authority and of the server certificate it signed.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate, which a client is told to trust.
    pub authority: PathBuf,
    /// The server's certificate, for `127.0.0.1` and `localhost`.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
    /// A client's certificate, for the user `client` of the group `system:masters`.
    pub client_certificate: PathBuf,
    /// The client's private key.
    pub client_key: PathBuf,
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
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "client");
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client_key = key();
        let client = params.signed_by(&client_key, &authority).expect("the parameters are complete");
        // A directory of its own: skopeo takes every key beside a certificate for a client's.
        let trusted = directory.join("authority");
        let clients = directory.join("client");
        for directory in [&trusted, &clients] {
            fs::create_dir_all(directory).expect("the test's own directory is writable");
        }
        let made = Self {
            authority: trusted.join("ca.crt"),
            certificate: directory.join("server.crt"),
            key: directory.join("server.key"),
            client_certificate: clients.join("client.crt"),
            client_key: clients.join("client.key"),
        };
        let files = [
            (&made.authority, authority.pem()),
            (&made.certificate, certificate.pem()),
            (&made.key, server_key.serialize_pem()),
            (&made.client_certificate, client.pem()),
            (&made.client_key, client_key.serialize_pem()),
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
