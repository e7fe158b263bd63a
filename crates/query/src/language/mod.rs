//! The query language of `docs/api.md`: text to [`Filter`], with errors that say where, what and what to do.
//!
//! ```text
//! query     = [ or ]
//! or        = and { "or" and }
//! and       = unary { [ "and" ] unary }
//! unary     = "not" unary | "(" [ or ] ")" | condition
//! condition = field ( op value | "exists" )
//! field     = word | quoted | level "." quoted
//! op        = "=" | "!=" | ">" | ">=" | "<" | "<=" | "=~" | "!~"
//! value     = word | quoted
//! ```
//!
//! Words are made of letters, digits and `_ . - / : @ + * % # $`; everything else is quoted with `"`, where `\"` is a quote and `\\` a
//! backslash (any other backslash is itself, so that patterns need no doubling). Keywords are read in any case; a key or value that
//! is spelled like one is quoted. A quoted key is always an attribute's. Empty parentheses mean all spans.
//!
//! What conditions mean is said in [`crate::filter`].

mod lexer;
mod parser;

use thiserror::Error;

use crate::filter::Filter;

pub use parser::parse;

/// Longest query, in bytes.
pub const QUERY_BYTES_MAX: usize = 64 << 10;

/// Most conditions in a query.
pub const CONDITIONS_MAX: usize = 256;

/// How deep parentheses and `not` may nest.
pub const DEPTH_MAX: usize = 64;

/// Why a query cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} at byte {position} ({hint})")]
pub struct ParseError {
    /// Where, as an offset in bytes.
    pub position: usize,
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub hint: String,
}

impl std::str::FromStr for Filter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Filter, ParseError> {
        parse(text)
    }
}

/// Whether a letter can stand in a word.
pub(crate) fn is_bare_letter(letter: char) -> bool {
    letter.is_alphanumeric() || "_.-/:@+*%#$".contains(letter)
}

/// Whether a word is one of the language's own.
pub(crate) fn is_keyword(word: &str) -> bool {
    ["and", "or", "not", "exists"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}
