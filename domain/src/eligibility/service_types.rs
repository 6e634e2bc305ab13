//! X12 service type codes: data element 1365 as 005010X279A1 admits it in EQ01 (270) and EB03 (271).

/// Classes of services that the law protects beyond HIPAA's minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sensitive {
    BehavioralHealth,
    SubstanceUse,
    Reproductive,
    Hiv,
}

const CODES: [&str; 6] = [
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 30 32 33 34 35 36 37 38 39 40 41 42 43 44",
    "45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83",
    "84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 A0 A1 A2 A3 A4 A5 A6 A7 A8 A9 AA AB AC AD AE AF AG AH AI AJ AK AL AM",
    "AN AO AQ AR B1 B2 B3 BA BB BC BD BE BF BG BH BI BJ BK BL BM BN BP BQ BR BS BT BU BV BW BX BY BZ C1 CA CB CC CD CE CF",
    "CG CH CI CJ CK CL CM CN CO CP CQ DG DM DS GF GN GY IC MH NI ON PT PU RN",
    "RT TC TN UC",
];

/// Whether a 270 may ask about it.
pub fn is_known(code: &str) -> bool {
    !code.is_empty() && CODES.iter().any(|line| line.split(' ').any(|known| known == code))
}

/// What class of protected services the code belongs to. Where a code is close to such a class it counts as of it.
pub fn sensitive(code: &str) -> Option<Sensitive> {
    match code {
        "A4" | "A5" | "A6" | "A7" | "A8" | "BB" | "BC" | "BD" | "CE" | "CF" | "CG" | "CH" | "MH" | "RT" => {
            Some(Sensitive::BehavioralHealth)
        }
        "AI" | "AJ" | "AK" | "CI" | "CJ" => Some(Sensitive::SubstanceUse),
        "61" | "69" | "82" | "83" | "84" | "BT" | "BU" | "BV" => Some(Sensitive::Reproductive),
        "85" => Some(Sensitive::Hiv),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_from_what_only_looks_like_one() {
        for code in ["1", "30", "98", "A4", "UC"] {
            assert!(is_known(code), "{code}");
        }
        for code in ["", " ", "0", "01", "29", "31", "30 32", "a4", "AP", "ZZ"] {
            assert!(!is_known(code), "{code:?}");
        }
    }

    #[test]
    fn each_sensitive_code_is_a_known_one() {
        let two = |a: char, b: char| format!("{a}{b}");
        let all = ('0'..='Z').flat_map(|a| ('0'..='Z').map(move |b| two(a, b)));
        let unknown: Vec<_> = all.filter(|code| sensitive(code).is_some() && !is_known(code)).collect();
        assert_eq!(unknown, Vec::<String>::new());
    }

    #[test]
    fn the_classes_of_the_event_schema_are_covered() {
        let all = |codes: &str, class| {
            codes.split(' ').for_each(|code| assert_eq!(sensitive(code), Some(class), "{code}"));
        };
        all("A4 A5 A6 A7 A8 CF CG CH MH", Sensitive::BehavioralHealth);
        all("AI AJ AK CI CJ", Sensitive::SubstanceUse);
        all("69 82 83 84 BT BU", Sensitive::Reproductive);
        assert_eq!(sensitive("30"), None);
    }
}
