//! Where the commands that ask a server find it, and how its answers are read.

use std::io::{IsTerminal, stdout};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use serde_json::Value;
use server::config::Listen;

use crate::client::{Client, base_url};
use crate::options::Options;
use crate::settings::Settings;
use crate::terminal::{Look, Paint};

/// Wide enough for names, bars and durations where nobody says how wide it is.
const WIDTH_UNKNOWN: usize = 120;
const WIDTH_MIN: usize = 48;
const WIDTH_MAX: usize = 400;

/// Whether escape sequences for colours are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

/// Which server is asked.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Ask this server; else the one that works in the data directory, else the one on the usual port
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// How things are drawn.
#[derive(Debug, Args)]
pub(crate) struct LookArguments {
    /// Draw this many columns wide; else as wide as the terminal
    #[arg(long, value_name = "COLUMNS")]
    width: Option<usize>,
    /// Use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    color: Colour,
    /// Do not fold idle time
    #[arg(long)]
    linear: bool,
}

impl LookArguments {
    pub(crate) fn look(&self) -> Look {
        let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let width = self.width.or_else(terminal).unwrap_or(WIDTH_UNKNOWN).clamp(WIDTH_MIN, WIDTH_MAX);
        Look { width, paint: paint(self.color), is_linear: self.linear }
    }
}

/// With colours or without.
pub(crate) fn paint(colour: Colour) -> Paint {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => stdout().is_terminal() && !no_colour,
    };
    Paint { colours }
}

/// A server that is asked.
#[derive(Debug)]
pub(crate) struct Asked {
    client: Client,
    base: String,
}

impl Asked {
    pub(crate) fn find(options: &Options, arguments: &ServerArguments) -> Result<Asked> {
        let base = match &arguments.server {
            Some(url) => base_url(url)?,
            None => format!("http://{}", usual(options)?),
        };
        Ok(Asked { client: Client::new(), base })
    }

    /// The answer to a GET; `None` where there is no such thing.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let answer = self.client.get(&format!("{}{path}", self.base))?;
        match answer.status {
            200 => {
                let read = serde_json::from_slice(&answer.body);
                Ok(Some(read.with_context(|| {
                    format!("{}{path} answers something else than a server of this version", self.base)
                })?))
            }
            404 => Ok(None),
            _ => bail!("{}: {}", self.base, answer.reason()),
        }
    }
}

/// Where the server works that nobody has named.
fn usual(options: &Options) -> Result<String> {
    let settings = Settings::read(options)?.server();
    match (listening_api(&settings.data), settings.api) {
        (Some(address), _) => Ok(address),
        (None, Listen::At(address) | Listen::IfFree(address)) => Ok(address.to_string()),
        (None, Listen::Off) => bail!("--api is off, so --server has to say whom to ask"),
    }
}

/// Where the server of a directory serves its API.
fn listening_api(data: &Path) -> Option<String> {
    let text = std::fs::read(data.join("listening.json")).ok()?;
    let listening: Value = serde_json::from_slice(&text).ok()?;
    listening["api"].as_str().map(str::to_owned)
}

/// An id as it stands in an address or by itself.
pub(crate) fn id_of(text: &str) -> Result<String> {
    let id = text.rsplit('/').next().unwrap_or(text).split(['?', '#']).next().unwrap_or(text);
    let is_hex = !id.is_empty() && id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex {
        bail!("{text:?} is not the id of a trace: up to 32 hexadecimal digits, or the address of its page");
    }
    Ok(id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_people_paste_them() {
        // An id, an id in upper case and the address of a page all name a trace; anything else is refused in words.
        let id = "0af7651916cd43dd8448eb211c80319c";
        for text in [
            id,
            "0AF7651916CD43DD8448EB211C80319C",
            "http://127.0.0.1:4319/flow/0af7651916cd43dd8448eb211c80319c?span=b7ad6b7169203331",
        ] {
            assert_eq!(id_of(text).unwrap(), id);
        }
        for text in ["", "xyz", "http://127.0.0.1:4319/", "0af7651916cd43dd8448eb211c80319c0"] {
            assert!(id_of(text).is_err(), "{text}");
        }
    }
}
