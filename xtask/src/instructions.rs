//! How many instructions a delivery takes, held against what is on record: a figure that a busy machine does not change.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    apt,
    command::{announce, cargo, root},
    tally::Tally,
};

const SHAPES: [&str; 2] = ["fan-out", "own-channel"];

/// More than so many hundredths above the record fails; as many below asks for a new record.
const TOLERANCE: u64 = 10;

const VALGRIND: &str = "valgrind is needed to count instructions: install it (Debian: apt-get install valgrind)";

/// Counts, and tells; a test for each shape.
pub(crate) fn check() -> Tally {
    announce("instructions per delivery");
    if cfg!(not(target_arch = "x86_64")) {
        return Tally::left_out("left out: instructions per delivery are on record for x86-64 only".to_owned());
    }
    match counts() {
        Ok(counts) => judge(&counts, &on_record()),
        Err(sentence) => Tally::failure(sentence),
    }
}

/// Counts, and puts that on record.
pub(crate) fn record() -> Result<(), String> {
    let text: String = counts()?.iter().map(|(shape, count)| format!("{shape} {count}\n")).collect();
    print!("{text}");
    fs::write(file(), text).map_err(|error| format!("{} can't be written: {error}", file().display()))
}

type Counts = BTreeMap<String, u64>;

fn judge(counts: &Counts, on_record: &Counts) -> Tally {
    let mut tally = Tally::default();
    for (shape, count) in counts {
        let recorded = on_record.get(shape).copied().unwrap_or_default();
        println!("{shape}: {count} instructions per delivery, {recorded} on record");
        if count * 100 > recorded * (100 + TOLERANCE) {
            let sentence = format!(
                "{shape}: a delivery takes {count} instructions, more than a tenth above the {recorded} on record; see where \
                 with callgrind_annotate, or record it anew with `cargo xtask bench instructions --record`"
            );
            tally = tally.and(Tally::failure(sentence));
            continue;
        }
        if count * 100 < recorded * (100 - TOLERANCE) {
            println!("that is a tenth less: record it with `cargo xtask bench instructions --record`");
        }
        tally.passed += 1;
    }
    tally
}

fn file() -> PathBuf {
    root().join("resolvers/benches/instructions.txt")
}

fn on_record() -> Counts {
    let text = fs::read_to_string(file()).unwrap_or_default();
    let line =
        |line: &str| line.split_once(' ').and_then(|(shape, count)| Some((shape.to_owned(), count.parse().ok()?)));
    text.lines().filter_map(line).collect()
}

fn counts() -> Result<Counts, String> {
    has_valgrind()?;
    let dir = tempfile::tempdir().map_err(|error| format!("no temporary directory can be made: {error}"))?;
    SHAPES.iter().map(|shape| Ok(((*shape).to_owned(), count(shape, dir.path())?))).collect()
}

fn has_valgrind() -> Result<(), String> {
    let there = || Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success());
    if there() {
        return Ok(());
    }
    match apt::install("valgrind") {
        Some(Ok(())) if there() => Ok(()),
        Some(Err(why)) => Err(format!("{VALGRIND}; {why}")),
        _ => Err(VALGRIND.to_owned()),
    }
}

fn count(shape: &str, dir: &Path) -> Result<u64, String> {
    let counted = dir.join(shape);
    let runner = format!(
        "target.'cfg(all())'.runner = ['valgrind', '--tool=callgrind', '--callgrind-out-file={}', \
         '--toggle-collect=*measured*']",
        counted.display()
    );
    let args = ["bench", "--quiet", "--package", "sluice-resolvers", "--bench", "instructions", "--", shape];
    let output = cargo(&["--config", &runner]).args(args).output();
    let output = output.map_err(|error| format!("cargo bench can't be run: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let number = |text: &str, before: &str| -> Option<u64> {
        text.lines().find_map(|line| line.split_once(before)?.1.trim().parse().ok())
    };
    match (number(&err, "Collected : "), number(&out, "deliveries: ")) {
        (Some(instructions), Some(deliveries)) if deliveries > 0 => Ok(instructions / deliveries),
        _ => Err(format!("instructions could not be counted:\n{err}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(fan_out: u64) -> Counts {
        BTreeMap::from([("fan-out".to_owned(), fan_out)])
    }

    #[test]
    fn a_tenth_more_fails_and_less_does_not() {
        assert_eq!(judge(&counts(1100), &counts(1000)).to_string(), "1 passed, 0 failed");
        assert_eq!(judge(&counts(100), &counts(1000)).to_string(), "1 passed, 0 failed");
        let tally = judge(&counts(1101), &counts(1000));
        assert!(tally.failed == 1 && tally.failures[0].contains("1101"), "{tally:?}");
        assert_eq!(judge(&counts(1), &Counts::new()).failed, 1, "what is not on record is not fine");
    }

    #[test]
    fn each_shape_is_on_record() {
        assert!(SHAPES.iter().all(|shape| on_record().contains_key(*shape)));
    }
}
