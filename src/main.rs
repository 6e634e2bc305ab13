//! `sluice`: parse, configure, build, run, drain.

use std::process::ExitCode;

use clap::Parser;
use sluice::{
    cli::{self, AuditCommand, Cli, Command, Failure, ServeArgs},
    shutdown::Signals,
    telemetry,
};

/// A server's life is small allocations: glibc's took 30 % of its CPU time under load, this one 17 % (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Reads FAILPOINTS; nothing without the feature.
    #[cfg(feature = "failpoints")]
    let _faults = fail::FailScenario::setup();
    match run(Cli::parse().command()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sluice: {failure}");
            failure.exit_code()
        }
    }
}

#[tokio::main]
async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve(args).await?,
        Command::Token(args) => println!("{}", cli::token(&args.config()?, &args)?),
        Command::Schema => print!("{}", cli::schema()),
        Command::Migrate(args) => println!("{}", cli::migrate(&args).await?),
        Command::MasterKey { file } => println!("{}", cli::master_key(&file)?),
        Command::Doctor(place) => print!("{}", cli::doctor(&place.config()?).await?),
        Command::Audit(AuditCommand::Verify(place)) => println!("{}", cli::audit_verify(&place.config()?).await?),
    }
    Ok(())
}

async fn serve(args: ServeArgs) -> Result<(), Failure> {
    let config = args.config()?;
    let metrics = telemetry::start(&config.telemetry)?;
    let signals = Signals::listen().map_err(Failure::Signals)?;
    let address = config.server.listen;

    let app = cli::build(config, metrics).await?;
    let listener = cli::bind(address).await?;
    cli::run(app, listener, signals.received()).await
}
