//! Files of OTLP traces, read in pieces that a server takes in one request.
//!
//! What a file is written in is seen from the file, not from its name: JSON (one object, or one a line), protobuf as one
//! message, or protobuf messages each with its length before it, as a varint or, as the OpenTelemetry Collector writes it, in four bytes. The
//! resources of any of these can be put together anew, so that small messages travel together and large ones are divided.
//! Deliberately absent: what spans are; the server decodes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Resources travel together up to so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// One resource with its spans is never larger: no server takes it.
const RESOURCE_BYTES_MAX: u64 = 256 << 20;
/// So much of a file is looked at to see whether it is text.
const LOOK_BYTES: usize = 4096;
/// Field 1 of `TracesData`, with a length: `resource_spans`.
const RESOURCE_TAG: u8 = 0x0a;

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Json,
    /// One protobuf message.
    Whole,
    /// Messages after their lengths as varints.
    Delimited,
    /// Messages after their lengths in four bytes, the highest first.
    FourBytes,
}

/// Resources of a file that are sent together.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// Each as it is in the file: JSON objects, or protobuf fields with tag and length.
    pub(crate) resources: Vec<Vec<u8>>,
    pub(crate) is_json: bool,
    /// Where in the file the last of them ends.
    pub(crate) end: u64,
    bytes: usize,
}

impl Piece {
    /// The resources of a range as the body of a request.
    pub(crate) fn body(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        let resources = &self.resources[range];
        if self.is_json {
            [&b"{\"resourceSpans\":["[..], &resources.join(&b","[..]), b"]}"].concat()
        } else {
            resources.concat()
        }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        if self.is_json { "application/json" } else { "application/x-protobuf" }
    }
}

/// Reads a file, and hands out piece by piece.
pub(crate) fn read(path: &Path, out: &mut dyn FnMut(Piece) -> Result<()>) -> Result<Written> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let length = file.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
    let mut input = Input { file: BufReader::with_capacity(256 << 10, file), at: 0, length };
    let written = recognise(&mut input).with_context(|| format!("cannot read {}", path.display()))?;
    let Some(written) = written else {
        bail!("{} is no file of OTLP traces: neither JSON nor protobuf with resource spans", path.display());
    };
    input.go(0)?;
    let mut pieces = Pieces { piece: Piece { is_json: written == Written::Json, ..Piece::default() }, out };
    let read = match written {
        Written::Json => json(input, &mut pieces),
        _ => protobuf(&mut input, written, &mut pieces),
    };
    read.and_then(|()| pieces.flush()).with_context(|| path.display().to_string())?;
    Ok(written)
}

/// Puts resources together.
struct Pieces<'a> {
    piece: Piece,
    out: &'a mut dyn FnMut(Piece) -> Result<()>,
}

impl Pieces<'_> {
    fn push(&mut self, resource: Vec<u8>, end: u64) -> Result<()> {
        if self.piece.bytes + resource.len() > PIECE_BYTES {
            self.flush()?;
        }
        self.piece.bytes += resource.len();
        self.piece.end = end;
        self.piece.resources.push(resource);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let next = Piece { is_json: self.piece.is_json, end: self.piece.end, ..Piece::default() };
        let piece = std::mem::replace(&mut self.piece, next);
        if piece.resources.is_empty() { Ok(()) } else { (self.out)(piece) }
    }
}

struct Input {
    file: BufReader<File>,
    at: u64,
    length: u64,
}

impl Input {
    fn go(&mut self, to: u64) -> Result<()> {
        self.file.seek_relative(to as i64 - self.at as i64)?;
        self.at = to;
        Ok(())
    }

    fn byte(&mut self) -> Result<Option<u8>> {
        let byte = self.file.fill_buf()?.first().copied();
        if byte.is_some() {
            self.file.consume(1);
            self.at += 1;
        }
        Ok(byte)
    }

    fn varint(&mut self) -> Result<Option<u64>> {
        let mut number = 0u64;
        for shift in (0..63).step_by(7) {
            let Some(byte) = self.byte()? else { return Ok(None) };
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// The length before a message.
    fn message_length(&mut self, written: Written) -> Result<Option<u64>> {
        match written {
            Written::Whole => Ok(Some(self.length - self.at)),
            Written::FourBytes => {
                let mut length = 0;
                for _ in 0..4 {
                    let Some(byte) = self.byte()? else { return Ok(None) };
                    length = length << 8 | u64::from(byte);
                }
                Ok(Some(length))
            }
            _ => self.varint(),
        }
    }

    /// The bytes of the resource that begins here, without its tag; nothing if none does.
    fn resource_length(&mut self, end: u64) -> Result<Option<u64>> {
        if self.byte()? != Some(RESOURCE_TAG) {
            return Ok(None);
        }
        let length = self.varint()?;
        let fits = |length: &u64| *length <= RESOURCE_BYTES_MAX && self.at + length <= end;
        Ok(length.filter(fits))
    }
}

fn recognise(input: &mut Input) -> Result<Option<Written>> {
    let mut look = vec![0; LOOK_BYTES.min(input.length as usize)];
    input.file.read_exact(&mut look)?;
    input.at = look.len() as u64;
    let text = look.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&look);
    let is_text = text.iter().all(|&byte| byte >= 0x20 || byte.is_ascii_whitespace());
    if is_text && text.trim_ascii_start().first().is_none_or(|&first| first == b'{') {
        return Ok(Some(Written::Json));
    }
    // Three zeros of a length in four bytes would pass for three empty messages.
    for written in [Written::Whole, Written::FourBytes, Written::Delimited] {
        input.go(0)?;
        if is_written(input, written)? {
            return Ok(Some(written));
        }
    }
    Ok(None)
}

/// Whether all of a file is messages of resources in this way.
fn is_written(input: &mut Input, written: Written) -> Result<bool> {
    while input.at < input.length {
        let Some(length) = input.message_length(written)? else { return Ok(false) };
        let Some(end) = input.at.checked_add(length).filter(|&end| end <= input.length) else { return Ok(false) };
        while input.at < end {
            let Some(length) = input.resource_length(end)? else { return Ok(false) };
            input.go(input.at + length)?;
        }
    }
    Ok(true)
}

fn protobuf(input: &mut Input, written: Written, pieces: &mut Pieces<'_>) -> Result<()> {
    while input.at < input.length {
        let length = input.message_length(written)?.context("the file changes while it is read")?;
        let end = input.at + length;
        while input.at < end {
            let start = input.at;
            let length = input.resource_length(end)?.context("the file changes while it is read")?;
            let whole = input.at + length - start;
            input.go(start)?;
            let mut resource = vec![0; whole as usize];
            input.file.read_exact(&mut resource)?;
            input.at = start + whole;
            pieces.push(resource, input.at)?;
        }
    }
    Ok(())
}

/// `TracesData` or `ExportTraceServiceRequest`, its resources not looked into.
#[derive(Deserialize)]
struct Traces {
    #[serde(rename = "resourceSpans", default)]
    resource_spans: Vec<Box<RawValue>>,
}

fn json(mut input: Input, pieces: &mut Pieces<'_>) -> Result<()> {
    if input.file.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        input.file.seek(SeekFrom::Start(3))?;
    }
    let mut objects = serde_json::Deserializer::from_reader(input.file).into_iter::<Traces>();
    while let Some(object) = objects.next() {
        let object = object.context("it cannot be read on")?;
        let end = objects.byte_offset() as u64;
        for resource in object.resource_spans {
            pieces.push(resource.get().as_bytes().to_vec(), end)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three resources of one byte, none, and a hundred.
    fn resources() -> Vec<Vec<u8>> {
        [vec![9], vec![], vec![7; 100]]
            .into_iter()
            .map(|content: Vec<u8>| [vec![RESOURCE_TAG, content.len() as u8], content].concat())
            .collect()
    }

    fn read_all(bytes: &[u8]) -> Result<(Written, Vec<Vec<u8>>)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        let written = read(&path, &mut |piece| {
            found.extend(piece.resources.clone());
            Ok(())
        })?;
        Ok((written, found))
    }

    #[test]
    fn protobuf_is_told_apart() {
        // Guarantees that all three ways of putting messages into a file are seen from the file, and give the same resources.
        let message = resources().concat();
        let length = message.len() as u8;
        assert_eq!(read_all(&message).unwrap(), (Written::Whole, resources()));
        let twice = [resources(), resources()].concat();
        let delimited = [&[length][..], &message, &[length], &message].concat();
        assert_eq!(read_all(&delimited).unwrap(), (Written::Delimited, twice.clone()));
        let four = [&[0, 0, 0, length][..], &message, &[0, 0, 0, length], &message].concat();
        assert_eq!(read_all(&four).unwrap(), (Written::FourBytes, twice));
        for cut in 1..message.len() {
            assert!(
                read_all(&message[..cut]).map_or(true, |(_, found)| resources().starts_with(&found)),
                "cut at {cut}"
            );
        }
        assert!(read_all(b"PAR1\x15\x04").is_err() && read_all(&[0xff; 40]).is_err());
    }

    #[test]
    fn json_is_read_as_lines_and_as_one_object() {
        // Guarantees that pretty, compact and repeated objects give the same resources, and that half an object is an error with its place.
        let one = r#"{"resourceSpans": [{"a": 1}, {"b": [2]}], "other": 5}"#;
        let pretty = "\u{feff}{\n  \"resourceSpans\": [\n {\"a\": 1},\n {\"b\": [2]}\n ]\n}\n";
        let expected = vec![br#"{"a": 1}"#.to_vec(), br#"{"b": [2]}"#.to_vec()];
        for text in [one, pretty] {
            assert_eq!(read_all(text.as_bytes()).unwrap(), (Written::Json, expected.clone()));
        }
        let lines = format!("{one}\n{{}}\n{one}\n");
        assert_eq!(read_all(lines.as_bytes()).unwrap().1, [expected.clone(), expected].concat());
        assert_eq!(read_all(b"").unwrap().1, Vec::<Vec<u8>>::new());
        let error = read_all(&one.as_bytes()[..20]).unwrap_err();
        assert!(format!("{error:#}").contains("line 1"), "{error:#}");
    }
}
