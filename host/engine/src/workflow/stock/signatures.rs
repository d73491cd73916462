//! Signatures of releases that went along with what they sign.

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;

use super::Stock;
use crate::trust::release::{MOST_SIGNATURES, SignatureStore};

#[async_trait]
impl SignatureStore for Stock {
    fn name(&self) -> String {
        self.place().to_owned()
    }

    async fn signatures(&self, payload: &Digest) -> Result<Vec<(u32, Vec<u8>)>, String> {
        let path = |number: u32| {
            let (algorithm, hex) = (payload.algorithm().as_str(), payload.hex());
            format!("release-signatures/{algorithm}={hex}/signature-{number}")
        };
        let mut found = Vec::new();
        for number in 1..=MOST_SIGNATURES {
            if let Some(signature) = self.file(&path(number)).await {
                found.push((number, signature));
            }
        }
        Ok(found)
    }
}
