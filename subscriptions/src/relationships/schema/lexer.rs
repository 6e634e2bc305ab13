//! Text to tokens.

use std::{fmt, sync::Arc};

use super::error::{Place, Problem, SchemaError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Word(Arc<str>),
    Symbol(&'static str),
    /// What the subset has no use for; an error only where the parser comes to it, so that it can say what it is part
    /// of.
    Other(char),
    End,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
            Self::Other(c) => write!(f, "`{c}`"),
            Self::End => f.write_str("the end of the file"),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) place: Place,
    /// First on its line. SpiceDB ends a statement with its line, so it matters.
    pub(super) first: bool,
}

/// Longer ones first.
const SYMBOLS: [&str; 18] =
    ["...", "->", "{", "}", "(", ")", ":", "|", "=", "+", "&", "-", "#", "*", ";", ".", "/", "@"];

/// The tokens of a text without its comments, an [`Kind::End`] last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SchemaError> {
    let mut lexer = Lexer { rest: text, place: Place { line: 1, column: 1 }, first: true };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank()?;
        let (place, first) = (lexer.place, lexer.first);
        let kind = lexer.next();
        let end = kind == Kind::End;
        tokens.push(Token { kind, place, first });
        lexer.first = false;
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    place: Place,
    first: bool,
}

impl Lexer<'_> {
    fn next(&mut self) -> Kind {
        let word = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        if word > 0 {
            let text = self.rest[..word].into();
            self.skip(word);
            return Kind::Word(text);
        }
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.rest.starts_with(symbol)) {
            self.skip(symbol.len());
            return Kind::Symbol(symbol);
        }
        let Some(other) = self.rest.chars().next() else { return Kind::End };
        self.skip(other.len_utf8());
        Kind::Other(other)
    }

    /// White space, `// …` and `/* … */` (doc comments are comments).
    fn skip_blank(&mut self) -> Result<(), SchemaError> {
        loop {
            let start = self.rest.len();
            self.skip(start - self.rest.trim_start().len());
            if self.rest.starts_with("//") {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if let Some(inside) = self.rest.strip_prefix("/*") {
                let length = inside.find("*/").ok_or(SchemaError::new(self.place, Problem::OpenComment))?;
                self.skip(length + 4);
            }
            if self.rest.len() == start {
                return Ok(());
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        for c in skipped.chars() {
            if c == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
                self.first = true;
            } else {
                self.place.column += 1;
            }
        }
        self.rest = rest;
    }
}
