//! The definitions in a schema's text, cut out as they stand: also what only SpiceDB can read, such as caveats.

use std::fmt;

/// `definition`, `partial` or `caveat`, with the comments before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

/// A schema's parts. What stands between them (`use …`) is told by `uses`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Definitions<'a> {
    pub(super) uses: Vec<&'a str>,
    pub(super) definitions: Vec<Definition<'a>>,
}

/// The text does not have the form of a schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not the text of a schema")
    }
}

/// A schema of ours and the definitions of others from the server's.
pub(super) fn merge(ours: &str, theirs: &str, is_ours: impl Fn(&str) -> bool) -> Result<String, Unreadable> {
    let (own, others) = (split(ours)?, split(theirs)?);
    let mut uses = own.uses;
    uses.extend(others.uses);
    uses.sort_unstable();
    uses.dedup();
    let mut text = uses.iter().map(|name| format!("use {name}\n")).collect::<String>();
    let foreign = others.definitions.into_iter().filter(|one| !is_ours(one.name));
    for Definition { text: one, .. } in own.definitions.into_iter().chain(foreign) {
        text.push('\n');
        text.push_str(one);
        text.push('\n');
    }
    Ok(text)
}

pub(super) fn split(text: &str) -> Result<Definitions<'_>, Unreadable> {
    let mut parts = Definitions::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let start = rest.len() - code(rest)?.len();
        let (keyword, after) = word(&rest[start..]);
        let (name, after) = word(after.trim_start());
        rest = match keyword {
            // Only comments were left.
            "" if after.is_empty() => "",
            "use" => {
                parts.uses.push(name);
                after
            }
            "definition" | "caveat" | "partial" => {
                let after = block(after)?;
                parts.definitions.push(Definition { name, text: &rest[..rest.len() - after.len()] });
                after
            }
            _ => return Err(Unreadable),
        }
        .trim_start();
    }
    Ok(parts)
}

/// Past comments and spaces.
fn code(mut text: &str) -> Result<&str, Unreadable> {
    loop {
        text = text.trim_start();
        match comment(text)? {
            Some(after) => text = after,
            None => return Ok(text),
        }
    }
}

/// Past the comment that the text begins with, if it does.
fn comment(text: &str) -> Result<Option<&str>, Unreadable> {
    if let Some(line) = text.strip_prefix("//") {
        return Ok(Some(line.find('\n').map_or("", |end| &line[end..])));
    }
    let Some(long) = text.strip_prefix("/*") else { return Ok(None) };
    let end = long.find("*/").ok_or(Unreadable)?;
    Ok(Some(&long[end + 2..]))
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '/')).unwrap_or(text.len());
    text.split_at(end)
}

/// Past the braces and what they hold. Braces in comments and strings (a caveat's) don't count.
fn block(text: &str) -> Result<&str, Unreadable> {
    let (mut rest, mut depth) = (text, 0_usize);
    loop {
        if let Some(after) = comment(rest)? {
            rest = after;
            continue;
        }
        let first = rest.chars().next().ok_or(Unreadable)?;
        rest = &rest[first.len_utf8()..];
        match first {
            '"' | '\'' => rest = string(rest, first)?,
            '{' => depth += 1,
            '}' if depth == 1 => return Ok(rest),
            '}' => depth = depth.checked_sub(1).ok_or(Unreadable)?,
            _ => {}
        }
    }
}

/// Past the end of a string that has begun.
fn string(text: &str, quote: char) -> Result<&str, Unreadable> {
    let mut escaped = false;
    for (place, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Ok(&text[place + c.len_utf8()..]),
            _ => {}
        }
    }
    Err(Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: &str = r#"use expiration

// The { of others.
caveat weekday(day string) {
	day != "}" && day != 'it\'s {'
}

/* Both. */
definition user {}

/** A pump. */
definition pump {
	relation nurse: user with weekday // }
	permission use = nurse
}
// The end."#;

    #[test]
    fn definitions_are_cut_out_with_their_comments() {
        let parts = split(THEIRS).unwrap();
        assert_eq!(parts.uses, ["expiration"]);
        let names: Vec<_> = parts.definitions.iter().map(|one| one.name).collect();
        assert_eq!(names, ["weekday", "user", "pump"]);
        assert!(parts.definitions[0].text.starts_with("// The { of others."));
        assert!(parts.definitions[2].text.ends_with("permission use = nurse\n}"));
    }

    #[test]
    fn what_is_not_ours_stays() {
        let ours = "use expiration\ndefinition user {\n\trelation self: user\n}";
        let merged = merge(ours, THEIRS, |name| name == "user").unwrap();
        let names: Vec<_> = split(&merged).unwrap().definitions.into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["user", "weekday", "pump"]);
        assert!(merged.contains("relation self") && !merged.contains("definition user {}"));
        assert_eq!(merged.matches("use expiration").count(), 1);
    }

    #[test]
    fn a_text_without_end_or_beginning_is_refused() {
        for text in ["definition user {", "definition user {} }", "/* ", "caveat a(b string) { b == \" }", "banana"] {
            assert_eq!(split(text), Err(Unreadable), "{text}");
        }
        assert_eq!(split(""), Ok(Definitions::default()));
    }
}
