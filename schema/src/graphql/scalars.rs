//! Scalars. What does not parse is refused with a code of docs/errors.md.

use async_graphql::{InputType, InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::{channel::ChannelPattern, error::Code, position::Cursor};

/// A calendar date, ISO 8601: `2026-11-24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date(pub jiff::civil::Date);

/// An instant in UTC, RFC 3339: `2026-11-24T08:30:00.125Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(pub jiff::Timestamp);

/// A decimal number as text: `"1500.00"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(pub String);

/// A place to continue from: opaque. Take it from `extensions.cursor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorScalar(pub Cursor);

/// A channel or channel pattern: `/members/m-1/**`. `*` stands for one segment, a last `**` for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelScalar(pub ChannelPattern);

impl Date {
    /// `None` for a text that is no date: a payer may send anything.
    pub fn of(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl DateTime {
    pub fn of(time: &prost_types::Timestamp) -> Option<Self> {
        jiff::Timestamp::new(time.seconds, time.nanos).ok().map(Self)
    }
}

fn refuse<T: InputType>(code: Code, why: impl std::fmt::Display) -> InputValueError<T> {
    InputValueError::custom(why).with_extension("code", code.as_str())
}

fn text<T: InputType>(value: Value, code: Code, wanted: &str) -> Result<String, InputValueError<T>> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(refuse(code, wanted)),
    }
}

/// A calendar date, ISO 8601: `2026-11-24`.
#[Scalar(name = "Date")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let wanted = "a date is written YYYY-MM-DD and must exist";
        let text = text(value, Code::InvalidDate, wanted)?;
        Self::of(&text).filter(|_| text.len() == 10).ok_or_else(|| refuse(Code::InvalidDate, wanted))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An instant in UTC, RFC 3339: `2026-11-24T08:30:00.125Z`.
#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let wanted = "an instant is written as in RFC 3339, like 2026-11-24T08:30:00Z";
        let text = text(value, Code::InvalidDate, wanted)?;
        text.parse().map(Self).map_err(|_| refuse(Code::InvalidDate, wanted))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A decimal number as text: `"1500.00"`. Never a float, which would change cents.
#[Scalar(name = "Decimal")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        text(value, Code::InvalidText, "a decimal is written as text").map(Self)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A place to continue from: opaque. Take it from `extensions.cursor`.
#[Scalar(name = "Cursor")]
impl ScalarType for CursorScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        let text = text(value, Code::MalformedCursor, "a cursor is a text")?;
        text.parse().map(Self).map_err(|error| refuse(Code::MalformedCursor, error))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A channel or channel pattern: `/members/m-1/**`. `*` stands for one segment, a last `**` for the rest.
#[Scalar(name = "Channel")]
impl ScalarType for ChannelScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        let text = text(value, Code::InvalidChannel, "a channel is a text")?;
        text.parse().map(Self).map_err(|error| refuse(Code::InvalidChannel, error))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}
