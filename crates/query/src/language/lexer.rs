//! Cuts a query into words, quoted texts, operators and parentheses.

use super::{ParseError, is_bare_letter};
use crate::filter::Op;

/// A piece of a query.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Word(String),
    Quoted(String),
    Op(Op),
    Open,
    Close,
}

/// A piece and the bytes it takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// All pieces of a query.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, ParseError> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        if first.is_whitespace() {
            start += first.len_utf8();
            continue;
        }
        let (token, len) = next(&text[start..], start)?;
        pieces.push(Piece { token, start, end: start + len });
        start += len;
    }
    Ok(pieces)
}

/// The piece that a text, which begins at `position` of the query, begins with, and its bytes.
fn next(text: &str, position: usize) -> Result<(Token, usize), ParseError> {
    const OPS: [Op; 8] =
        [Op::NotEqual, Op::GreaterEqual, Op::LessEqual, Op::Matches, Op::NotMatches, Op::Equal, Op::Greater, Op::Less];
    if let Some(op) = OPS.into_iter().find(|op| text.starts_with(op.symbol())) {
        let doubled = text.starts_with("==");
        return if doubled { Err(stray(text, position)) } else { Ok((Token::Op(op), op.symbol().len())) };
    }
    match text.chars().next() {
        Some('(') => Ok((Token::Open, 1)),
        Some(')') => Ok((Token::Close, 1)),
        Some('"') => quoted(text, position),
        Some(first) if is_bare_letter(first) => {
            let len = text.find(|letter| !is_bare_letter(letter)).unwrap_or(text.len());
            Ok((Token::Word(text[..len].to_owned()), len))
        }
        _ => Err(stray(text, position)),
    }
}

fn quoted(text: &str, position: usize) -> Result<(Token, usize), ParseError> {
    let mut content = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((Token::Quoted(content), at + 1)),
            '\\' => {
                let escaped = letters.next_if(|&(_, next)| matches!(next, '"' | '\\'));
                content.push(escaped.map_or('\\', |(_, escaped)| escaped));
            }
            other => content.push(other),
        }
    }
    let hint = "close it with a second \"; a quote inside is written \\\"";
    Err(ParseError { position, message: "this quoted text does not end".to_owned(), hint: hint.to_owned() })
}

fn stray(text: &str, position: usize) -> ParseError {
    let hint = match text.as_bytes() {
        [b'&', ..] => "write `and`",
        [b'|', ..] => "write `or`",
        [b'!', ..] => "write `not`, or `!=` or `!~` between a field and a value",
        [b'=', b'=', ..] => "write a single `=`",
        [b'\'' | b'`', ..] => "quote with \"",
        [b'~', ..] => "write `=~` or `!~`",
        _ => "put values with spaces or symbols in double quotes",
    };
    let found = if text.starts_with("==") { "==" } else { &text[..text.chars().next().map_or(0, char::len_utf8)] };
    ParseError { position, message: format!("unexpected `{found}`"), hint: hint.to_owned() }
}
