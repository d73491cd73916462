//! [`Certificate`]: whom a short-lived certificate of Fulcio, or of an authority that works like it, was issued to.

use oc_mirror_model::pattern;
use oc_mirror_model::signer::Identity;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::{Any, FromDer, Oid};
use x509_parser::der_parser::oid;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use super::public_key::PublicKey;
use super::rekor::LoggedSigner;

/// The most certificates in one text. A chain has two or three.
const MOST: usize = 16;

/// The use for which signers have their certificates: code signing.
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];

/// Who vouched for the subject: plain text, as Fulcio wrote it first, and a DER string.
const ISSUER: Oid<'static> = oid!(1.3.6.1.4.1.57264.1.1);
const ISSUER_V2: Oid<'static> = oid!(1.3.6.1.4.1.57264.1.8);

/// The kind of name that subjects have which are neither an address nor a URI.
const USERNAME: Oid<'static> = oid!(1.3.6.1.4.1.57264.1.7);

/// Authorities whose certificates count.
#[derive(Debug, Default)]
pub(super) struct Authorities(Vec<TrustAnchor<'static>>);

impl Authorities {
    /// Reads certificates; each of the texts may hold several. They are trusted as they are, whoever issued them.
    pub(super) fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut anchors = Vec::new();
        for text in texts {
            for der in unwrapped(text)? {
                let der = CertificateDer::from(der);
                let anchor = anchor_from_trusted_cert(&der).map_err(|e| format!("is not one: {e}"))?;
                anchors.push(anchor.to_owned());
            }
        }
        Ok(Self(anchors))
    }
}

/// A certificate of a signer, that of no authority.
#[derive(Debug)]
pub(super) struct Certificate {
    der: CertificateDer<'static>,
    /// The certificates between it and an authority.
    chain: Vec<CertificateDer<'static>>,
    /// The key that signed.
    pub(super) key: PublicKey,
    /// Whom it was issued to.
    pub(super) subject: String,
    /// Who vouched for them.
    pub(super) issuer: String,
}

impl Certificate {
    /// Reads a certificate, and those between it and an authority. Nothing of it is checked yet.
    pub(super) fn parse(pem: &str, chain: &str) -> Result<Self, String> {
        let mut own = unwrapped(pem)?;
        let (Some(der), None) = (own.pop(), own.pop()) else { return Err("is not one".to_owned()) };
        let chain = if chain.trim().is_empty() { Vec::new() } else { unwrapped(chain)? };
        let (rest, read) = X509Certificate::from_der(&der).map_err(|e| format!("cannot be read: {e}"))?;
        if !rest.is_empty() {
            return Err("is followed by something".to_owned());
        }
        let may_sign = read.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.code_signing);
        if !may_sign {
            return Err("is not for signing".to_owned());
        }
        let key = PublicKey::from_der(read.public_key().raw.to_vec())?;
        let (subject, issuer) = (subject(&read)?, issuer(&read)?);
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Ok(Self { key, subject, issuer, chain, der: CertificateDer::from(der) })
    }

    /// Checks that it was issued by one of the authorities, and valid at a time, in seconds since 1970.
    pub(super) fn check(&self, authorities: &Authorities, at: u64) -> Result<(), String> {
        let unusable = |e: webpki::Error| format!("does not count: {e}");
        let end = EndEntityCert::try_from(&self.der).map_err(unusable)?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let usage = KeyUsage::required_if_present(CODE_SIGNING);
        let algorithms = [
            ring::ECDSA_P256_SHA256,
            ring::ECDSA_P256_SHA384,
            ring::ECDSA_P384_SHA256,
            ring::ECDSA_P384_SHA384,
            ring::ED25519,
            ring::RSA_PKCS1_2048_8192_SHA256,
            ring::RSA_PKCS1_2048_8192_SHA384,
            ring::RSA_PKCS1_2048_8192_SHA512,
        ];
        let path = end.verify_for_usage(&algorithms, &authorities.0, &self.chain, time, usage, None, None);
        path.map(drop).map_err(unusable)
    }

    /// Answers whether it was issued to this identity.
    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        self.issuer == identity.issuer && pattern::matches(&identity.subject, &self.subject)
    }
}

impl LoggedSigner for Certificate {
    fn is_logged_as(&self, pem: &[u8]) -> bool {
        let text = std::str::from_utf8(pem).ok();
        let ders = text.and_then(|text| unwrapped(text).ok()).unwrap_or_default();
        matches!(ders.as_slice(), [only] if only[..] == self.der[..])
    }
}

/// Returns the certificates in a text, which holds nothing else: at least one.
fn unwrapped(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    for pem in Pem::iter_from_buffer(text.as_bytes()) {
        let pem = pem.map_err(|e| format!("is not PEM: {e}"))?;
        if pem.label != "CERTIFICATE" {
            return Err(format!("is a `{}`", pem.label.escape_default()));
        }
        found.push(pem.contents);
        if found.len() > MOST {
            return Err(format!("has more than {MOST} certificates"));
        }
    }
    if found.is_empty() { Err("holds no certificate in PEM".to_owned()) } else { Ok(found) }
}

/// Returns the one name of the subject.
fn subject(certificate: &X509Certificate<'_>) -> Result<String, String> {
    let names = certificate.subject_alternative_name().map_err(|e| format!("cannot be read: {e}"))?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let [name] = names else { return Err(format!("has {} names instead of one", names.len())) };
    let text = match name {
        GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        // A string within an explicit tag.
        GeneralName::OtherName(kind, value) if *kind == USERNAME => {
            let inner = Any::from_der(value).ok().and_then(|(_, outer)| string(outer.data));
            inner.or_else(|| string(value))
        }
        _ => None,
    };
    text.filter(|text| !text.is_empty()).ok_or_else(|| "has a name of a kind that is not known".to_owned())
}

/// Returns who vouched for the subject.
fn issuer(certificate: &X509Certificate<'_>) -> Result<String, String> {
    let read = |wanted: &Oid<'_>| {
        let found = certificate.get_extension_unique(wanted);
        Ok::<_, String>(found.map_err(|_| "says twice who vouched".to_owned())?.map(|found| found.value))
    };
    let (first, second) = (read(&ISSUER)?, read(&ISSUER_V2)?);
    let first = first.map(|bytes| String::from_utf8(bytes.to_vec()).map_err(|_| "is not text".to_owned()));
    let second = second.map(|bytes| string(bytes).ok_or_else(|| "is not text".to_owned()));
    match (first.transpose()?, second.transpose()?) {
        (Some(first), Some(second)) if first != second => Err("says two things about who vouched".to_owned()),
        (_, Some(issuer)) | (Some(issuer), None) => Ok(issuer),
        (None, None) => Err("does not say who vouched for its subject".to_owned()),
    }
}

/// Reads a string in DER that fills its bytes.
fn string(der: &[u8]) -> Option<String> {
    let (rest, any) = Any::from_der(der).ok()?;
    let text = std::str::from_utf8(any.data).ok()?;
    // 12: a UTF8String.
    (rest.is_empty() && any.header.tag().0 == 12).then(|| text.to_owned())
}
