//! The annotated messages, as the generator needs them.

use std::error::Error;

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind,
    MessageDescriptor,
};

/// Packages whose messages carry annotations.
const ANNOTATED: &str = "sluice.";
const ANNOTATIONS: &str = "sluice.privacy.v1";

pub(crate) struct Model {
    pub messages: Vec<Message>,
    pub enums: Vec<Enumeration>,
}

pub(crate) struct Message {
    pub full_name: String,
    /// Unique among all packages: tables and GraphQL types are named by it.
    pub name: String,
    /// The module of its package below `crate::proto`.
    pub module: String,
    pub doc: String,
    pub role: Role,
    /// Bits of `Visibilities`.
    pub visibility: u8,
    pub fields: Vec<Field>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Part,
    Happened,
    Entity,
}

pub(crate) struct Field {
    pub name: String,
    pub json_name: String,
    pub doc: String,
    /// Bits of `Visibilities` and `Sensitivities`.
    pub visibility: u8,
    pub sensitivity: u8,
    pub safe_harbor: i32,
    /// Visible to everybody who may see the event.
    pub open: bool,
    pub shape: Shape,
    pub repeated: bool,
    /// Whether absence can be told from emptiness.
    pub optional: bool,
    /// The sibling that this field's paths lead into.
    pub paths_into: Option<String>,
}

pub(crate) enum Shape {
    Text,
    Id,
    CalendarDate,
    Decimal,
    Bool,
    Time,
    Enum(String),
    Message(String),
}

pub(crate) struct Enumeration {
    pub name: String,
    pub module: String,
    pub doc: String,
    /// Variant names as prost spells them, with their comments; the zero value (UNSPECIFIED) left out.
    pub values: Vec<(String, String)>,
}

pub(crate) fn read(pool: &DescriptorPool) -> Result<Model, Box<dyn Error>> {
    let field_extension = extension(pool, "field")?;
    let message_extension = extension(pool, "message")?;
    let annotated = |package: &str| package.starts_with(ANNOTATED) && package != ANNOTATIONS;
    let messages = pool
        .all_messages()
        .filter(|message| annotated(message.package_name()))
        .map(|message| read_message(&message, &message_extension, &field_extension))
        .collect::<Result<Vec<_>, _>>()?;
    let enums: Vec<_> = pool.all_enums().filter(|e| annotated(e.package_name())).map(|e| read_enum(&e)).collect();
    let mut names: Vec<_> = messages.iter().map(|m| &m.name).chain(enums.iter().map(|e| &e.name)).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(format!("two packages have a {}: GraphQL has one namespace, so name one otherwise", pair[0]).into())
        }
        None => Ok(Model { messages, enums }),
    }
}

/// `sluice.eligibility.v1` → `eligibility`.
fn module(package: &str) -> String {
    package.split('.').nth(1).unwrap_or(package).to_owned()
}

fn extension(pool: &DescriptorPool, name: &str) -> Result<ExtensionDescriptor, Box<dyn Error>> {
    let full_name = format!("{ANNOTATIONS}.{name}");
    pool.get_extension_by_name(&full_name).ok_or_else(|| format!("no extension {full_name}").into())
}

fn read_message(
    message: &MessageDescriptor,
    message_extension: &ExtensionDescriptor,
    field_extension: &ExtensionDescriptor,
) -> Result<Message, Box<dyn Error>> {
    let options = message.options();
    let annotation = options.get_extension(message_extension);
    let annotation = annotation.as_message().ok_or("the annotation is a message")?;
    let role = match number(annotation, "role") {
        1 => Role::Happened,
        2 => Role::Entity,
        _ => Role::Part,
    };
    let visibility = visibility(annotation).0;
    if role != Role::Part && visibility == 0 {
        return Err(format!("{} says nobody may see it: annotate its visibility", message.full_name()).into());
    }
    Ok(Message {
        full_name: message.full_name().to_owned(),
        name: message.name().to_owned(),
        module: module(message.package_name()),
        doc: comment(message.parent_file().file_descriptor_proto(), message.path()),
        role,
        visibility,
        fields: message.fields().map(|field| read_field(&field, field_extension)).collect::<Result<_, _>>()?,
    })
}

fn read_field(field: &FieldDescriptor, extension: &ExtensionDescriptor) -> Result<Field, Box<dyn Error>> {
    let options = field.options();
    if !options.has_extension(extension) {
        return Err(format!("{} has no privacy annotation: say who may see it", field.full_name()).into());
    }
    let annotation = options.get_extension(extension);
    let annotation = annotation.as_message().ok_or("the annotation is a message")?;
    let (visibility, open) = visibility(annotation);
    let strict = annotation.get_field_by_name("strict").and_then(|v| v.as_bool()).unwrap_or_default();
    let class = match number(annotation, "sensitivity") {
        0 => 0,
        class => 1 << (class - 1),
    };
    let sensitivity = class | if strict { 0b10_0000 } else { 0 };
    let paths_into = annotation.get_field_by_name("paths_into").and_then(|v| v.as_str().map(str::to_owned));
    Ok(Field {
        name: field.name().to_owned(),
        json_name: field.json_name().to_owned(),
        doc: comment(field.parent_message().parent_file().file_descriptor_proto(), field.path()),
        visibility,
        sensitivity,
        safe_harbor: number(annotation, "safe_harbor"),
        open: open && sensitivity == 0,
        shape: shape(field, number(annotation, "scalar"))?,
        repeated: field.cardinality() == Cardinality::Repeated,
        optional: field.supports_presence(),
        paths_into: paths_into.filter(|path| !path.is_empty()),
    })
}

/// The audiences' bits, and whether EVENT is among them.
fn visibility(annotation: &DynamicMessage) -> (u8, bool) {
    let values = annotation.get_field_by_name("visibility");
    let numbers = values.iter().filter_map(|v| v.as_list()).flatten().filter_map(|v| v.as_enum_number());
    numbers.fold((0, false), |(bits, open), number| match number {
        1..=4 => (bits | 1 << (number - 1), open),
        7..=8 => (bits | 1 << (number - 3), open),
        6 => (0b11_1111, true),
        _ => (bits, open),
    })
}

fn shape(field: &FieldDescriptor, scalar: i32) -> Result<Shape, Box<dyn Error>> {
    Ok(match (field.kind(), scalar) {
        (Kind::String, 0) => Shape::Text,
        (Kind::String, 1) => Shape::Id,
        (Kind::String, 2) => Shape::CalendarDate,
        (Kind::String, 3) => Shape::Decimal,
        (Kind::Bool, _) => Shape::Bool,
        (Kind::Message(m), _) if m.full_name() == "google.protobuf.Timestamp" => Shape::Time,
        (Kind::Message(m), _) => Shape::Message(m.name().to_owned()),
        (Kind::Enum(e), _) => Shape::Enum(e.name().to_owned()),
        (kind, _) => return Err(format!("{}: the generator does not know {kind:?} yet", field.full_name()).into()),
    })
}

fn read_enum(e: &EnumDescriptor) -> Enumeration {
    let prefix = screaming(e.name()) + "_";
    let file = e.parent_file();
    let values = e.values().filter(|value| value.number() != 0).map(|value| {
        let name = value.name().strip_prefix(&prefix).unwrap_or(value.name());
        (pascal(name), comment(file.file_descriptor_proto(), value.path()))
    });
    Enumeration {
        name: e.name().to_owned(),
        module: module(e.package_name()),
        doc: comment(file.file_descriptor_proto(), e.path()),
        values: values.collect(),
    }
}

fn number(annotation: &DynamicMessage, name: &str) -> i32 {
    annotation.get_field_by_name(name).and_then(|value| value.as_enum_number()).unwrap_or(0)
}

fn comment(file: &prost_reflect::prost_types::FileDescriptorProto, path: &[i32]) -> String {
    let info = file.source_code_info.iter().flat_map(|info| &info.location);
    let comments =
        info.filter(|location| location.path == path).filter_map(|location| location.leading_comments.as_deref());
    comments.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).next().unwrap_or_default()
}

/// `EligibilityState` → `ELIGIBILITY_STATE`.
fn screaming(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.char_indices() {
        if i > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// `PAYER_TIMEOUT` → `PayerTimeout`.
fn pascal(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_owned() + &word[1..].to_ascii_lowercase()).collect()
}
