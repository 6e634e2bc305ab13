//! Decimal numbers as text: floats would change cents.

/// The text if it is a decimal number as JSON and XML write it, without an exponent. `$1,500.00` is not one.
pub(super) fn decimal(text: String) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let number = !fraction.is_empty() && text.len() <= 18 && all_digits(whole) && all_digits(fraction);
    match (number, whole.is_empty()) {
        (true, false) => Some(text),
        // X12 writes ".2".
        (true, true) if digits.contains('.') => Some(text.replacen('.', "0.", 1)),
        _ => None,
    }
}

/// EB08 in percent: it is a fraction of one (`0.2`), but some payers send percent (`20`); nobody owes more than all.
pub(super) fn percent(text: String) -> Option<String> {
    let text = decimal(text)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    match whole.trim_start_matches('0') {
        "" => Some(times_hundred(fraction)),
        "1" if fraction.bytes().all(|b| b == b'0') => Some("100".into()),
        _ => Some(text),
    }
}

fn times_hundred(fraction: &str) -> String {
    let padded = format!("{fraction:0<2}");
    let (whole, rest) = padded.split_at(2);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match rest.trim_end_matches('0') {
        "" => whole.to_owned(),
        rest => format!("{whole}.{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimals_are_numbers() {
        let read = |text: &str| decimal(text.into());
        for same in ["0", "25", "1500.00", "-3.5", "007"] {
            assert_eq!(read(same).as_deref(), Some(same));
        }
        assert_eq!(read(".5").as_deref(), Some("0.5"));
        for bad in ["", ".", "-", "5.", "1e3", "$5", "1,500", "NaN", "1.2.3", "٣", "1234567890123456789"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn fractions_become_percent_and_percent_stays() {
        let rows = [
            ("0.2", "20"),
            ("0.20", "20"),
            (".05", "5"),
            ("0.125", "12.5"),
            ("0", "0"),
            ("1", "100"),
            ("1.00", "100"),
            ("20", "20"),
            ("12.5", "12.5"),
            ("0.3333", "33.33"),
            ("0.1", "10"),
        ];
        for (given, wanted) in rows {
            assert_eq!(percent(given.into()).as_deref(), Some(wanted), "{given}");
        }
    }
}
