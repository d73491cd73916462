//! The policy `block`: refuses images by expression, glob or base image.
//!
//! [`Block`] is the plugin. Rules on references ([`names`]) are decided in planning, before anything is fetched; rules
//! on base images ([`base`]) once the image's manifests are there. Both refuse by giving a finding for each rule that
//! hit, so that the report names them all. It never lets an image pass that it could not judge: it answers an error.

mod base;
mod expression;
mod glob;
mod names;
mod settings;
mod view;

use oc_mirror_plugin_sdk::{
    Error, Image, ImageRequest, Plugin, Policy, Problem, StaticPolicy, Verdict, export_plugin,
};

use crate::base::BaseRules;
use crate::names::NameRules;
use crate::settings::Settings;
use crate::view::Host;

/// The plugin: its rules, ready to be asked.
struct Block {
    names: NameRules,
    bases: BaseRules,
}

impl Plugin for Block {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        let (names, bases) = settings.rules()?;
        Ok(Self { names, bases })
    }
}

impl StaticPolicy for Block {
    fn evaluate_reference(&self, request: &ImageRequest) -> Verdict {
        verdict(self.names.judge(request))
    }
}

impl Policy for Block {
    fn evaluate(&self, request: &ImageRequest, image: &Image) -> Result<Verdict, Error> {
        self.bases.judge(&Host, request, image).map(verdict)
    }
}

fn verdict(findings: Vec<oc_mirror_plugin_sdk::Finding>) -> Verdict {
    if findings.is_empty() { Verdict::Allow } else { Verdict::Deny(findings) }
}

export_plugin!(Block: policy, static_policy);
