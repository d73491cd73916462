//! [`Random`]: numbers and bytes that are the same on every machine for the same name, fast enough for gigabytes.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// A xoshiro256** generator. Its output is a stream of bytes as well.
#[derive(Clone, Debug)]
pub(super) struct Random([u64; 4]);

impl Random {
    /// Begins the sequence of this name.
    pub(super) fn of(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(digest.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        Self(state)
    }

    fn next(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.0;
        let result = s1.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= shifted;
        *s3 = s3.rotate_left(45);
        result
    }

    /// Returns a number between two others, each as likely as any.
    pub(super) fn uniform(&mut self, from: f64, to: f64) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        from + (to - from) * unit
    }

    /// Returns a number between two others, each order of magnitude as likely as any.
    pub(super) fn log_uniform(&mut self, from: f64, to: f64) -> f64 {
        self.uniform(from.ln(), to.ln()).exp()
    }
}

impl Read for Random {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_always_gives_the_same_and_no_two_names_do() {
        let bytes = |name: &str| {
            let mut bytes = [0; 20];
            Random::of(name).read_exact(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(bytes("a"), bytes("a"));
        assert_ne!(bytes("a"), bytes("b"));
        let mut random = Random::of("sizes");
        let sizes: Vec<f64> = (0..2000).map(|_| random.log_uniform(0.2e6, 5e6)).collect();
        assert!(sizes.iter().all(|size| (0.2e6..5e6).contains(size)));
        // Half of them are below the geometric mean, which is 1 MB.
        let small = sizes.iter().filter(|size| **size < 1e6).count();
        assert!((900..1100).contains(&small), "{small}");
    }
}
