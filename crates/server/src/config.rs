//! [`ServerOptions`]: everything that can be set, as the server wants it.
//!
//! The binary fills it from flags, environment and file; nothing below reads an environment variable or a file of settings.
//! [`ServerOptions::validate`] is the one place that says no to a combination.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use flow::engine::rule::{Rule, RuleError};
use thiserror::Error;

/// How sure an OK is: see [`store::Durability`].
pub use store::Durability;

const DAY: Duration = Duration::from_hours(24);
/// A body of less would refuse ordinary requests.
const SMALLEST_BODY_LIMIT_BYTES: u64 = 64 << 10;
/// The decoders take no more.
const LARGEST_BODY_LIMIT_BYTES: u64 = wire::BODY_BYTES_MAX as u64;

/// Where a listener listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// At this address; port 0 lets the system choose one.
    At(SocketAddr),
    /// At this address unless somebody else has it: how protocols are offered that nobody asked for by name.
    IfFree(SocketAddr),
    /// Nowhere.
    Off,
}

/// How [`Listen::IfFree`] is written, behind the address.
const IF_FREE: &str = " if free";

impl Listen {
    /// On the loopback interface.
    pub const fn loopback(port: u16) -> Listen {
        Listen::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// On the loopback interface if the port is free.
    pub const fn loopback_if_free(port: u16) -> Listen {
        Listen::IfFree(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// Where, unless it is off.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Listen::At(address) | Listen::IfFree(address) => Some(address),
            Listen::Off => None,
        }
    }
}

impl FromStr for Listen {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Listen, OptionsError> {
        if text == "off" {
            return Ok(Listen::Off);
        }
        if let Some(address) = text.strip_suffix(IF_FREE) {
            return Ok(match address.parse()? {
                Listen::At(address) => Listen::IfFree(address),
                other => other,
            });
        }
        let numeric =
            text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
        numeric.parse().map(Listen::At).map_err(|_| OptionsError::Address(text.to_owned()))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::At(address) => address.fmt(f),
            Listen::IfFree(address) => write!(f, "{address}{IF_FREE}"),
            Listen::Off => f.write_str("off"),
        }
    }
}

/// Settings that cannot be run with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// Not an address.
    #[error("{0:?} is not an address: write IP:PORT (such as 127.0.0.1:4318), or off")]
    Address(String),
    /// Not a loopback address, and nobody said that this is meant.
    #[error(
        "{listener} would listen on {address}, where anyone who reaches this machine can read and write all traces; \
         pass --insecure-open if that is meant, or use a loopback address"
    )]
    Public {
        /// Which listener.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// A body limit out of reason.
    #[error("--max-body-bytes must be between 64 KiB and 256 MiB")]
    BodyLimit,
    /// Something that is expected, but not in words that are understood.
    #[error("--expect {rule:?}: {error}; write it like: payment consumes orders within 30s")]
    Expectation {
        /// What was written.
        rule: String,
        /// What is wrong with it.
        error: RuleError,
    },
    /// The page and the API are what the program is for.
    #[error("--api cannot be off: the page, the API and the health checks live there")]
    ApiOff,
    /// Two listeners at one address.
    #[error("{first} and {second} cannot both listen on {address}")]
    SameAddress {
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Where.
        address: SocketAddr,
    },
}

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The data directory.
    pub data: PathBuf,
    /// OTLP over gRPC.
    pub otlp_grpc: Listen,
    /// OTLP over HTTP.
    pub otlp_http: Listen,
    /// The page and the API.
    pub api: Listen,
    /// Zipkin, both ways.
    pub zipkin: Listen,
    /// Jaeger's query API.
    pub jaeger: Listen,
    /// Jaeger's spans over HTTP.
    pub jaeger_http: Listen,
    /// Jaeger's spans over gRPC.
    pub jaeger_grpc: Listen,
    /// Jaeger's spans in datagrams, as compact Thrift.
    pub jaeger_compact: Listen,
    /// Jaeger's spans in datagrams, as binary Thrift.
    pub jaeger_binary: Listen,
    /// Where Jaeger's clients ask how much to record.
    pub jaeger_sampling: Listen,
    /// OpenCensus's agent.
    pub opencensus: Listen,
    /// X-Ray's daemon: datagrams, and HTTP on the same port number.
    pub xray: Listen,
    /// Log records as they are sent to Elasticsearch.
    pub elasticsearch: Listen,
    /// How sure an OK is.
    pub durability: Durability,
    /// Days whose last span is older are dropped.
    pub retention_age: Option<Duration>,
    /// The oldest days are dropped while more than this is stored.
    pub retention_bytes: Option<u64>,
    /// What the process may use of the machine's memory; see [`crate::memory`].
    pub memory_limit_bytes: Option<u64>,
    /// Largest body, before and after decompression.
    pub max_body_bytes: u64,
    /// Attribute keys whose values tell that a consumer got what a producer sent, where its context was lost.
    pub correlate: Vec<String>,
    /// What is expected of messages, as sentences: see [`flow::engine::rule`].
    pub expect: Vec<String>,
    /// Whether addresses other than loopback are allowed.
    pub insecure_open: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            data: PathBuf::from("longspan-data"),
            otlp_grpc: Listen::loopback(4317),
            otlp_http: Listen::loopback(4318),
            api: Listen::loopback(4319),
            zipkin: Listen::loopback(9411),
            jaeger: Listen::loopback(16686),
            jaeger_http: Listen::loopback_if_free(14268),
            jaeger_grpc: Listen::loopback_if_free(14250),
            jaeger_compact: Listen::loopback_if_free(6831),
            jaeger_binary: Listen::loopback_if_free(6832),
            jaeger_sampling: Listen::loopback_if_free(5778),
            opencensus: Listen::loopback_if_free(55678),
            xray: Listen::loopback_if_free(2000),
            elasticsearch: Listen::loopback_if_free(9200),
            durability: Durability::Fsync,
            retention_age: Some(30 * DAY),
            retention_bytes: None,
            memory_limit_bytes: None,
            max_body_bytes: 64 << 20,
            correlate: Vec::new(),
            expect: Vec::new(),
            insecure_open: false,
        }
    }
}

impl ServerOptions {
    /// All listeners with the names they have in flags and in `listening.json`.
    pub fn listeners(&self) -> [(&'static str, Listen); 13] {
        [
            ("otlp_grpc", self.otlp_grpc),
            ("otlp_http", self.otlp_http),
            ("api", self.api),
            ("zipkin", self.zipkin),
            ("jaeger", self.jaeger),
            ("jaeger_http", self.jaeger_http),
            ("jaeger_grpc", self.jaeger_grpc),
            ("jaeger_compact", self.jaeger_compact),
            ("jaeger_binary", self.jaeger_binary),
            ("jaeger_sampling", self.jaeger_sampling),
            ("opencensus", self.opencensus),
            ("xray", self.xray),
            ("elasticsearch", self.elasticsearch),
        ]
    }

    /// What is expected, read.
    pub fn rules(&self) -> Result<Vec<Rule>, OptionsError> {
        let read = |text: &String| {
            let refused = |error| OptionsError::Expectation { rule: text.clone(), error };
            text.parse().map_err(refused)
        };
        self.expect.iter().filter(|text| !text.trim().is_empty()).map(read).collect()
    }

    /// Says no to what cannot be run, in a sentence for whoever started it.
    pub fn validate(&self) -> Result<(), OptionsError> {
        self.rules()?;
        if self.api == Listen::Off {
            return Err(OptionsError::ApiOff);
        }
        if !(SMALLEST_BODY_LIMIT_BYTES..=LARGEST_BODY_LIMIT_BYTES).contains(&self.max_body_bytes) {
            return Err(OptionsError::BodyLimit);
        }
        let mut taken: Vec<(&'static str, SocketAddr)> = Vec::new();
        for (listener, listen) in self.listeners() {
            let Some(address) = listen.address() else { continue };
            if !address.ip().is_loopback() && !self.insecure_open {
                return Err(OptionsError::Public { listener, address });
            }
            let same = taken.iter().find(|(_, other)| address.port() != 0 && *other == address);
            if let Some(&(first, _)) = same {
                return Err(OptionsError::SameAddress { first, second: listener, address });
            }
            taken.push((listener, address));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_loopback_and_valid() {
        // Guarantees that zero settings are enough, and that they open nothing to the network.
        let options = ServerOptions::default();
        assert_eq!(options.validate(), Ok(()));
        for (_, listen) in options.listeners() {
            assert!(listen.address().is_some_and(|address| address.ip().is_loopback()));
        }
    }

    #[test]
    fn a_public_address_must_be_meant() {
        // Guarantees that no address beyond loopback opens without --insecure-open.
        let mut options = ServerOptions { zipkin: "0.0.0.0:9411".parse().unwrap(), ..ServerOptions::default() };
        assert!(matches!(options.validate(), Err(OptionsError::Public { listener: "zipkin", .. })));
        options.insecure_open = true;
        assert_eq!(options.validate(), Ok(()));
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        // Guarantees that off, localhost and IPv6 are understood, and that a bare port or a host name is refused in words.
        assert_eq!("off".parse(), Ok(Listen::Off));
        assert_eq!("localhost:0".parse(), Ok(Listen::loopback(0)));
        assert!(matches!("[::1]:4318".parse(), Ok(Listen::At(address)) if address.is_ipv6()));
        let if_free: Listen = "localhost:6831 if free".parse().unwrap();
        assert_eq!(
            (if_free, if_free.to_string()),
            (Listen::loopback_if_free(6831), "127.0.0.1:6831 if free".to_owned())
        );
        assert!("4318".parse::<Listen>().unwrap_err().to_string().contains("127.0.0.1:4318"));
        assert!("example.com:80".parse::<Listen>().is_err());
    }

    #[test]
    fn what_is_expected_must_be_understood() {
        // Guarantees that a bad expectation in the settings stops the start with its words and the place of the fault.
        let with = |rule: &str| ServerOptions { expect: vec![rule.to_owned()], ..ServerOptions::default() };
        assert_eq!(with("after POST /order, email is sent within 5m").validate(), Ok(()));
        let refused = with("mail eats orders within 1s").validate().unwrap_err().to_string();
        assert!(refused.contains("mail eats orders") && refused.contains("byte 5"), "{refused}");
    }

    #[test]
    fn two_listeners_cannot_share_an_address() {
        // Guarantees that a clash inside our own settings is named, not reported as a port somebody else has.
        let clash = ServerOptions { zipkin: Listen::loopback(4318), ..ServerOptions::default() };
        assert!(matches!(clash.validate(), Err(OptionsError::SameAddress { first: "otlp_http", .. })));
    }
}
