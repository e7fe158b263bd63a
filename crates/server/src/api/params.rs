//! Query parameters: typed, and strict. Unknown, repeated and unreadable ones are refused in words.

use std::fmt;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// Extracts `T` from the query string; a `T` that denies unknown fields makes unknown parameters a 400.
#[derive(Debug)]
pub struct Strict<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Strict<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let read = Query::<T>::try_from_uri(&parts.uri);
        read.map(|Query(params)| Strict(params)).map_err(|rejection| {
            let text = rejection.body_text();
            let cause = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            ApiError::bad_parameter(cause.replace("unknown field", "unknown parameter"))
        })
    }
}

/// An empty set of parameters: any parameter at all is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// Lets a type that is read from text be a parameter.
macro_rules! text_parameter {
    ($name:ident) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(<D::Error as serde::de::Error>::custom)
            }
        }
    };
}

pub(super) use text_parameter;

/// An instant: Unix nanoseconds or RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstantParam(pub u64);
text_parameter!(InstantParam);

impl FromStr for InstantParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(unix_nano) = text.parse() {
            return Ok(InstantParam(unix_nano));
        }
        let stamp: Result<jiff::Timestamp, _> = text.parse();
        let nanos = stamp.ok().and_then(|stamp| u64::try_from(stamp.as_nanosecond()).ok());
        nanos.map(InstantParam).ok_or_else(|| {
            format!("{text:?} is not an instant; write Unix nanoseconds or RFC 3339, such as 2026-11-20T18:00:00Z")
        })
    }
}

/// A span of time, as [`query::filter::literal::parse_duration_ns`] reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationParam(pub u64);
text_parameter!(DurationParam);

impl FromStr for DurationParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        query::filter::literal::parse_duration_ns(text)
            .map(DurationParam)
            .ok_or_else(|| format!("{text:?} is not a duration; write it like 35us, 10ms, 1.5s, 2m or 1h30m"))
    }
}

/// How many items to answer with: 1 … `MAX`, else `DEFAULT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitParam<const DEFAULT: usize, const MAX: usize>(pub usize);

impl<const DEFAULT: usize, const MAX: usize> Default for LimitParam<DEFAULT, MAX> {
    fn default() -> Self {
        LimitParam(DEFAULT)
    }
}

impl<'de, const DEFAULT: usize, const MAX: usize> Deserialize<'de> for LimitParam<DEFAULT, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limit = text.parse().ok().filter(|limit| (1..=MAX).contains(limit));
        limit.map(LimitParam).ok_or_else(|| D::Error::custom(format!("{text:?} is not a number from 1 to {MAX}")))
    }
}

/// An id in hex, of any case, short ones padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdParam<T>(pub T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for IdParam<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(IdParam).map_err(D::Error::custom)
    }
}

/// A list, and how to go on.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// To be passed as `cursor` for the items after these; null at the end.
    pub next_cursor: Option<String>,
    /// What to know about this list; left out if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<&'static str>,
}

/// The warning of an answer that lacks what is damaged.
pub const PARTIAL: &str = "something stored is damaged and may be missing here; the server's log says which file";

/// The warnings of an answer that is partial or not.
pub fn warnings(is_partial: bool) -> Vec<&'static str> {
    if is_partial { vec![PARTIAL] } else { Vec::new() }
}

impl<T> List<T> {
    /// A list that is all there is.
    pub fn whole(items: Vec<T>) -> List<T> {
        List { items, next_cursor: None, warnings: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_and_go_write_them() {
        // Guarantees one reading of durations: the units of our documents, Go's compound form, and plain nanoseconds.
        let cases = [("120ns", 120), ("35us", 35_000), ("35µs", 35_000), ("1.5s", 1_500_000_000), ("7", 7)];
        for (text, want) in cases.into_iter().chain([("1h30m", 5_400_000_000_000), ("1m0.5s", 60_500_000_000)]) {
            assert_eq!(text.parse(), Ok(DurationParam(want)), "{text}");
        }
        for text in ["", "s", "5 s", "-1s", "1x", "1s5", "1.2.3s"] {
            assert!(text.parse::<DurationParam>().is_err(), "{text}");
        }
    }

    #[test]
    fn instants_in_both_forms() {
        // Guarantees that an instant reads the same as a number and as RFC 3339, with any offset.
        assert_eq!("1763661600000000000".parse(), Ok(InstantParam(1_763_661_600_000_000_000)));
        assert_eq!("2025-11-20T18:00:00Z".parse(), Ok(InstantParam(1_763_661_600_000_000_000)));
        assert_eq!("2025-11-20T20:00:00+02:00".parse(), Ok(InstantParam(1_763_661_600_000_000_000)));
        assert!("yesterday".parse::<InstantParam>().is_err());
    }
}
