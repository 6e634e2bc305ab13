//! Tokens to definitions, names not yet looked up.

use super::{
    Allowed, AllowedKind, Expression, Item, Name,
    error::{Problem, SchemaError},
    lexer::{Kind, Token, tokens},
};

pub(super) struct Definition {
    pub(super) name: Name,
    pub(super) items: Vec<(Name, Item)>,
}

/// SpiceDB's keywords, those included that only some `use` turns on.
const KEYWORDS: [&str; 14] = [
    "definition",
    "caveat",
    "relation",
    "permission",
    "nil",
    "with",
    "use",
    "expiration",
    "and",
    "any",
    "all",
    "import",
    "partial",
    "typechecking",
];

pub(super) fn parse(text: &str) -> Result<Vec<Definition>, SchemaError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, expiration: false };
    let mut definitions = Vec::new();
    while parser.peek().kind != Kind::End {
        if parser.take_word("use") {
            parser.directive(definitions.is_empty())?;
        } else if parser.take_word("definition") {
            definitions.push(parser.definition()?);
        } else if !parser.take(";") {
            return Err(parser.not_top_level());
        }
    }
    Ok(definitions)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    expiration: bool,
}

impl Parser {
    /// After `use`.
    fn directive(&mut self, early: bool) -> Result<(), SchemaError> {
        if !early {
            return Err(self.problem(Problem::LateUse));
        }
        if !self.take_word("expiration") {
            return Err(self.unsupported("this feature", "only `use expiration` can be used"));
        }
        self.expiration = true;
        self.end_of_statement()
    }

    fn not_top_level(&self) -> SchemaError {
        match self.word() {
            Some("caveat") => self.unsupported("a caveat", CAVEAT),
            Some("partial") => self.unsupported("a partial", "write its relations in each definition"),
            Some("import") => self.unsupported("an import", "write everything in one file"),
            _ => self.unexpected("`use` or `definition`"),
        }
    }

    /// After `definition`.
    fn definition(&mut self) -> Result<Definition, SchemaError> {
        let name = self.name()?;
        if self.is("/") {
            return Err(self.unsupported("a prefix of a type", "use the plain name"));
        }
        self.expect("{", "`{`")?;
        let mut items = Vec::new();
        while !self.take("}") {
            if self.take_word("relation") {
                items.push(self.relation()?);
            } else if self.take_word("permission") {
                items.push(self.permission()?);
            } else if !self.take(";") {
                return Err(self.not_an_item());
            }
        }
        Ok(Definition { name, items })
    }

    fn not_an_item(&self) -> SchemaError {
        match self.peek().kind {
            Kind::Symbol("...") => self.unsupported("a partial", "write its relations here"),
            Kind::Symbol("@") => self.unsupported("a decorator", "remove it, or say it in a comment"),
            _ => self.unexpected("`relation`, `permission` or `}`"),
        }
    }

    /// After `relation`.
    fn relation(&mut self) -> Result<(Name, Item), SchemaError> {
        let name = self.name()?;
        self.expect(":", "`:` and the types that may be its subject")?;
        let mut allowed = vec![self.allowed()?];
        while self.take_operator(&["|"])?.is_some() {
            allowed.push(self.allowed()?);
        }
        self.end_of_statement()?;
        Ok((name, Item::Relation(allowed)))
    }

    fn allowed(&mut self) -> Result<Allowed, SchemaError> {
        let object_type = self.name()?;
        if self.is("/") {
            return Err(self.unsupported("a prefix of a type", "use the plain name"));
        }
        let kind = if self.take(":") {
            self.expect("*", "`*` (a relation's subject is a type, `type:*` or `type#relation`)")?;
            AllowedKind::Wildcard
        } else if self.take("#") {
            if self.is("...") {
                return Err(self.unsupported("`#...`", "name the type alone, which is the same"));
            }
            AllowedKind::Set(self.name()?)
        } else {
            AllowedKind::Object
        };
        let expiring = self.trait_expiration()?;
        Ok(Allowed { object_type, kind, expiring })
    }

    /// `with expiration`, or nothing.
    fn trait_expiration(&mut self) -> Result<bool, SchemaError> {
        if !self.take_word("with") {
            return Ok(false);
        }
        if self.word() == Some("expiration") && !self.expiration {
            return Err(self.problem(Problem::ExpirationNotEnabled));
        }
        if !self.take_word("expiration") || self.word() == Some("and") {
            return Err(self.unsupported("a caveat", CAVEAT));
        }
        Ok(true)
    }

    /// After `permission`.
    fn permission(&mut self) -> Result<(Name, Item), SchemaError> {
        let name = self.name()?;
        if self.is(":") {
            return Err(self.unsupported("a type annotation of a permission", "remove it, up to the `=`"));
        }
        self.expect("=", "`=`")?;
        let expression = self.expression()?;
        self.end_of_statement()?;
        Ok((name, Item::Permission(expression)))
    }

    fn expression(&mut self) -> Result<Expression, SchemaError> {
        let first = self.operand()?;
        let Some(operator) = self.take_operator(&OPERATORS)? else { return Ok(first) };
        let mut operands = vec![first, self.operand()?];
        while let Some(next) = self.take_operator(&OPERATORS)? {
            if next != operator {
                self.at -= 1;
                return Err(self.problem(Problem::MixedOperators { first: operator, second: next }));
            }
            operands.push(self.operand()?);
        }
        Ok(match operator {
            "+" => Expression::Union(operands),
            "&" => Expression::Intersection(operands),
            _ => Expression::Exclusion(operands),
        })
    }

    fn operand(&mut self) -> Result<Expression, SchemaError> {
        if self.take("(") {
            let inner = self.expression()?;
            self.expect(")", "`)` or an operator")?;
            return if self.is("->") { Err(self.unsupported("an arrow from a parenthesis", ARROW)) } else { Ok(inner) };
        }
        if self.take_word("nil") {
            return Ok(Expression::Nil);
        }
        let name = self.name()?;
        let target = if self.take("->") {
            self.name()?
        } else if self.take(".") {
            self.function()?
        } else {
            return Ok(Expression::Own(name));
        };
        if self.is("->") || self.is(".") {
            return Err(self.unsupported("a second arrow in a row", ARROW));
        }
        Ok(Expression::Arrow { relation: name, target })
    }

    /// After the dot of `relation.any(target)`.
    fn function(&mut self) -> Result<Name, SchemaError> {
        if self.word() == Some("all") {
            return Err(self.unsupported("`.all()`", "use `->`, which any of the relation's objects satisfies"));
        }
        if !self.take_word("any") {
            return Err(self.unexpected("`any(…)`"));
        }
        self.expect("(", "`(`")?;
        let target = self.name()?;
        self.expect(")", "`)`")?;
        Ok(target)
    }

    fn name(&mut self) -> Result<Name, SchemaError> {
        let token = self.peek();
        let Kind::Word(text) = &token.kind else { return Err(self.unexpected("a name")) };
        let name = Name { text: text.clone(), place: token.place };
        if !is_name(text) {
            return Err(self.problem(Problem::BadName(name.text)));
        }
        self.at += 1;
        Ok(name)
    }

    /// One of these operators, if it stands next. One that begins a line can't: SpiceDB has ended the statement there.
    fn take_operator(&mut self, operators: &[&'static str]) -> Result<Option<&'static str>, SchemaError> {
        let Some(operator) = operators.iter().copied().find(|operator| self.is(operator)) else { return Ok(None) };
        if self.peek().first {
            return Err(self.problem(Problem::LineBreak(operator.to_owned())));
        }
        self.at += 1;
        Ok(Some(operator))
    }

    fn end_of_statement(&mut self) -> Result<(), SchemaError> {
        if self.take(";") || self.peek().first || self.peek().kind == Kind::End {
            return Ok(());
        }
        Err(self.unexpected("the end of the line"))
    }

    fn expect(&mut self, symbol: &str, expected: &'static str) -> Result<(), SchemaError> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.word() == Some(word);
        self.at += usize::from(found);
        found
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek().kind, Kind::Symbol(found) if found == symbol)
    }

    fn word(&self) -> Option<&str> {
        if let Kind::Word(word) = &self.peek().kind { Some(word) } else { None }
    }

    /// Never past the end: nothing takes [`Kind::End`].
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn problem(&self, problem: Problem) -> SchemaError {
        SchemaError::new(self.peek().place, problem)
    }

    fn unexpected(&self, expected: &'static str) -> SchemaError {
        self.problem(Problem::Unexpected { found: self.peek().kind.to_string(), expected })
    }

    fn unsupported(&self, what: &'static str, instead: &'static str) -> SchemaError {
        self.problem(Problem::Unsupported { what, instead })
    }
}

const OPERATORS: [&str; 3] = ["+", "&", "-"];
const CAVEAT: &str = "write a permission for each purpose, and use `with expiration` for time";
const ARROW: &str = "give the inner part a permission of its own and point one arrow at that";

fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (3..=64).contains(&text.len())
        && text.bytes().all(inner)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('_')
        && !KEYWORDS.contains(&text)
}
