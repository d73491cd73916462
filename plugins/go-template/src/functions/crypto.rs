//! What is random or secret in Sprig: stand-ins of the right form. Charts are rendered to find images, nothing is installed
//! from it, and a guest has neither random numbers nor a clock.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::Digest as _;

use super::{Answer, Args, Function, at_least, exactly};
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::value::Value;

/// The longest random string.
const MOST: i64 = 1 << 20;

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DIGITS: &str = "0123456789";

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "randAlphaNum" => exactly(1, |i, a| Ok(counted(i, a.int(0)?, &format!("{LETTERS}{DIGITS}"))?.into())),
        "randAlpha" => exactly(1, |i, a| Ok(counted(i, a.int(0)?, LETTERS)?.into())),
        "randAscii" => exactly(1, |i, a| {
            let printable: String = (' '..='~').collect();
            Ok(counted(i, a.int(0)?, &printable)?.into())
        }),
        "randNumeric" => exactly(1, |i, a| Ok(counted(i, a.int(0)?, DIGITS)?.into())),
        "randBytes" => exactly(1, |i, a| Ok(BASE64_STANDARD.encode(counted(i, a.int(0)?, LETTERS)?).into())),
        "randInt" => exactly(2, |_, a| {
            let (least, below) = (a.int(0)?, a.int(1)?);
            match least < below {
                true => Ok(Value::Int(least)),
                false => Err(Failure::fault("invalid argument to Intn")),
            }
        }),
        "uuidv4" => exactly(0, |i, _| {
            i.counter += 1;
            Ok(format!("00000000-0000-4000-8000-{:012x}", i.counter).into())
        }),
        "bcrypt" => exactly(1, |_, a| {
            a.text(0)?;
            Ok(bcrypt().into())
        }),
        "htpasswd" => at_least(2, |_, a| {
            a.text(1)?;
            Ok(format!("{}:{}", a.text(0)?, bcrypt()).into())
        }),
        "derivePassword" => exactly(5, |_, a| {
            a.int(0)?;
            let seed = (1..5).map(|at| a.text(at)).collect::<Result<Vec<_>, _>>()?.join("/");
            Ok(digest(&seed)[..16].into())
        }),
        "genPrivateKey" => exactly(1, |_, a| Ok(pem("RSA PRIVATE KEY", a.text(0)?).into())),
        "genCA"
        | "genCAWithKey"
        | "genSelfSignedCert"
        | "genSelfSignedCertWithKey"
        | "genSignedCert"
        | "genSignedCertWithKey" => at_least(2, |_, a| Ok(certificate(a.text(0)?))),
        "buildCustomCert" => exactly(2, |_, a| {
            let part = |text: &str| match BASE64_STANDARD.decode(text) {
                Ok(bytes) => Ok(Value::from(String::from_utf8_lossy(&bytes).into_owned())),
                Err(_) => Err(Failure::fault("unable to decode base64 certificate")),
            };
            Ok(Value::map([("Cert", part(a.text(0)?)?), ("Key", part(a.text(1)?)?)]))
        }),
        "encryptAES" => exactly(2, |_, a| {
            a.text(0)?;
            Ok(BASE64_STANDARD.encode(a.text(1)?).into())
        }),
        "decryptAES" => exactly(2, decrypt),
        _ => return None,
    })
}

/// Characters in the order in which they are asked for, so that no two strings are alike.
fn counted(interpreter: &mut Interpreter, count: i64, alphabet: &str) -> Result<String, Failure> {
    if count > MOST {
        return Err(Failure::limit(format!("a random string has more than {MOST} characters")));
    }
    interpreter.counter += 1;
    let skipped = usize::try_from(interpreter.counter).unwrap_or(0) % alphabet.len();
    let count = usize::try_from(count).unwrap_or(0);
    Ok(alphabet.chars().cycle().skip(skipped).take(count).collect())
}

fn digest(text: &str) -> String {
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bcrypt() -> String {
    format!("$2a$10${}", ".".repeat(53))
}

fn pem(kind: &str, of: &str) -> String {
    let body = BASE64_STANDARD.encode(format!("a stand-in, which secures nothing, for {of}"));
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

fn certificate(name: &str) -> Value {
    Value::map([
        ("Cert", Value::from(pem("CERTIFICATE", name))),
        ("Key", Value::from(pem("RSA PRIVATE KEY", name))),
    ])
}

fn decrypt(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    a.text(0)?;
    let bytes = BASE64_STANDARD.decode(a.text(1)?);
    let bytes = bytes.map_err(|_| Failure::fault("crypto: the text is not base64"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned().into())
}
