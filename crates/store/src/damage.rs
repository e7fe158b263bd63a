//! [`Damage`]: what could not be read while a question was answered from a snapshot.
//!
//! A segment whose bytes are not what was written is left out of an answer, and named here, so that whoever asked can be told that
//! the answer may lack something. Errors of the system are not damage: they end the question.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::ReadError;

/// What could not be read, by file; clones are the same list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Damage(Arc<Mutex<BTreeMap<PathBuf, String>>>);

impl Damage {
    /// What was read, or nothing at all in place of what is damaged.
    pub(crate) fn pass<T: Default>(&self, read: Result<T, ReadError>) -> Result<T, ReadError> {
        match read {
            Err(ReadError::Corrupt { path, reason }) => {
                self.note(path, reason);
                Ok(T::default())
            }
            other => other,
        }
    }

    fn note(&self, path: PathBuf, reason: String) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.entry(path).or_insert_with_key(|path| {
            tracing::error!(path = %path.display(), reason, "what is stored is damaged; it is missing from an answer");
            reason
        });
    }

    /// What was noted, as errors.
    pub(crate) fn errors(&self) -> Vec<ReadError> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let error =
            |(path, reason): (&PathBuf, &String)| ReadError::Corrupt { path: path.clone(), reason: reason.clone() };
        noted.iter().map(error).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn damage_is_noted_and_errors_are_errors() {
        // Guarantees that damage gives nothing and is named once a file, and that what the system refuses is still an error.
        let damage = Damage::default();
        for reason in ["a wrong checksum", "another"] {
            let read: Result<Vec<u8>, _> = damage.clone().pass(Err(ReadError::corrupt("spans.parquet", reason)));
            assert!(read.is_ok_and(|bytes| bytes.is_empty()));
        }
        assert!(damage.pass::<u8>(Err(ReadError::io("x")(io::ErrorKind::PermissionDenied.into()))).is_err());
        assert_eq!(damage.pass(Ok(7)).ok(), Some(7));
        let errors: Vec<String> = damage.errors().iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["spans.parquet is damaged: a wrong checksum"]);
    }
}
