//! A small HTTP client for commands that talk to a server: no TLS, no proxies, every status as it is.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The longest any answer may take. A copy onto another file system takes its time.
const ANSWER_MAX: Duration = Duration::from_mins(30);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How long to wait before asking again, in seconds.
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// What a refusal says, in one line.
    pub(crate) fn reason(&self) -> String {
        let json = self.json();
        let texts = [&json["error"]["message"], &json["message"]];
        let said = texts.into_iter().find_map(Value::as_str).map(str::to_owned);
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(&self.body).chars().take(200).collect());
        format!("{} {}", self.status, said.trim())
    }
}

/// Keeps connections between requests.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
}

impl Client {
    pub(crate) fn new() -> Client {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_global(Some(ANSWER_MAX));
        Client { agent: config.build().into() }
    }

    /// Asks.
    pub(crate) fn get(&self, url: &str) -> Result<Answer> {
        read(self.agent.get(url).call()).with_context(|| format!("no answer from {url}"))
    }

    /// Sends.
    pub(crate) fn post(&self, url: &str, content_type: &str, body: &[u8]) -> Result<Answer> {
        let sent = self.agent.post(url).header("content-type", content_type).send(body);
        read(sent).with_context(|| format!("no answer from {url}"))
    }
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer> {
    let mut answer = answer?;
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
    Ok(Answer { status: answer.status().as_u16(), retry_after_s: retry_after, body })
}

/// The beginning of all addresses of a server: `http://HOST:PORT`, without a slash at its end.
pub(crate) fn base_url(text: &str) -> Result<String> {
    if text.starts_with("https://") {
        bail!(
            "{text} cannot be reached: this command speaks no TLS; use an http:// address, through a tunnel if need be"
        );
    }
    let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let url = format!("http://{rest}");
    let uri: Option<ureq::http::Uri> = url.parse().ok();
    if rest.contains("://") || uri.is_none_or(|uri| uri.host().is_none_or(str::is_empty)) {
        bail!("{text:?} is not a URL of the form http://HOST:PORT");
    }
    Ok(url)
}

/// The text as part of a query string.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        // Guarantees that a server is found with and without scheme and slash, and that what cannot work is refused in words.
        for text in ["http://127.0.0.1:4318/", "127.0.0.1:4318", "http://127.0.0.1:4318"] {
            assert_eq!(base_url(text).unwrap(), "http://127.0.0.1:4318");
        }
        for text in ["https://a:1", "ftp://a:1", "", "http://"] {
            assert!(base_url(text).is_err(), "{text}");
        }
        assert_eq!(encoded("a = \"b\""), "a%20%3D%20%22b%22");
    }
}
