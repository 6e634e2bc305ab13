//! The real parts that tests and benchmarks run on: had once, started on free ports of 127.0.0.1, stopped in reverse order.
//!
//! A part whose URL is in the environment already is used as it is.

pub(crate) mod env;
mod external;
mod kafka;
mod ports;
mod postgres;
mod process;
mod running;
mod spicedb;

use std::thread;

pub(crate) use running::Running;

use external::External;

use crate::interrupt;

/// What is needed to start the parts, all of it there.
pub(crate) struct Parts {
    postgres: Option<postgres::Binaries>,
    kafka: Option<kafka::Jars>,
    spicedb: Option<SpiceDbParts>,
}

/// SpiceDB, and the PostgreSQL that it keeps its relationships in.
struct SpiceDbParts {
    program: spicedb::Program,
    postgres: postgres::Binaries,
}

/// Has what is not there yet; side by side, since each waits for another registry. One sentence for each that fails.
pub(crate) fn get() -> Result<Parts, String> {
    let external = External::told()?;
    thread::scope(|scope| {
        let postgres = scope.spawn(move || had(external.postgres && external.spicedb, postgres::get));
        let kafka = scope.spawn(move || had(external.kafka, kafka::get));
        let spicedb = had(external.spicedb, spicedb::get);
        let (postgres, kafka) = (joined(postgres.join()), joined(kafka.join()));
        let whys = [postgres.as_ref().err(), kafka.as_ref().err(), spicedb.as_ref().err()];
        let whys: Vec<&str> = whys.into_iter().flatten().map(String::as_str).collect();
        if !whys.is_empty() {
            return Err(whys.join("; "));
        }
        let (postgres, kafka, spicedb) = (postgres?, kafka?, spicedb?);
        let spicedb = spicedb.zip(postgres.clone()).map(|(program, postgres)| SpiceDbParts { program, postgres });
        let postgres = postgres.filter(|_| !external.postgres);
        Ok(Parts { postgres, kafka, spicedb })
    })
}

/// Starts the parts, says what tests need to know of them, and stops them when this program is asked to end.
pub(crate) fn until_interrupted() -> Result<(), String> {
    let running = Running::start(get()?)?;
    println!("\n{}\nCtrl-C stops them", running.env().exports());
    interrupt::wait_for_one();
    let complaints = running.stop(true);
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
}

fn had<T>(external: bool, get: impl FnOnce() -> Result<T, String>) -> Result<Option<T>, String> {
    if external { Ok(None) } else { get().map(Some) }
}

/// What a thread returned; its panic goes on in this one.
fn joined<T>(outcome: thread::Result<T>) -> T {
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
