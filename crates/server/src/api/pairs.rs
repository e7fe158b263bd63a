//! Query parameters as the compatible APIs read them: unknown ones are ignored, and some names have older spellings.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::error::ApiError;

/// All parameters in order.
#[derive(Debug)]
pub struct Pairs(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Pairs {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let read = Query::try_from_uri(&parts.uri);
        read.map(|Query(pairs)| Pairs(pairs)).map_err(|rejection| ApiError::bad_parameter(rejection.body_text()))
    }
}

impl Pairs {
    /// The first value that is not empty of the first of these names that has one.
    pub fn get<'a>(&'a self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| self.all(name).find(|value| !value.is_empty()))
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A value that `T` reads.
    pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&self, names: &[&str]) -> Result<Option<T>, ApiError> {
        let read = |text: &str| {
            text.parse().map_err(|error| ApiError::bad_parameter(format!("malformed parameter {}: {error}", names[0])))
        };
        self.get(names).map(read).transpose()
    }
}
