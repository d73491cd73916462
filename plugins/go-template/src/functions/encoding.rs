//! Encodings, documents and checksums.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::Digest as _;

use super::{Answer, Args, Function, exactly};
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::json::{self, Style};
use crate::value::{Map, Value};
use crate::yaml::{self, Layout};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "b64enc" => exactly(1, |_, a| Ok(BASE64_STANDARD.encode(a.text(0)?).into())),
        "b64dec" => exactly(1, |_, a| {
            let packed: String = a.text(0)?.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            Ok(match BASE64_STANDARD.decode(packed) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) => format!("illegal base64 data: {error}"),
            }
            .into())
        }),
        "b32enc" => exactly(1, |_, a| Ok(base32(a.text(0)?.as_bytes()).into())),
        "b32dec" => exactly(1, |_, a| Ok(from_base32(a.text(0)?).into())),
        "sha1sum" => exactly(1, |_, a| Ok(hex(&sha1::Sha1::digest(a.text(0)?)).into())),
        "sha256sum" => exactly(1, |_, a| Ok(hex(&sha2::Sha256::digest(a.text(0)?)).into())),
        "sha512sum" => exactly(1, |_, a| Ok(hex(&sha2::Sha512::digest(a.text(0)?)).into())),
        "adler32sum" => exactly(1, |_, a| Ok(adler32(a.text(0)?.as_bytes()).to_string().into())),
        "toJson" | "mustToJson" => exactly(1, |i, a| to_json(i, a, Style::Compact)),
        "toRawJson" | "mustToRawJson" => exactly(1, |i, a| to_json(i, a, Style::Raw)),
        "toPrettyJson" | "mustToPrettyJson" => exactly(1, |i, a| to_json(i, a, Style::Pretty)),
        "fromJson" => exactly(1, |_, a| Ok(as_map(json::read(a.text(0)?)))),
        "fromJsonArray" => exactly(1, |_, a| Ok(as_list(json::read(a.text(0)?)))),
        "mustFromJson" => exactly(1, |_, a| json::read(a.text(0)?).map_err(Failure::fault)),
        "toYaml" | "mustToYaml" => exactly(1, |i, a| to_yaml(i, a, Layout::Flush)),
        "toYamlPretty" => exactly(1, |i, a| to_yaml(i, a, Layout::Indented)),
        "fromYaml" => exactly(1, |_, a| Ok(as_map(yaml::read(a.text(0)?)))),
        "fromYamlArray" => exactly(1, |_, a| Ok(as_list(yaml::read(a.text(0)?)))),
        _ => return None,
    })
}

/// What cannot be written is nothing, unless a limit says so.
fn or_nothing(written: Result<String, Failure>) -> Answer {
    match written {
        Err(failure) if failure.is_limit() => Err(failure),
        written => Ok(written.unwrap_or_default().into()),
    }
}

fn to_json(interpreter: &mut Interpreter, a: &Args<'_>, style: Style) -> Answer {
    let written = json::write(a.any(0), style, interpreter.budget());
    match a.name.starts_with("must") {
        true => written.map(Value::from),
        false => or_nothing(written),
    }
}

fn to_yaml(interpreter: &mut Interpreter, a: &Args<'_>, layout: Layout) -> Answer {
    or_nothing(yaml::write(a.any(0), layout, interpreter.budget()))
}

/// Helm answers with a dictionary in any case: what is wrong with the document is in it.
fn as_map(read: Result<Value, String>) -> Value {
    let error = match read {
        Ok(Value::Map(map)) => return Value::Map(map),
        Ok(Value::Nil) => return Value::Map(Map::new()),
        Ok(other) => format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type \
             map[string]interface {{}}",
            json_type(&other)
        ),
        Err(error) => error,
    };
    Value::map([("Error", Value::from(error))])
}

fn as_list(read: Result<Value, String>) -> Value {
    let error = match read {
        Ok(Value::List(list)) => return Value::List(list),
        Ok(Value::Nil) => return Value::list([]),
        Ok(other) => format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type \
             []interface {{}}",
            json_type(&other)
        ),
        Err(error) => error,
    };
    Value::list([error.into()])
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::Text(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
        _ => "number",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % MODULUS;
        (a, (b + a) % MODULUS)
    });
    b << 16 | a
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(5) {
        let mut bits = [0; 8];
        bits[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(bits);
        let used = (group.len() * 8).div_ceil(5);
        for place in 0..8 {
            let digit = (bits >> (35 - 5 * place)) & 31;
            out.push(if place < used {
                char::from(BASE32[usize::try_from(digit).unwrap_or(0)])
            } else {
                '='
            });
        }
    }
    out
}

fn from_base32(text: &str) -> String {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for (at, c) in text.bytes().filter(|c| !matches!(c, b'\r' | b'\n')).enumerate() {
        if c == b'=' {
            break;
        }
        let Some(digit) = BASE32.iter().position(|known| *known == c) else {
            return format!("illegal base32 data at input byte {at}");
        };
        bits = (bits << 5 | u32::try_from(digit).unwrap_or(0)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap_or(0));
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
