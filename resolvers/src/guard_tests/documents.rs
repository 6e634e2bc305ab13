//! Random subscriptions over the real schema, read from its SDL: valid in most cases.

use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
};

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, Type as Parsed, TypeKind, TypeSystemDefinition},
};

use super::tape::Tape;

/// What the SDL says of a type that has parts.
enum Type {
    /// Field names and the types that they end in.
    Object(Vec<(String, String)>),
    Union(Vec<String>),
}

static TYPES: LazyLock<HashMap<String, Type>> = LazyLock::new(|| {
    let document = parse_schema(include_str!("../../../schema.graphql")).expect("the schema's SDL parses");
    let types = document.definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    let known = types.filter_map(|definition| {
        let kind = match definition.kind {
            TypeKind::Object(object) => {
                let field = |field: &async_graphql::parser::types::FieldDefinition| {
                    (field.name.node.to_string(), base(&field.ty.node).to_owned())
                };
                Type::Object(object.fields.iter().map(|f| field(&f.node)).collect())
            }
            TypeKind::Union(union) => Type::Union(union.members.iter().map(|member| member.node.to_string()).collect()),
            _ => return None,
        };
        Some((definition.name.node.to_string(), kind))
    });
    known.collect()
});

fn base(parsed: &Parsed) -> &str {
    match &parsed.base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => base(inner),
    }
}

/// A root field: its name, its argument and that argument's type, and what it gives.
pub(super) struct Root(pub(super) &'static str, &'static str, &'static str, &'static str);

pub(super) const ROOTS: [Root; 3] = [
    Root("events", "channel", "Channel", "Event"),
    Root("memberEligibility", "memberId", "ID", "EligibilityCheck"),
    Root("eligibilityCheckUpdated", "id", "ID", "EligibilityCheck"),
];

pub(super) const FLAGS: [&str; 2] = ["v0", "v1"];

#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) query: String,
    /// Whether what is watched is a variable, `at`.
    pub(super) at_variable: bool,
    /// Which of [`FLAGS`] it declares.
    pub(super) flags: BTreeSet<usize>,
}

/// What leads to what is sensitive, and that.
const SENSITIVE: [&str; 7] = [
    "payload",
    "after",
    "coverage",
    "hivBenefits",
    "substanceUseBenefits",
    "reproductiveBenefits",
    "behavioralHealthBenefits",
];

/// So deep, and so many fields: well within the limits of a request.
const DEPTH: usize = 6;
const FIELDS: usize = 40;

struct Writer {
    tape: Tape,
    flags: BTreeSet<usize>,
    /// Complete ones, by the type that they are on.
    fragments: Vec<(String, usize)>,
    definitions: String,
    aliases: usize,
    fields: usize,
}

impl Document {
    /// `resumes`: whether it takes a cursor, the variable `after`.
    pub(super) fn random(root: &Root, at: &str, resumes: bool, mut tape: Tape) -> Self {
        let at_variable = tape.below(2) == 1;
        let alias = if tape.below(4) == 3 { "root: " } else { "" };
        let Root(field, argument, kind, gives) = root;
        let mut writer = Writer {
            tape,
            flags: BTreeSet::new(),
            fragments: vec![],
            definitions: String::new(),
            aliases: 1,
            fields: 0,
        };
        let set = writer.set(gives, 0);
        let mut variables = Vec::new();
        variables.extend(at_variable.then(|| format!("$at: {kind}!")));
        variables.extend(resumes.then(|| "$after: Cursor".to_owned()));
        let declared = ["$v0: Boolean!", "$v1: Boolean = true"];
        variables.extend(writer.flags.iter().map(|flag| declared[*flag].to_owned()));
        let variables = if variables.is_empty() { String::new() } else { format!("({})", variables.join(", ")) };
        let value = if at_variable { "$at".to_owned() } else { format!("\"{at}\"") };
        let after = if resumes { ", after: $after" } else { "" };
        let query = format!(
            "subscription S{variables} {{ {alias}{field}({argument}: {value}{after}) {set} }}{}",
            writer.definitions
        );
        Self { query, at_variable, flags: writer.flags }
    }
}

impl Writer {
    fn set(&mut self, on: &str, depth: usize) -> String {
        let count = if self.fields > FIELDS { 1 } else { 1 + self.tape.below(6) };
        let items: Vec<_> = (0..count).map(|_| self.item(on, depth)).collect();
        format!("{{ {} }}", items.join(" "))
    }

    fn item(&mut self, on: &str, depth: usize) -> String {
        match self.tape.below(10) {
            7 => "__typename".into(),
            8 if depth < DEPTH => self.inline(on, depth),
            9 if depth < DEPTH => self.spread(on, depth),
            _ => match &TYPES[on] {
                Type::Object(fields) => self.field(fields, depth),
                Type::Union(_) => self.inline(on, depth),
            },
        }
    }

    fn field(&mut self, fields: &[(String, String)], depth: usize) -> String {
        self.fields += 1;
        let has_parts = |(_, of): &&(String, String)| TYPES.contains_key(of);
        let (nested, plain): (Vec<_>, Vec<_>) = fields.iter().partition(has_parts);
        let wants_parts = plain.is_empty() || (self.tape.below(2) == 1 && !nested.is_empty() && depth < DEPTH);
        // Few viewers differ by one sensitive list alone: only those who look at it tell whether that is heeded.
        let sensitive: Vec<_> = nested.iter().copied().filter(|(name, _)| SENSITIVE.contains(&name.as_str())).collect();
        let (name, of) = match wants_parts {
            true if !sensitive.is_empty() && self.tape.below(3) != 0 => *self.tape.one_of(&sensitive),
            true => *self.tape.one_of(&nested),
            false => *self.tape.one_of(&plain),
        };
        let alias = self.alias();
        let directive = self.directive();
        let set = if TYPES.contains_key(of) { self.set(of, depth + 1) } else { String::new() };
        format!("{alias}{name}{directive} {set}")
    }

    /// Now and then one that another field has as well: where both are at one place, that is refused.
    fn alias(&mut self) -> String {
        match self.tape.below(16) {
            14 if self.aliases < 10 => {
                self.aliases += 1;
                format!("a{}: ", self.aliases)
            }
            15 if self.aliases < 10 => {
                self.aliases += 1;
                format!("b{}: ", self.tape.below(8))
            }
            _ => String::new(),
        }
    }

    fn directive(&mut self) -> String {
        let flag = self.tape.below(20);
        match flag {
            18 => " @include(if: false)".into(),
            19 => " @skip(if: false)".into(),
            14..=17 => {
                let (variable, how) = (flag % 2, if flag < 16 { "include" } else { "skip" });
                self.flags.insert(variable);
                format!(" @{how}(if: ${})", FLAGS[variable])
            }
            _ => String::new(),
        }
    }

    /// A type that a fragment here may be on. Of a union mostly the one that there are events of.
    fn condition(&mut self, on: &str) -> String {
        match &TYPES[on] {
            Type::Union(members) if self.tape.below(5) == 4 => self.tape.one_of(members).clone(),
            Type::Union(_) => "EligibilityCheckChanged".into(),
            Type::Object(_) => on.into(),
        }
    }

    fn inline(&mut self, on: &str, depth: usize) -> String {
        let condition = self.condition(on);
        let written =
            if condition == on && self.tape.below(2) == 0 { String::new() } else { format!("on {condition}") };
        let directive = self.directive();
        let set = self.set(&condition, depth + 1);
        format!("... {written}{directive} {set}")
    }

    fn spread(&mut self, on: &str, depth: usize) -> String {
        let condition = self.condition(on);
        let directive = self.directive();
        let reused = self.fragments.iter().find(|(of, _)| *of == condition).map(|(_, number)| *number);
        if let (Some(number), 1) = (reused, self.tape.below(2)) {
            return format!("...F{number}{directive}");
        }
        let set = self.set(&condition, depth + 1);
        let number = self.fragments.len();
        self.definitions.push_str(&format!(" fragment F{number} on {condition} {set}"));
        self.fragments.push((condition, number));
        format!("...F{number}{directive}")
    }
}
