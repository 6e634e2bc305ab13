//! Fuzzing: targets under fuzz/targets, built so that libFuzzer sees which branches an input takes, on stable Rust.

mod arguments;
mod build;
mod log;
mod text;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use self::build::Built;
use crate::{
    command::{announce, root, run_quietly, target},
    tally::Tally,
};

pub(crate) use self::build::lint;

/// How long each target is run for where all tests are, and where nobody says.
pub(crate) const AMONG_TESTS: u32 = 10;
const ALONE: u32 = 60;

/// What takes an input longer than this, in seconds, is found, too.
const LONGEST: u32 = 10;

/// `cargo xtask fuzz`, with what follows.
pub(crate) fn named(args: &[&str]) -> Tally {
    match arguments::read(args, &targets()) {
        Ok((names, seconds)) => each(&names, seconds.unwrap_or(ALONE)),
        Err(sentence) => Tally::failure(sentence),
    }
}

/// Every target.
pub(crate) fn all(seconds: u32) -> Tally {
    each(&targets(), seconds)
}

fn targets() -> Vec<String> {
    let files = fs::read_dir(root().join("fuzz/targets")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".rs")?.to_owned())).collect();
    names.sort();
    names
}

fn each(names: &[String], seconds: u32) -> Tally {
    match build::all() {
        Ok(built) => names.iter().fold(Tally::default(), |tally, name| tally.then(|| one(&built, name, seconds))),
        Err(sentence) => Tally::failure(sentence),
    }
}

/// A target counts as one test.
fn one(built: &Built, name: &str, seconds: u32) -> Tally {
    announce(&format!("fuzz {name}: {seconds} s"));
    match look(built, name, seconds) {
        Ok(done) => {
            println!("{name}: {done}");
            Tally { passed: 1, ..Tally::default() }
        }
        Err(sentence) => Tally::failure(sentence),
    }
}

/// What it learned in earlier runs is where it goes on; what it found in them comes before anything new.
fn look(built: &Built, name: &str, seconds: u32) -> Result<String, String> {
    let fuzz = dir();
    let [corpus, found, seeds] = ["corpus", "found", "seeds"].map(|part| fuzz.join(part).join(name));
    for dir in [&corpus, &found, &seeds] {
        fs::create_dir_all(dir).map_err(|error| format!("{} cannot be made: {error}", dir.display()))?;
    }
    text::write_seeds(&root().join("fuzz/seeds").join(name), &seeds)?;
    let log = fuzz.join(format!("{name}.log"));
    let mut command = Command::new(built.binary(name));
    command.args([format!("-max_total_time={seconds}"), format!("-timeout={LONGEST}"), artifacts(&found)]);
    command.arg("-print_final_stats=1").args([&corpus, &found, &seeds]).current_dir(root());
    let ended = run_quietly(&format!("fuzz {name}"), &mut command, &log);
    let told = log::Told::read(&log);
    match ended {
        Ok(()) => Ok(told.summary()),
        Err(why) => Err(told.failure(name, why, &built.binary(name))),
    }
}

/// libFuzzer puts a name behind it.
fn artifacts(found: &Path) -> String {
    format!("-artifact_prefix={}/", found.display())
}

/// All that belongs to fuzzing and is no part of the tree.
fn dir() -> PathBuf {
    target().join("fuzz")
}
