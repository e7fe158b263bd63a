//! [`JsonWriter`]: JSON text piece by piece, for answers whose shape is fixed by a format.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::{Display, Write};

/// Writes JSON; commas come by themselves.
#[derive(Debug, Default)]
pub(crate) struct JsonWriter {
    text: String,
}

impl JsonWriter {
    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn separate(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'[' | b'{' | b':')) {
            self.text.push(',');
        }
    }

    /// An object as the next element.
    pub(crate) fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.separate();
        self.text.push('{');
        fields(self);
        self.text.push('}');
    }

    /// An array as the next element.
    pub(crate) fn array(&mut self, elements: impl FnOnce(&mut Self)) {
        self.separate();
        self.text.push('[');
        elements(self);
        self.text.push(']');
    }

    /// The name of the next value.
    pub(crate) fn name(&mut self, name: &str) {
        self.separate();
        self.quoted(name);
        self.text.push(':');
    }

    /// A string as the next element or value.
    pub(crate) fn string(&mut self, value: &str) {
        self.separate();
        self.quoted(value);
    }

    /// A number or a boolean as the next element or value.
    pub(crate) fn bare(&mut self, value: impl Display) {
        self.separate();
        write!(self.text, "{value}").expect("writing to a string");
    }

    /// A double: the shortest text that reads back as the same one, or the name JSON has no number for.
    pub(crate) fn double(&mut self, value: f64) {
        if value.is_finite() {
            self.bare(format_args!("{value:?}"));
        } else if value.is_nan() {
            self.string("NaN");
        } else {
            self.string(if value > 0.0 { "Infinity" } else { "-Infinity" });
        }
    }

    /// Something whose text needs no escapes, in quotes: an id, a number.
    pub(crate) fn plain(&mut self, value: impl Display) {
        self.separate();
        write!(self.text, "\"{value}\"").expect("writing to a string");
    }

    pub(crate) fn base64(&mut self, bytes: &[u8]) {
        self.separate();
        self.text.push('"');
        STANDARD.encode_string(bytes, &mut self.text);
        self.text.push('"');
    }

    pub(crate) fn string_field(&mut self, name: &str, value: &str) {
        self.name(name);
        self.string(value);
    }

    /// A string field that is left out when empty.
    pub(crate) fn text_field(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.string_field(name, value);
        }
    }

    /// A number that is left out when 0.
    pub(crate) fn count_field(&mut self, name: &str, value: u32) {
        if value != 0 {
            self.name(name);
            self.bare(value);
        }
    }

    pub(crate) fn plain_field(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.plain(value);
    }

    pub(crate) fn bare_field(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.bare(value);
    }

    pub(crate) fn object_field(&mut self, name: &str, fields: impl FnOnce(&mut Self)) {
        self.name(name);
        self.object(fields);
    }

    pub(crate) fn array_field(&mut self, name: &str, elements: impl FnOnce(&mut Self)) {
        self.name(name);
        self.array(elements);
    }

    fn quoted(&mut self, value: &str) {
        if value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            self.text.push('"');
            self.text.push_str(value);
            self.text.push('"');
        } else {
            self.text.push_str(&serde_json::to_string(value).expect("a string is always JSON"));
        }
    }
}
