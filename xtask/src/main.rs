//! `cargo xtask`: one command for each thing that is done with this tree. What CI runs is what a person runs.

mod bench;
mod checks;
mod command;
mod js;
mod schema;
mod server;
mod suite;
mod tally;

use std::process::ExitCode;

use tally::Tally;

const HELP: &str = "\
cargo xtask test           Every test: Rust, then the npm clients against the built binary
cargo xtask test rust|js   One half of it
cargo xtask ci             Format check, clippy with warnings denied, then `test`: what CI runs
cargo xtask bench NAME     A benchmark, built for release: `main-path`
cargo xtask schema         Rewrite schema.graphql from the code

`test` and `ci` end with a line `N passed, N failed`.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["test"] => tallied(suite::all()),
        ["test", "rust"] => tallied(suite::built(suite::rust)),
        ["test", "js"] => tallied(suite::built(js::clients)),
        ["ci"] => tallied(checks::all().and(suite::all())),
        ["bench", name, rest @ ..] => done(bench::run_named(name, rest)),
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
    for failure in &tally.failures {
        println!("failed: {failure}");
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
