//! [`Options`]: every setting, once. The same struct is the flags, the environment, the keys of `longspan.toml` and the help.
//!
//! A field that nobody set is `None`; [`crate::settings`] puts flags, environment, file and defaults together.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use server::config::Listen;

/// Settings of which any may be missing.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Options {
    /// Read settings from this file [default: longspan.toml, if it exists]
    #[arg(long, env = "LONGSPAN_CONFIG", value_name = "FILE", global = true)]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Keep everything in this directory [default: longspan-data]
    #[arg(long, env = "LONGSPAN_DATA", value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Listen for OTLP over gRPC; off for not at all, port 0 for any free one [default: 127.0.0.1:4317]
    #[arg(long, env = "LONGSPAN_OTLP_GRPC", value_name = "ADDRESS", global = true)]
    pub(crate) otlp_grpc: Option<Text<Listen>>,
    /// Listen for OTLP over HTTP [default: 127.0.0.1:4318]
    #[arg(long, env = "LONGSPAN_OTLP_HTTP", value_name = "ADDRESS", global = true)]
    pub(crate) otlp_http: Option<Text<Listen>>,
    /// Serve the page and the API [default: 127.0.0.1:4319]
    #[arg(long, env = "LONGSPAN_API", value_name = "ADDRESS", global = true)]
    pub(crate) api: Option<Text<Listen>>,
    /// Listen for Zipkin spans, and serve Zipkin's query API [default: 127.0.0.1:9411]
    #[arg(long, env = "LONGSPAN_ZIPKIN", value_name = "ADDRESS", global = true)]
    pub(crate) zipkin: Option<Text<Listen>>,
    /// Serve Jaeger's query API [default: 127.0.0.1:16686]
    #[arg(long, env = "LONGSPAN_JAEGER", value_name = "ADDRESS", global = true)]
    pub(crate) jaeger: Option<Text<Listen>>,
    /// Listen for Jaeger spans over HTTP [default: 127.0.0.1:14268 if free]
    #[arg(long, env = "LONGSPAN_JAEGER_HTTP", value_name = "ADDRESS", global = true)]
    pub(crate) jaeger_http: Option<Text<Listen>>,
    /// Listen for Jaeger spans over gRPC [default: 127.0.0.1:14250 if free]
    #[arg(long, env = "LONGSPAN_JAEGER_GRPC", value_name = "ADDRESS", global = true)]
    pub(crate) jaeger_grpc: Option<Text<Listen>>,
    /// Listen for Jaeger spans in UDP datagrams, compact Thrift [default: 127.0.0.1:6831 if free]
    #[arg(long, env = "LONGSPAN_JAEGER_COMPACT", value_name = "ADDRESS", global = true)]
    pub(crate) jaeger_compact: Option<Text<Listen>>,
    /// Listen for Jaeger spans in UDP datagrams, binary Thrift [default: 127.0.0.1:6832 if free]
    #[arg(long, env = "LONGSPAN_JAEGER_BINARY", value_name = "ADDRESS", global = true)]
    pub(crate) jaeger_binary: Option<Text<Listen>>,
    /// Tell Jaeger's clients to record everything [default: 127.0.0.1:5778 if free]
    #[arg(long, env = "LONGSPAN_JAEGER_SAMPLING", value_name = "ADDRESS", global = true)]
    pub(crate) jaeger_sampling: Option<Text<Listen>>,
    /// Listen for OpenCensus spans over gRPC, as its agent does [default: 127.0.0.1:55678 if free]
    #[arg(long, env = "LONGSPAN_OPENCENSUS", value_name = "ADDRESS", global = true)]
    pub(crate) opencensus: Option<Text<Listen>>,
    /// Listen for AWS X-Ray segments in UDP datagrams and over HTTP, as its daemon does [default: 127.0.0.1:2000 if free]
    #[arg(long, env = "LONGSPAN_XRAY", value_name = "ADDRESS", global = true)]
    pub(crate) xray: Option<Text<Listen>>,
    /// Listen for log records as shippers send them to Elasticsearch [default: 127.0.0.1:9200 if free]
    #[arg(long, env = "LONGSPAN_ELASTICSEARCH", value_name = "ADDRESS", global = true)]
    pub(crate) elasticsearch: Option<Text<Listen>>,
    /// What an OK to a sender means [default: fsync]
    #[arg(long, env = "LONGSPAN_DURABILITY", value_name = "HOW", global = true)]
    pub(crate) durability: Option<Durability>,
    /// Drop spans older than this, such as 12h or 30d; off keeps them for ever [default: 30d]
    #[arg(long, env = "LONGSPAN_RETENTION_AGE", value_name = "AGE", global = true)]
    pub(crate) retention_age: Option<Text<Age>>,
    /// Drop the oldest days while more than this is stored, such as 50GB; off for no bound [default: off]
    #[arg(long, env = "LONGSPAN_RETENTION_BYTES", value_name = "SIZE", global = true)]
    pub(crate) retention_bytes: Option<Text<Size>>,
    /// Use at most about this much memory, such as 2GiB; off for 60 % of the machine [default: off]
    #[arg(long, env = "LONGSPAN_MEMORY_LIMIT", value_name = "SIZE", global = true)]
    pub(crate) memory_limit: Option<Text<Size>>,
    /// Refuse requests larger than this, before and after decompression [default: 64MiB]
    #[arg(long, env = "LONGSPAN_MAX_BODY_BYTES", value_name = "SIZE", global = true)]
    pub(crate) max_body_bytes: Option<Text<Size>>,
    /// Join a message to its sender by the value of this attribute where their context was lost, such as order.id; several with commas, or
    /// given again [default: none]
    #[arg(long, env = "LONGSPAN_CORRELATE", value_name = "KEY", value_delimiter = ',', global = true)]
    pub(crate) correlate: Option<Vec<String>>,
    /// Expect this of messages, such as "payment consumes orders within 30s" or "after POST /order, email is sent within 5m"; several
    /// with semicolons, or given again [default: none]
    #[arg(long, env = "LONGSPAN_EXPECT", value_name = "RULE", value_delimiter = ';', global = true)]
    pub(crate) expect: Option<Vec<String>>,
    /// Log from this level on: error, warn, info, debug, trace, or a filter such as info,server=debug [default: info]
    #[arg(long, env = "LONGSPAN_LOG_LEVEL", value_name = "LEVEL", global = true)]
    pub(crate) log_level: Option<String>,
    /// Write the log, which goes to stderr, in this form [default: text]
    #[arg(long, env = "LONGSPAN_LOG_FORMAT", value_name = "FORM", global = true)]
    pub(crate) log_format: Option<LogFormat>,
    /// Allow addresses other than loopback: whoever can reach them can read and write all traces
    #[arg(
        long,
        env = "LONGSPAN_INSECURE_OPEN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        global = true
    )]
    pub(crate) insecure_open: Option<bool>,
}

/// What an OK means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// On disk: synced before the OK
    Fsync,
    /// With the operating system: survives a crash of longspan, not a power cut
    Flush,
    /// In memory: may be lost with the process
    Async,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// A setting that is written as text wherever it is written. A number in the file is read as its digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: FromStr> FromStr for Text<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.parse().map(Text)
    }
}

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map(Text).map_err(D::Error::custom)
    }
}

/// A time to keep things; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) Option<Duration>);

/// A number of bytes; `None` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) Option<u64>);

const AGE_UNITS: [(&str, u64); 4] = [("m", 60), ("h", 3600), ("d", 24 * 3600), ("w", 7 * 24 * 3600)];
/// Longest names first, so that `B` does not take the `B` of `GB`.
const SIZE_UNITS: [(&str, u64); 11] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
    ("", 1),
];

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// The largest unit that writes a number without a fraction.
fn written(number: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fitting = units.iter().filter(|(_, factor)| number.is_multiple_of(*factor));
    let &(name, factor) = fitting.max_by_key(|(_, factor)| *factor).unwrap_or(&("", 1));
    write!(f, "{}{name}", number / factor)
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Age, String> {
        if text == "off" {
            return Ok(Age(None));
        }
        let seconds = quantity(text, &AGE_UNITS).filter(|&seconds| seconds > 0);
        let age = seconds.map(|seconds| Age(Some(Duration::from_secs(seconds))));
        age.ok_or_else(|| format!("{text:?} is not an age; write it like 12h, 30d or 8w, or off"))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(age) => written(age.as_secs(), &AGE_UNITS, f),
            None => f.write_str("off"),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        if text == "off" {
            return Ok(Size(None));
        }
        let bytes = quantity(text, &SIZE_UNITS).filter(|&bytes| bytes > 0);
        bytes
            .map(|bytes| Size(Some(bytes)))
            .ok_or_else(|| format!("{text:?} is not a size; write it like 500MB or 2GiB"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => written(bytes, &SIZE_UNITS, f),
            None => f.write_str("off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_come_back_as_written() {
        // Guarantees that what `config show` prints reads as the same setting, and that nonsense is refused.
        for text in ["12h", "30d", "8w", "90m", "off"] {
            assert_eq!(text.parse::<Age>().unwrap().to_string(), text);
        }
        for text in ["64MiB", "2GiB", "50GB", "off"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("1000".parse(), Ok(Size(Some(1000))));
        for text in ["", "d", "3", "0d", "-1h", "1 fortnight", "99999999999999999999d"] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
        assert!("1XB".parse::<Size>().is_err() && "0".parse::<Size>().is_err());
    }
}
