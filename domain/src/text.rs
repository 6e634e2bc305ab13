//! Texts that people wrote.

use sluice_schema::error::{ClientError, Code};

/// The text without blanks around it: 1 to `max` characters, none of them a control character.
///
/// # Errors
/// `INVALID_TEXT` for this input field.
pub(crate) fn text(text: &str, max: usize, field: &str) -> Result<String, ClientError> {
    let trimmed = text.trim();
    if (1..=max).contains(&trimmed.chars().count()) && !trimmed.chars().any(char::is_control) {
        return Ok(trimmed.into());
    }
    let message = format!("This text must have 1 to {max} characters, none of them a control character.");
    Err(ClientError::new(Code::InvalidText, message).at(field))
}
