//! Writes Rust from the model. What it writes is plain: read it under `target/…/out/` when in doubt.

use std::fmt::Write;

use crate::model::{Enumeration, Field, Message, Model, Role, Shape};

/// Tables of labels, redaction, and the enum of all payloads.
pub(crate) fn annotations(model: &Model) -> String {
    let mut out = String::new();
    for message in &model.messages {
        table(&mut out, message);
        redact(&mut out, message);
    }
    let _ = writeln!(out, "/// Every annotated message.\npub static MESSAGES: &[&MessageTable] = &[");
    for message in &model.messages {
        let _ = writeln!(out, "    &{},", table_name(&message.name));
    }
    out.push_str("];\n\n");
    payloads(&mut out, model);
    out
}

/// The prost type of a message.
fn path(message: &Message) -> String {
    format!("pb::{}::{}", message.module, message.name)
}

fn table_name(message: &str) -> String {
    let mut name = String::new();
    for (i, c) in message.char_indices() {
        if i > 0 && c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

fn label(visibility: u8, sensitivity: u8) -> String {
    format!(
        "Label {{ visibilities: Visibilities::from_bits({visibility}), sensitivities: Sensitivities::from_bits({sensitivity}) }}"
    )
}

fn table(out: &mut String, message: &Message) {
    let _ = writeln!(
        out,
        "/// The labels of `{}`.\nstatic {}: MessageTable = MessageTable {{\n    name: {:?},\n    graphql_type: {:?},\n    label: {},\n    fields: &[",
        message.full_name,
        table_name(&message.name),
        message.full_name,
        message.name,
        label(message.visibility, 0),
    );
    for field in &message.fields {
        let (message_table, sibling) = (nested(&field.shape), sibling(message, field));
        let paths_into = sibling.map_or("None".to_owned(), |sibling| nested(&sibling.shape));
        let _ = writeln!(
            out,
            "        FieldEntry {{ name: {:?}, json_name: {:?}, label: {}, safe_harbor: {}, message: {message_table}, paths_into: {paths_into} }},",
            field.name,
            field.json_name,
            label(field.visibility, field.sensitivity),
            field.safe_harbor,
        );
    }
    out.push_str("    ],\n};\n\n");
}

/// An expression for the table of a field's message.
fn nested(shape: &Shape) -> String {
    match shape {
        Shape::Message(name) => format!("Some(&{})", table_name(name)),
        _ => "None".to_owned(),
    }
}

fn redact(out: &mut String, message: &Message) {
    let _ = writeln!(out, "impl Redact for {} {{\n    fn redact(&mut self, mask: Mask) {{", path(message));
    for field in &message.fields {
        let name = &field.name;
        let _ = writeln!(out, "        if !mask.sees({}) {{", label(field.visibility, field.sensitivity));
        let _ = writeln!(out, "            self.{name} = Default::default();\n        }}");
        if matches!(field.shape, Shape::Message(_)) {
            let _ = writeln!(out, "        self.{name}.iter_mut().for_each(|part| part.redact(mask));");
        }
        if let Some(Shape::Message(target)) = sibling(message, field).map(|sibling| &sibling.shape) {
            let _ = writeln!(out, "        self.{name}.retain(|path| {}.shows_path(path, mask));", table_name(target));
        }
    }
    out.push_str("    }\n}\n\n");
}

fn sibling<'m>(message: &'m Message, field: &Field) -> Option<&'m Field> {
    let name = field.paths_into.as_ref()?;
    Some(message.fields.iter().find(|sibling| sibling.name == *name).expect("paths_into names a sibling field"))
}

fn payloads(out: &mut String, model: &Model) {
    let happened: Vec<_> = model.messages.iter().filter(|message| message.role == Role::Happened).collect();
    let mut each = |head: &str, arm: &dyn Fn(&Message) -> String, tail: &str| {
        out.push_str(head);
        for message in &happened {
            let _ = writeln!(out, "{}", arm(message));
        }
        out.push_str(tail);
    };
    each(
        "/// What happened: the payload of an event, by its header's type. Its `Debug` names it, and shows nothing of it.\n#[derive(Clone, PartialEq)]\npub enum Payload {\n",
        &|m| format!("    {}(Box<{}>),", m.name, path(m)),
        "}\n\nimpl Payload {\n",
    );
    each(
        "    /// Reads a payload. `None`: a type that this version does not know.\n    ///\n    /// # Errors\n    /// The bytes are not such a message.\n    pub fn decode(event_type: &str, bytes: &[u8]) -> Result<Option<Self>, prost::DecodeError> {\n        Ok(Some(match event_type {\n",
        &|m| format!("            {:?} => Self::{}(Box::new({}::decode(bytes)?)),", m.full_name, m.name, path(m)),
        "            _ => return Ok(None),\n        }))\n    }\n\n",
    );
    each(
        "    pub fn encode(&self) -> Vec<u8> {\n        match self {\n",
        &|m| format!("            Self::{}(payload) => payload.encode_to_vec(),", m.name),
        "        }\n    }\n\n",
    );
    each(
        "    /// The labels of its message.\n    pub fn table(&self) -> &'static MessageTable {\n        match self {\n",
        &|m| format!("            Self::{}(_) => &{},", m.name, table_name(&m.name)),
        "        }\n    }\n\n",
    );
    each(
        "    /// Takes out what the mask does not open.\n    pub fn redact(&mut self, mask: Mask) {\n        match self {\n",
        &|m| format!("            Self::{}(payload) => payload.redact(mask),", m.name),
        "        }\n    }\n}\n\n",
    );
    each(
        "impl std::fmt::Debug for Payload {\n    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {\n        f.write_str(match self {\n",
        &|m| format!("            Self::{0}(_) => \"{0}(…)\",", m.name),
        "        })\n    }\n}\n",
    );
}

/// GraphQL objects and enums that mirror the messages.
pub(crate) fn graphql(model: &Model) -> String {
    let mut out = String::new();
    for e in &model.enums {
        enumeration(&mut out, e, model);
    }
    for message in &model.messages {
        object(&mut out, message);
        conversion(&mut out, message);
    }
    union(&mut out, model);
    out
}

fn doc(out: &mut String, indent: &str, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(out, "{indent}#[doc = {text:?}]");
    }
}

fn enumeration(out: &mut String, e: &Enumeration, model: &Model) {
    let fields = model.messages.iter().flat_map(|message| &message.fields);
    let required =
        fields.filter(|f| !f.optional && f.open).any(|f| matches!(&f.shape, Shape::Enum(name) if *name == e.name));
    doc(out, "", &e.doc);
    let _ = writeln!(out, "#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]\npub enum {} {{", e.name);
    for (variant, comment) in &e.values {
        doc(out, "    ", comment);
        let _ = writeln!(out, "    {variant},");
    }
    if required {
        let _ = writeln!(out, "    /// One that this version does not know.\n    Unknown,");
    }
    let _ = writeln!(out, "}}\n\nimpl {0} {{\n    fn of(number: i32) -> Option<Self> {{", e.name);
    let proto = format!("pb::{}::{}", e.module, e.name);
    let _ = writeln!(out, "        match {proto}::try_from(number).ok()? {{");
    for (variant, _) in &e.values {
        let _ = writeln!(out, "            {proto}::{variant} => Some(Self::{variant}),");
    }
    let _ = writeln!(out, "            {proto}::Unspecified => None,\n        }}\n    }}\n}}\n");
}

/// Whether the field is always there for whoever sees the object: no `null` in GraphQL.
fn is_required(field: &Field) -> bool {
    field.open && !field.optional
}

fn rust_type(field: &Field) -> String {
    let item = match &field.shape {
        Shape::Text => "String".to_owned(),
        Shape::Id => "ID".to_owned(),
        Shape::CalendarDate => "Date".to_owned(),
        Shape::Decimal => "Decimal".to_owned(),
        Shape::Bool => "bool".to_owned(),
        Shape::Time => "DateTime".to_owned(),
        Shape::Enum(name) => name.clone(),
        Shape::Message(name) => name.clone(),
    };
    let value = if field.repeated { format!("Vec<{item}>") } else { item };
    if is_required(field) { value } else { format!("Labelled<{value}>") }
}

fn object(out: &mut String, message: &Message) {
    doc(out, "", &message.doc);
    let _ = writeln!(out, "#[derive(Debug, Clone, SimpleObject)]\npub struct {} {{", message.name);
    for field in &message.fields {
        doc(out, "    ", &field.doc);
        let _ = writeln!(out, "    pub {}: {},", field.name, rust_type(field));
    }
    out.push_str("}\n\n");
}

fn conversion(out: &mut String, message: &Message) {
    let _ = writeln!(
        out,
        "impl See<{0}> for {1} {{\n    fn see(message: &{0}, mask: Mask) -> Self {{\n        Self {{",
        path(message),
        message.name,
    );
    for field in &message.fields {
        let value = value(field);
        let value = if is_required(field) {
            value
        } else {
            let label = label(field.visibility, field.sensitivity);
            format!("Labelled::see(mask, {label}, || {value})")
        };
        let _ = writeln!(out, "            {}: {value},", field.name);
    }
    out.push_str("        }\n    }\n}\n\n");
}

/// An expression for the field's value: `T` where it is required, else `Option<T>`.
fn value(field: &Field) -> String {
    let source = format!("message.{}", field.name);
    let one = format!("|v| {}", item(&field.shape, "v"));
    // A date, time or enum that is none becomes `null`, never something made up.
    let fallible = matches!(field.shape, Shape::CalendarDate | Shape::Time | Shape::Enum(_));
    match (field.repeated, is_required(field), field.optional, fallible) {
        (true, true, ..) => format!("{source}.iter().map({one}).collect()"),
        (true, ..) => format!("Some({source}.iter().map({one}).collect())"),
        (_, true, _, true) => {
            format!("{}.unwrap_or({})", item(&field.shape, &format!("&{source}")), unknown(&field.shape))
        }
        (_, true, ..) => item(&field.shape, &source),
        (_, _, true, true) => format!("{source}.as_ref().and_then({one})"),
        (_, _, true, _) => format!("{source}.as_ref().map({one})"),
        (_, _, false, true) => format!("Some(&{source}).and_then({one})"),
        (_, _, false, _) => format!("Some(&{source}).map({one})"),
    }
}

/// An expression that turns a reference `v` to a proto value into a GraphQL value.
fn item(shape: &Shape, v: &str) -> String {
    match shape {
        Shape::Text => format!("{v}.clone()"),
        Shape::Id => format!("ID({v}.clone())"),
        Shape::CalendarDate => format!("Date::of({v})"),
        Shape::Decimal => format!("Decimal({v}.clone())"),
        Shape::Bool => format!("*{v}"),
        Shape::Time => format!("DateTime::of({v})"),
        Shape::Enum(name) => format!("{name}::of(*{v})"),
        Shape::Message(name) => format!("{name}::see({v}, mask)"),
    }
}

fn unknown(shape: &Shape) -> String {
    match shape {
        Shape::Enum(name) => format!("{name}::Unknown"),
        _ => unreachable!("only enums are required and fallible: times and dates have presence"),
    }
}

fn union(out: &mut String, model: &Model) {
    let happened: Vec<_> = model.messages.iter().filter(|message| message.role == Role::Happened).collect();
    out.push_str("/// What happened.\n#[derive(Debug, Clone, Union)]\npub enum EventPayload {\n");
    for message in &happened {
        let _ = writeln!(out, "    {0}({0}),", message.name);
    }
    out.push_str("}\n\nimpl See<Payload> for EventPayload {\n    fn see(payload: &Payload, mask: Mask) -> Self {\n        match payload {\n");
    for message in &happened {
        let _ = writeln!(out, "            Payload::{0}(payload) => Self::{0}({0}::see(payload, mask)),", message.name);
    }
    out.push_str("        }\n    }\n}\n");
}
