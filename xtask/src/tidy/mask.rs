//! Rust source with everything that is not code blanked out: comments, strings and characters become spaces.
//!
//! Byte positions and line ends stay as they are, so a hit in the masked text is a place in the file. This is a scanner, not a
//! parser: it knows nested comments, raw strings and lifetimes, and nothing of the grammar.

use std::ops::Range;

#[derive(Debug)]
pub(super) struct Masked {
    pub(super) code: String,
}

impl Masked {
    pub(super) fn new(source: &str) -> Self {
        let bytes = source.as_bytes();
        let mut code = bytes.to_vec();
        let mut at = 0;
        while at < bytes.len() {
            let end = skip(bytes, at);
            if end == at {
                at += 1;
                continue;
            }
            for byte in &mut code[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        }
        Self {
            code: String::from_utf8(code)
                .expect("multi-byte characters stay whole or are blanked whole")
                .replace('\r', " "),
        }
    }

    /// The line, from 1, that a byte position lies on.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// The block that opens at the first `{` from `at`; `None` if a `;` comes first or the block never closes.
    pub(super) fn block_from(&self, at: usize) -> Option<Range<usize>> {
        let bytes = self.code.as_bytes();
        let mut brackets = 0_usize;
        let open = (at..bytes.len()).find(|&index| match bytes[index] {
            b'(' | b'[' => {
                brackets += 1;
                false
            }
            b')' | b']' => {
                brackets = brackets.saturating_sub(1);
                false
            }
            b'{' | b';' => brackets == 0,
            _ => false,
        })?;
        if bytes[open] == b';' {
            return None;
        }
        let mut depth = 0_usize;
        let close = (open..bytes.len()).find(|&index| {
            match bytes[index] {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        Some(open..close + 1)
    }

    /// The blocks behind `#[cfg(test)]`.
    pub(super) fn test_blocks(&self) -> Vec<Range<usize>> {
        let marks = self.code.match_indices("#[cfg(test)]");
        marks.filter_map(|(at, mark)| Some(at..self.block_from(at + mark.len())?.end)).collect()
    }

    /// How many lines lie in `#[cfg(test)]` blocks.
    pub(super) fn test_lines(&self) -> usize {
        self.test_blocks().iter().map(|block| self.line_of(block.end - 1) - self.line_of(block.start) + 1).sum()
    }
}

/// The end of the comment, string or character that starts at `at`; `at` itself if none does.
fn skip(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    match rest[0] {
        b'/' if rest.starts_with(b"//") => at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        b'/' if rest.starts_with(b"/*") => at + block_comment(rest),
        b'"' => at + quoted(rest, b'"'),
        b'r' if !continues_word(bytes, at) => at + raw_string(rest),
        b'\'' => at + character(rest),
        _ => at,
    }
}

/// `r"`, `br"` and `cr"` start a raw string; the `r` of `for"` does not.
fn continues_word(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|index| bytes[index]);
    match before {
        Some(b'b' | b'c') => at.checked_sub(2).is_some_and(|index| is_word(bytes[index])),
        Some(byte) => is_word(byte),
        None => false,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of `r#"…"#`, or 0 if this is no raw string.
fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let body = 2 + hashes;
    rest[body..].windows(end.len()).position(|window| window == end).map_or(rest.len(), |at| body + at + end.len())
}

/// The length of `'x'` or `'\n'`, or 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return quoted(rest, b'\'');
    }
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(6)]).into_owned();
    let width = text.chars().next().map_or(0, char::len_utf8);
    if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        // What is said in comments and strings is never taken for code, and nothing moves.
        let source =
            "let a = \"fn {\"; // }\nlet b = r#\"\"}\"#; /* { /* } */ */ let c = '{'; fn f<'a>(x: &'a str) {}\n";
        let masked = Masked::new(source);
        assert_eq!(masked.code.len(), source.len());
        let kept: String = masked.code.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(kept, "let a = ; let b = ; let c = ; fn f<'a>(x: &'a str) {}");
    }

    #[test]
    fn escapes_and_wide_characters_do_not_derail_the_scanner() {
        // An escaped quote ends nothing, and a character of several bytes is blanked whole.
        let masked = Masked::new("a('\\'', '→', \"\\\"{\", b'{', br\"{\") { for\"x\" }");
        assert_eq!(masked.code.matches('{').count(), 1);
        assert_eq!(masked.code.matches('}').count(), 1);
    }

    #[test]
    fn blocks_are_matched_and_declarations_have_none() {
        // A signature with an array type is not mistaken for a declaration without a body.
        let masked = Masked::new("fn a(x: [u8; 4]) { { } } fn b(); struct C;");
        assert_eq!(masked.block_from(0), Some(17..24));
        assert_eq!(masked.block_from(25), None);
    }
}
