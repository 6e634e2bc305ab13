//! The command line: what can be said, and what it does.

mod args;
mod audit;
mod erase;
mod failure;
mod operator;
mod progress;
mod wiring;

use std::net::SocketAddr;

use tokio::net::TcpListener;

pub use args::{
    AuditCommand, Cli, Command, DemoPerson, EraseMemberArgs, MasterKeyArgs, MasterKeyCommand, MigrateArgs, Place,
    RotateArgs, ServeArgs, TokenArgs, VerifyArgs,
};
pub use audit::{audit_public_key, audit_rotate_key, audit_verify};
pub use erase::erase_member;
pub use failure::Failure;
pub use wiring::{build, doctor, master_key, migrate, rotate_master_key, run, schema, token};

/// Opens the port.
///
/// # Errors
/// It is taken, or not ours to open.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    crate::app::listen(address).map_err(|error| Failure::Bind { address, error })
}
