//! `sluice`: parse, configure, build, run, drain.

use std::process::ExitCode;

use clap::Parser;
use sluice::{
    cli::{self, AuditCommand, Cli, Command, Failure, MasterKeyCommand, ServeArgs},
    panics,
    shutdown::Signals,
    telemetry,
};

/// A server's life is small allocations: glibc's took 30 % of its CPU time under load, this one 17 % (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    panics::install();
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
        Command::Serve(args) => Box::pin(serve(args)).await?,
        Command::Token(args) => println!("{}", cli::token(&args.config()?, &args)?),
        Command::Schema => print!("{}", cli::schema()),
        Command::Migrate(args) => println!("{}", cli::migrate(&args).await?),
        Command::MasterKey(args) => match args.command() {
            MasterKeyCommand::Make { file } => println!("{}", cli::master_key(&file)?),
            MasterKeyCommand::Rotate(args) => println!("{}", cli::rotate_master_key(&args).await?),
        },
        Command::EraseMember(args) => println!("{}", cli::erase_member(&args.config()?, &args).await?),
        Command::Doctor(place) => print!("{}", cli::doctor(&place.config()?).await?),
        Command::Audit(AuditCommand::Verify(args)) => println!("{}", cli::audit_verify(&args.config()?, &args).await?),
        Command::Audit(AuditCommand::PublicKey(place)) => println!("{}", cli::audit_public_key(&place.config()?)?),
        Command::Audit(AuditCommand::RotateKey(place)) => println!("{}", cli::audit_rotate_key(&place.config()?)?),
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
