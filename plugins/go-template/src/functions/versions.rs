//! Sprig's functions for versions.

use std::rc::Rc;

use super::{Function, exactly};
use crate::failure::Failure;
use crate::value::{Object, Value};
use crate::version::{Constraint, Version};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "semver" => exactly(1, |_, a| Ok(Value::Object(Rc::new(parse(a.text(0)?)?)))),
        "semverCompare" => exactly(2, |_, a| {
            let text = a.text(0)?;
            let constraint = Constraint::parse(text)
                .ok_or_else(|| Failure::fault(format!("improper constraint: {text}")))?;
            Ok(constraint.admits(&parse(a.text(1)?)?).into())
        }),
        _ => return None,
    })
}

fn parse(text: &str) -> Result<Version, Failure> {
    Version::parse(text).ok_or_else(|| Failure::fault("invalid semantic version"))
}

impl Object for Version {
    fn type_name(&self) -> &'static str {
        "*semver.Version"
    }

    fn member(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, Failure>> {
        let number = |number: u64| Value::Int64(i64::try_from(number).unwrap_or(i64::MAX));
        let other = || {
            let text = arguments.first().map(|value| match value {
                Value::Object(object) => object.text(),
                other => other.as_str().unwrap_or_default().to_owned(),
            });
            parse(&text.unwrap_or_default())
        };
        Some(Ok(match name {
            "Major" => number(self.parsed.major),
            "Minor" => number(self.parsed.minor),
            "Patch" => number(self.parsed.patch),
            "Prerelease" => self.parsed.pre.as_str().into(),
            "Metadata" => self.parsed.build.as_str().into(),
            "Original" => self.original.as_str().into(),
            "String" => self.to_string().into(),
            "Compare" => return Some(other().map(|other| Value::Int(self.compare(&other) as i64))),
            "Equal" => return Some(other().map(|other| self.compare(&other).is_eq().into())),
            "LessThan" => return Some(other().map(|other| self.compare(&other).is_lt().into())),
            "GreaterThan" => return Some(other().map(|other| self.compare(&other).is_gt().into())),
            _ => return None,
        }))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}
