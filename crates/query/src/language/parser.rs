//! Recursive descent over the pieces, with bounds on length, depth and number of conditions.

use model::Level;

use super::lexer::{Piece, Token, pieces};
use super::{CONDITIONS_MAX, DEPTH_MAX, ParseError, QUERY_BYTES_MAX, is_keyword};
use crate::filter::{Field, Filter, Op};

const OPERATORS: &str = "operators are = != > >= < <= =~ !~ and exists";

/// Reads a query. The empty text means all spans.
pub fn parse(text: &str) -> Result<Filter, ParseError> {
    if text.len() > QUERY_BYTES_MAX {
        let message = format!("the query has {} bytes", text.len());
        return Err(error(QUERY_BYTES_MAX, message, format!("at most {QUERY_BYTES_MAX} are read")));
    }
    let pieces = pieces(text)?;
    if pieces.is_empty() {
        return Ok(Filter::All);
    }
    let mut parser = Parser { pieces: &pieces, place: 0, end: text.len(), conditions: 0 };
    let filter = parser.disjunction(0)?;
    match parser.peek() {
        None => Ok(filter),
        Some(piece) => Err(unexpected(piece)),
    }
}

struct Parser<'p> {
    pieces: &'p [Piece],
    place: usize,
    /// Where the query ends.
    end: usize,
    conditions: usize,
}

impl<'p> Parser<'p> {
    fn peek(&self) -> Option<&'p Piece> {
        self.pieces.get(self.place)
    }

    fn position(&self) -> usize {
        self.peek().map_or(self.end, |piece| piece.start)
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Piece { token: Token::Word(word), .. }) if word.eq_ignore_ascii_case(keyword));
        self.place += usize::from(found);
        found
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|piece| piece.token == *token);
        self.place += usize::from(found);
        found
    }

    fn disjunction(&mut self, depth: usize) -> Result<Filter, ParseError> {
        let mut parts = vec![self.conjunction(depth)?];
        while self.take_keyword("or") {
            parts.push(self.conjunction(depth)?);
        }
        if parts.len() == 1 { Ok(parts.remove(0)) } else { Ok(Filter::or(parts)) }
    }

    fn conjunction(&mut self, depth: usize) -> Result<Filter, ParseError> {
        let mut parts = vec![self.unary(depth)?];
        while self.take_keyword("and") || self.begins_condition() {
            parts.push(self.unary(depth)?);
        }
        if parts.len() == 1 { Ok(parts.remove(0)) } else { Ok(Filter::and(parts)) }
    }

    fn begins_condition(&self) -> bool {
        match self.peek().map(|piece| &piece.token) {
            Some(Token::Word(word)) => !is_keyword(word) || word.eq_ignore_ascii_case("not"),
            Some(Token::Quoted(_) | Token::Open) => true,
            Some(Token::Op(_) | Token::Close) | None => false,
        }
    }

    fn unary(&mut self, depth: usize) -> Result<Filter, ParseError> {
        if depth > DEPTH_MAX {
            let message = format!("parentheses and `not` nest deeper than {DEPTH_MAX}");
            return Err(error(self.position(), message, "write the query flatter"));
        }
        if self.take_keyword("not") {
            return self.unary(depth + 1).map(Filter::negate);
        }
        let open = self.position();
        if !self.take(&Token::Open) {
            return self.condition();
        }
        if self.take(&Token::Close) {
            return Ok(Filter::All);
        }
        let inner = self.disjunction(depth + 1)?;
        if self.take(&Token::Close) {
            return Ok(inner);
        }
        match self.peek() {
            Some(piece) => Err(unexpected(piece)),
            None => Err(error(open, "this parenthesis is not closed", "add a `)`")),
        }
    }

    fn condition(&mut self) -> Result<Filter, ParseError> {
        let start = self.position();
        let field = self.field()?;
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            let message = format!("the query has more than {CONDITIONS_MAX} conditions");
            return Err(error(start, message, "use a regular expression for many values of one field"));
        }
        if self.take_keyword("exists") {
            return Ok(Filter::Exists(field));
        }
        let Some(Piece { token: Token::Op(op), .. }) = self.peek() else {
            return Err(error(self.position(), format!("an operator is missing after `{field}`"), OPERATORS));
        };
        self.place += 1;
        self.value(field, *op)
    }

    fn field(&mut self) -> Result<Field, ParseError> {
        let Some(piece) = self.peek() else {
            return Err(error(self.end, "a condition is missing at the end", "a condition is `field op value`"));
        };
        let field = match &piece.token {
            Token::Quoted(key) => Field::attribute(None, key),
            Token::Word(word) if is_keyword(word) => return Err(unexpected(piece)),
            Token::Word(word) => match self.quoted_key(piece) {
                Some(key) => {
                    self.place += 1;
                    Field::attribute(Some(level(word, piece.start)?), key)
                }
                None if Level::from_name(word.strip_suffix('.').unwrap_or_default()).is_some() => {
                    let message = format!("a key is missing after `{word}`");
                    return Err(error(
                        piece.end,
                        message,
                        "write the key right behind the point, quoted if it has symbols",
                    ));
                }
                None => Field::from_name(word),
            },
            Token::Op(_) | Token::Open | Token::Close => return Err(unexpected(piece)),
        };
        self.place += 1;
        Ok(field)
    }

    /// The quoted key that stands right behind a word that ends with a point.
    fn quoted_key(&self, word: &Piece) -> Option<&'p str> {
        let next = self.pieces.get(self.place + 1)?;
        match (&word.token, &next.token) {
            (Token::Word(text), Token::Quoted(key)) if text.ends_with('.') && next.start == word.end => Some(key),
            _ => None,
        }
    }

    fn value(&mut self, field: Field, op: Op) -> Result<Filter, ParseError> {
        let position = self.position();
        let (text, quoted) = match self.peek().map(|piece| &piece.token) {
            Some(Token::Quoted(text)) => (text, true),
            Some(Token::Word(word)) if !is_keyword(word) => (word, false),
            _ => {
                let message = format!("a value is missing after `{field} {op}`");
                return Err(error(position, message, "put a value in double quotes if it is a keyword or has symbols"));
            }
        };
        self.place += 1;
        Filter::compare(field, op, text, quoted).map_err(|refused| error(position, refused.message, refused.hint))
    }
}

fn level(word: &str, position: usize) -> Result<Level, ParseError> {
    let name = word.strip_suffix('.').unwrap_or(word);
    let hint = "before a quoted key may stand span., resource., scope., event. or link.";
    Level::from_name(name).ok_or_else(|| error(position, format!("`{word}` is not a level"), hint))
}

fn error(position: usize, message: impl Into<String>, hint: impl Into<String>) -> ParseError {
    ParseError { position, message: message.into(), hint: hint.into() }
}

fn unexpected(piece: &Piece) -> ParseError {
    let (found, hint) = match &piece.token {
        Token::Word(word) | Token::Quoted(word) => {
            (word.clone(), "a condition is `field op value`; quote a key or value that is spelled like a keyword")
        }
        Token::Op(op) => (op.to_string(), "an operator stands between a field and a value"),
        Token::Open => ("(".to_owned(), "a condition is `field op value`"),
        Token::Close => (")".to_owned(), "a parenthesis closes what one has opened"),
    };
    error(piece.start, format!("unexpected `{found}`"), hint)
}
