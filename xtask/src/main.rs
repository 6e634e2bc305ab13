//! `cargo xtask`: one command for each thing that is done with this tree. What CI runs is what a person runs.

mod apt;
mod bench;
mod cache;
mod checks;
mod command;
mod deny;
mod fuzz;
mod instructions;
mod interrupt;
mod js;
mod real;
mod schema;
mod server;
mod services;
mod suite;
mod tally;
mod wait;

use std::process::ExitCode;

use tally::Tally;

const HELP: &str = "\
cargo xtask test             Every test: Rust, 10 s of each fuzz target, then Rust on PostgreSQL, Kafka and SpiceDB,
                             which it gets and starts, then the npm clients against the built binary
cargo xtask test --embedded  The same without PostgreSQL, Kafka and SpiceDB
cargo xtask test rust|real|js
                             One part of it: on the embedded parts, on the real ones, the npm clients
cargo xtask ci               Format check, clippy with warnings denied, cargo-deny, then `test`: what CI runs;
                             `--embedded` as above
cargo xtask services         Start PostgreSQL, Kafka and two SpiceDBs, print what tests need to know, wait for Ctrl-C
cargo xtask bench NAME       A benchmark, built for release: `main-path`, `delivery` or `access`; with `--real`, on the real parts
cargo xtask bench instructions
                             Counts what a delivery takes, and fails where that is a tenth more than on record; `--record`
cargo xtask fuzz [TARGET] [--seconds N]
                             Invented inputs for the parsers of what clients send: all targets or one, 60 s each; what
                             it learns is kept in target/fuzz/corpus, what it finds in target/fuzz/found
cargo xtask deny             cargo-deny alone: advisories, licences, bans, sources
cargo xtask schema           Rewrite schema.graphql from the code

PostgreSQL (14 or later) is taken from PATH, or installed by apt where that is possible; Kafka comes by Maven and runs on
Java 17 or later; SpiceDB is built by Go. What was got is kept in target/services. A part that runs already is used as it is:
SLUICE_TEST_POSTGRES_URL, SLUICE_TEST_KAFKA, or SLUICE_TEST_SPICEDB with SLUICE_TEST_SPICEDB_CONTRACT and
SLUICE_TEST_SPICEDB_KEY.

`test`, `ci` and `fuzz` end with a line `N passed, N failed`.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match interrupt::listen() {
        Ok(()) => carry_out(&args),
        Err(sentence) => done(Err(sentence)),
    };
    // What a shell expects of a program that a signal ended.
    interrupt::signal().and_then(|signal| u8::try_from(128 + signal).ok()).map_or(outcome, ExitCode::from)
}

fn carry_out(args: &[&str]) -> ExitCode {
    match args {
        ["test"] => tallied(suite::all()),
        ["test", "--embedded"] => tallied(suite::embedded()),
        ["test", "rust"] => tallied(suite::built(suite::rust)),
        ["test", "real"] => tallied(suite::real()),
        ["test", "js"] => tallied(suite::built(js::clients)),
        ["ci"] => tallied(checks::all().then(suite::all)),
        ["ci", "--embedded"] => tallied(checks::all().then(suite::embedded)),
        ["services"] => done(services::until_interrupted()),
        ["bench", "instructions"] => tallied(instructions::check()),
        ["bench", "instructions", "--record"] => done(instructions::record()),
        ["bench", name, rest @ ..] => done(bench::run_named(name, rest)),
        ["fuzz", rest @ ..] => tallied(fuzz::named(rest)),
        ["deny"] => tallied(deny::check()),
        ["schema"] => done(schema::rewrite()),
        ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{HELP}");
            ExitCode::from(2)
        }
    }
}

fn tallied(tally: Tally) -> ExitCode {
    let stopped = Tally::failure("stopped by a signal before the end".to_owned());
    let tally = if interrupt::requested() { tally.and(stopped) } else { tally };
    for failure in &tally.failures {
        println!("failed: {failure}");
    }
    for sentence in &tally.left_out {
        println!("{sentence}");
    }
    println!("{tally}");
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn done(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("xtask: {sentence}");
            ExitCode::FAILURE
        }
    }
}
