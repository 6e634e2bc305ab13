//! The command line: what can be said, and what it does.

mod args;
mod failure;
mod wiring;

use std::net::SocketAddr;

use tokio::net::TcpListener;

pub use args::{AuditCommand, Cli, Command, DemoPerson, MigrateArgs, Place, ServeArgs, TokenArgs};
pub use failure::Failure;
pub use wiring::{audit_verify, build, doctor, master_key, migrate, run, schema, token};

/// Opens the port.
///
/// # Errors
/// It is taken, or not ours to open.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    crate::app::listen(address).map_err(|error| Failure::Bind { address, error })
}
