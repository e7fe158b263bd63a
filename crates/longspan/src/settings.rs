//! From flags, environment, file and defaults to the settings a command runs with. The order of precedence is that order.

use std::path::Path;

use anyhow::{Context, Result, bail};
use server::config::{Durability as Sureness, ServerOptions};
use toml::Table;

use crate::options::{Age, Durability, LogFormat, Options, Size, Text};

/// Read when it lies in the current directory and no other file is named.
const USUAL_FILE: &str = "longspan.toml";

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag or the environment.
    CommandLine,
    /// The file.
    File,
    /// Nobody set it.
    Default,
}

/// All settings, each with a value.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Every field is set.
    pub(crate) options: Options,
    given: Table,
    file: Table,
}

impl Settings {
    /// Puts what was given on the command line and in the environment over the file, and the file over the defaults.
    pub(crate) fn read(given: &Options) -> Result<Settings> {
        let file = match &given.config {
            Some(path) => read_file(path)?,
            None if Path::new(USUAL_FILE).exists() => read_file(Path::new(USUAL_FILE))?,
            None => Table::new(),
        };
        Settings::merge(given, file)
    }

    fn merge(given: &Options, file: Table) -> Result<Settings> {
        let given = Table::try_from(given).context("the settings cannot be written as a table")?;
        let mut all = Table::try_from(defaults()).context("the defaults cannot be written as a table")?;
        all.extend(file.clone());
        all.extend(given.clone());
        Ok(Settings { options: all.try_into().context("the settings do not fit together")?, given, file })
    }

    /// Where a setting comes from, by its key.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        if self.given.contains_key(key) {
            Origin::CommandLine
        } else if self.file.contains_key(key) {
            Origin::File
        } else {
            Origin::Default
        }
    }

    /// As the server wants them.
    pub(crate) fn server(&self) -> ServerOptions {
        let mut server = ServerOptions::default();
        let options = &self.options;
        set(&mut server.data, options.data.clone());
        set(&mut server.otlp_grpc, options.otlp_grpc.map(|text| text.0));
        set(&mut server.otlp_http, options.otlp_http.map(|text| text.0));
        set(&mut server.api, options.api.map(|text| text.0));
        set(&mut server.zipkin, options.zipkin.map(|text| text.0));
        set(&mut server.jaeger, options.jaeger.map(|text| text.0));
        set(&mut server.jaeger_http, options.jaeger_http.map(|text| text.0));
        set(&mut server.jaeger_grpc, options.jaeger_grpc.map(|text| text.0));
        set(&mut server.jaeger_compact, options.jaeger_compact.map(|text| text.0));
        set(&mut server.jaeger_binary, options.jaeger_binary.map(|text| text.0));
        set(&mut server.jaeger_sampling, options.jaeger_sampling.map(|text| text.0));
        set(&mut server.opencensus, options.opencensus.map(|text| text.0));
        set(&mut server.xray, options.xray.map(|text| text.0));
        set(&mut server.elasticsearch, options.elasticsearch.map(|text| text.0));
        set(&mut server.durability, options.durability.map(sureness));
        set(&mut server.retention_age, options.retention_age.map(|text| text.0.0));
        set(&mut server.retention_bytes, options.retention_bytes.map(|text| text.0.0));
        set(&mut server.memory_limit_bytes, options.memory_limit.map(|text| text.0.0));
        set(&mut server.max_body_bytes, options.max_body_bytes.and_then(|text| text.0.0));
        set(&mut server.correlate, options.correlate.clone());
        set(&mut server.expect, options.expect.clone());
        set(&mut server.insecure_open, options.insecure_open);
        server
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn sureness(durability: Durability) -> Sureness {
    match durability {
        Durability::Fsync => Sureness::Fsync,
        Durability::Flush => Sureness::Flush,
        Durability::Async => Sureness::Async,
    }
}

fn read_file(path: &Path) -> Result<Table> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the settings in {}", path.display()))?;
    // Read as settings first, so that a wrong key or value is reported with its line.
    if let Err(error) = toml::from_str::<Options>(&text) {
        bail!("{} cannot be used: {error}", path.display());
    }
    text.parse().with_context(|| format!("{} cannot be used", path.display()))
}

fn defaults() -> Options {
    let server = ServerOptions::default();
    Options {
        config: None,
        data: Some(server.data),
        otlp_grpc: Some(Text(server.otlp_grpc)),
        otlp_http: Some(Text(server.otlp_http)),
        api: Some(Text(server.api)),
        zipkin: Some(Text(server.zipkin)),
        jaeger: Some(Text(server.jaeger)),
        jaeger_http: Some(Text(server.jaeger_http)),
        jaeger_grpc: Some(Text(server.jaeger_grpc)),
        jaeger_compact: Some(Text(server.jaeger_compact)),
        jaeger_binary: Some(Text(server.jaeger_binary)),
        jaeger_sampling: Some(Text(server.jaeger_sampling)),
        opencensus: Some(Text(server.opencensus)),
        xray: Some(Text(server.xray)),
        elasticsearch: Some(Text(server.elasticsearch)),
        durability: Some(Durability::Fsync),
        retention_age: Some(Text(Age(server.retention_age))),
        retention_bytes: Some(Text(Size(server.retention_bytes))),
        memory_limit: Some(Text(Size(server.memory_limit_bytes))),
        max_body_bytes: Some(Text(Size(Some(server.max_body_bytes)))),
        correlate: Some(server.correlate),
        expect: Some(server.expect),
        log_level: Some("info".to_owned()),
        log_format: Some(LogFormat::Text),
        insecure_open: Some(server.insecure_open),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use server::config::Listen;

    use super::*;

    fn merged(given: &Options, file: &str) -> Settings {
        Settings::merge(given, file.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_command_line_beats_the_file_beats_the_defaults() {
        // Guarantees the documented order of precedence, for each setting by itself.
        let given = Options { data: Some(PathBuf::from("/flag")), ..Options::default() };
        let settings = merged(&given, "data = '/file'\napi = '127.0.0.1:1'\nmax_body_bytes = 1000000");
        let server = settings.server();
        assert_eq!(server.data, PathBuf::from("/flag"));
        assert_eq!(server.api, Listen::loopback(1));
        assert_eq!(server.max_body_bytes, 1_000_000);
        assert_eq!(server.zipkin, Listen::loopback(9411));
        let origins = ["data", "api", "zipkin"].map(|key| settings.origin(key));
        assert_eq!(origins, [Origin::CommandLine, Origin::File, Origin::Default]);
    }

    #[test]
    fn keys_to_correlate_by_are_a_list() {
        // Guarantees that declared keys reach the server from the command line, with commas or repeated, and from the file.
        let parse = |arguments: &[&str]| {
            let command = <Options as clap::Args>::augment_args(clap::Command::new("longspan"));
            let matches = command.get_matches_from([&["longspan"], arguments].concat());
            <Options as clap::FromArgMatches>::from_arg_matches(&matches).unwrap()
        };
        let given = parse(&["--correlate", "order.id,user.id", "--correlate", "cart"]);
        assert_eq!(merged(&given, "correlate = ['x']").server().correlate, ["order.id", "user.id", "cart"]);
        assert_eq!(merged(&Options::default(), "correlate = ['x', 'y']").server().correlate, ["x", "y"]);
    }

    #[test]
    fn the_defaults_are_the_servers() {
        // Guarantees that what `config show` calls a default is what the server runs with.
        let server = merged(&Options::default(), "").server();
        assert_eq!(format!("{server:?}"), format!("{:?}", ServerOptions::default()));
    }

    #[test]
    fn a_wrong_key_names_its_line() {
        // Guarantees that a typo in the file stops the start with the file, the line and the key, and is never ignored.
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("longspan.toml");
        std::fs::write(&path, "api = 'off'\nretention_aeg = '3d'\n").unwrap();
        let refused = read_file(&path).unwrap_err().to_string();
        for part in ["longspan.toml", "line 2", "retention_aeg"] {
            assert!(refused.contains(part), "{refused}");
        }
    }
}
