use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sluice_schema::{
    ids::{MemberId, TenantId},
    viewer::PurposeOfUse,
};

use crate::config::{Config, ConfigError, Period, Sources};

/// Sluice pushes what happens to a member to those who may see it: a GraphQL subscription gateway for health care.
///
/// Without a command it is `sluice serve`: everything runs embedded, with nothing else installed.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

const EXAMPLES: &str = "\
Examples:
  sluice                                      Start on 127.0.0.1:4000, with data in .sluice
  sluice serve --listen 127.0.0.1:0           Start on a free port
  sluice serve --config sluice.toml           Start with a file; sluice.example.toml lists all keys
  sluice token --as nurse                     A token for the demo nurse, to paste into a client
  sluice schema > schema.graphql              The graph, for a federation router or a code generator
  sluice audit verify --data-dir .sluice      Is the audit trail whole?
  sluice erase-member --tenant t --member m   Make all events of a member unreadable, for ever
  sluice doctor --config sluice.toml          Do the database, the broker and SpiceDB answer as they should?";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the gateway (this is also what happens without a command)
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Print a token for a demo person, or for anybody
    #[command(after_help = TOKEN_HELP)]
    Token(TokenArgs),
    /// Print the GraphQL schema (Federation 2 SDL)
    Schema,
    /// Look into the audit trail
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make Sluice's tables in a PostgreSQL database, or bring them up to date
    #[command(after_help = MIGRATE_HELP)]
    Migrate(MigrateArgs),
    /// Make the master key that the keys in PostgreSQL are wrapped with, or put another in its place
    MasterKey(MasterKeyArgs),
    /// Destroy a member's key: nobody can read her events any more, wherever they are
    #[command(after_help = ERASE_HELP)]
    EraseMember(EraseMemberArgs),
    /// Look at each configured part: does it answer, in which version, with which rights, and what to do
    Doctor(Place),
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no record was altered, removed or put in
    ///
    /// Reads the hash chain of every writer, and holds it against the signed heads. Ends with code 0 where all is whole, with 1
    /// and what was found where it is not, and with 2 where it can't be told. Sluice may run meanwhile.
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Print the public key of this installation's signed heads: keep it where the trail is not
    PublicKey(Place),
    /// Put a new key in the place of the one that heads are signed with
    ///
    /// The old one is destroyed; its public half is kept beside the new one. A running Sluice signs with the old one until it is
    /// started again.
    RotateKey(Place),
}

const SERVE_HELP: &str = "\
It prints the address and, when embedded, a token for each demo person. SIGTERM and Ctrl-C end it in order: clients are
told to come back, and nothing that was acknowledged is lost. Starting again on the same data directory continues there.

Every key of the configuration file can also be set in the environment: `limits.max_depth` is SLUICE__LIMITS__MAX_DEPTH.
Flags win over the environment, the environment over the file.";

const TOKEN_HELP: &str = "\
Examples:
  sluice token --as member
  sluice token --user u-42 --tenant clinic-a --purpose TREAT --ttl 15m

It signs with the key in the data directory, and so works where auth.mode is \"embedded\" (the default). Send it as
`Authorization: Bearer TOKEN`, over a WebSocket as `authorization` in the payload of connection_init.";

const MIGRATE_HELP: &str = "\
It connects as the owner of the tables, who need not be the role that gateways connect with: name that one with
--grant-to, and it gets what a gateway needs and no more (no changes to the audit trail, for one). It may run while
gateways run, and twice.

Examples:
  sluice migrate --url postgres://owner@db.example.org/sluice --grant-to sluice_gateway
  SLUICE_MIGRATE_URL=postgres://… sluice migrate";

#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    /// The database, as a role that may make a schema in it
    #[arg(long, value_name = "URL", env = "SLUICE_MIGRATE_URL", hide_env_values = true)]
    pub url: String,
    /// How many partitions a new log has; it is never changed afterwards
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub partitions: u16,
    /// The role that gateways connect with
    #[arg(long, value_name = "ROLE")]
    pub grant_to: Option<String>,
}

const VERIFY_HELP: &str = "\
Examples:
  sluice audit verify
  sluice audit verify --config sluice.toml --heads node-1.jsonl --heads node-2.jsonl --public-key keys.txt

Each node keeps heads of its own: name the files of all. Give --public-key what was noted when the keys were made. Without it
the keys are derived from the signing key that is here, and whoever could write here could have signed anew.";

const ERASE_HELP: &str = "\
The key can't be brought back but from a backup. The audit trail stays: it says who saw what, by ids. With embedded parts stop
Sluice first. With PostgreSQL it may run: gateways forget the key within milliseconds, or, where one has lost its
connection without a word, within five seconds and postgres.deadline_ms.

Example:
  sluice erase-member --tenant clinic-a --member m-1001 --yes";

#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// A file of signed heads; more than once for several nodes [default: audit.heads_file]
    #[arg(long, value_name = "FILE", conflicts_with = "no_heads")]
    pub heads: Vec<PathBuf>,
    /// A public key, or a file of them; more than once for several signers [default: of the signing key here]
    #[arg(long, value_name = "FILE|BASE64", conflicts_with = "no_heads")]
    pub public_key: Vec<String>,
    /// Look at the chains alone: what was cut off at their ends is not found
    #[arg(long)]
    pub no_heads: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Args)]
pub struct EraseMemberArgs {
    /// The member's tenant
    #[arg(long, value_name = "ID")]
    pub tenant: TenantId,
    /// The member
    #[arg(long, value_name = "ID")]
    pub member: MemberId,
    /// Do it: without this nothing is done
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct MasterKeyArgs {
    #[command(subcommand)]
    command: Option<MasterKeyCommand>,
    /// The file to make, readable by its owner only; one that is there is left alone
    #[arg(required = true)]
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum MasterKeyCommand {
    /// Make the file of a new key: what happens without this word
    Make {
        /// The file to make, readable by its owner only; one that is there is left alone
        file: PathBuf,
    },
    /// Wrap all tenants' keys with another master key, in one transaction; payloads stay as they are
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
}

const ROTATE_HELP: &str = "\
It connects as the owner of the tables. Nodes that run with the old key go on with the tenants that they know: give each the new
file, and restart it. It may be repeated: where the new key counts already, nothing is done.

Example:
  sluice master-key new.key
  sluice master-key rotate --url postgres://owner@db.example.org/sluice --old master.key --new new.key";

#[derive(Debug, Clone, Args)]
pub struct RotateArgs {
    /// The database, as the owner of the tables
    #[arg(long, value_name = "URL", env = "SLUICE_MIGRATE_URL", hide_env_values = true)]
    pub url: String,
    /// The file of the key that counts now
    #[arg(long, value_name = "FILE")]
    pub old: PathBuf,
    /// The file of the key that is to count
    #[arg(long, value_name = "FILE")]
    pub new: PathBuf,
}

/// Which installation is meant.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// Directory of the database, the audit trail and the keys [default: .sluice]
    #[arg(long, value_name = "DIR", env = "SLUICE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:4000]
    #[arg(long, value_name = "ADDR", env = "SLUICE_LISTEN")]
    listen: Option<String>,
    /// Write addresses and demo tokens to this file (JSON) once connections are accepted
    #[arg(long, value_name = "FILE", env = "SLUICE_READY_FILE")]
    ready_file: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("who").required(true).args(["as", "user"]))]
pub struct TokenArgs {
    /// One of the demo people
    #[arg(long, value_name = "PERSON")]
    pub r#as: Option<DemoPerson>,
    /// Anybody: the user's id
    #[arg(long, value_name = "ID", requires = "tenant", requires = "purpose")]
    pub user: Option<String>,
    /// The user's tenant
    #[arg(long, value_name = "ID", requires = "user")]
    pub tenant: Option<String>,
    /// Why the user looks (HL7 PurposeOfUse): TREAT, HPAYMT, HOPERAT or PATRQT
    #[arg(long, value_name = "CODE", requires = "user", value_parser = purpose)]
    pub purpose: Option<PurposeOfUse>,
    /// How long the token holds, e.g. 15m or 12h
    #[arg(long, value_name = "TIME", default_value = "12h")]
    pub ttl: Period,
    #[command(flatten)]
    place: Place,
}

/// The demo people of a fresh installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoPerson {
    /// The member herself
    Member,
    /// Her guardian
    Guardian,
    /// A nurse of her care team
    Nurse,
    /// A clerk of the billing office
    Billing,
    /// Security staff: may end sessions
    Security,
    /// Somebody who has nothing to do with her
    Stranger,
    /// A physician of the clinic, not of her care team
    Physician,
    /// The clinic's privacy officer
    Privacy,
    /// Who writes down the clinic's members' relations
    Registrar,
}

impl DemoPerson {
    /// Her name in the ready file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Guardian => "guardian",
            Self::Nurse => "nurse",
            Self::Billing => "billing",
            Self::Security => "security",
            Self::Stranger => "stranger",
            Self::Physician => "physician",
            Self::Privacy => "privacy",
            Self::Registrar => "registrar",
        }
    }
}

fn purpose(code: &str) -> Result<PurposeOfUse, String> {
    use PurposeOfUse::{Operations, PatientRequest, Payment, Treatment};
    let all = [Treatment, Payment, Operations, PatientRequest];
    let found = all.into_iter().find(|purpose| purpose.code().eq_ignore_ascii_case(code));
    found.ok_or_else(|| format!("expected one of {}", all.map(PurposeOfUse::code).join(", ")))
}

impl Cli {
    /// What to do: `serve` where nothing else was said.
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl MasterKeyArgs {
    /// What to do: to make a key where only a file was named.
    pub fn command(self) -> MasterKeyCommand {
        // The parser asks for one of the two.
        self.command.unwrap_or_else(|| MasterKeyCommand::Make { file: self.file.unwrap_or_default() })
    }
}

impl VerifyArgs {
    /// # Errors
    /// As [`Config::load`].
    pub fn config(&self) -> Result<Config, ConfigError> {
        self.place.config()
    }
}

impl EraseMemberArgs {
    /// # Errors
    /// As [`Config::load`].
    pub fn config(&self) -> Result<Config, ConfigError> {
        self.place.config()
    }
}

impl Place {
    /// # Errors
    /// As [`Config::load`].
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::load(&self.sources())
    }

    fn sources(&self) -> Sources {
        let data_dir = self.data_dir.as_ref().map(|dir| ("data_dir", dir.display().to_string()));
        Sources { file: self.config.clone(), flags: data_dir.into_iter().collect(), ..Sources::of_process() }
    }
}

impl ServeArgs {
    /// # Errors
    /// As [`Config::load`].
    pub fn config(&self) -> Result<Config, ConfigError> {
        let mut sources = self.place.sources();
        let ready_file = self.ready_file.as_ref().map(|file| file.display().to_string());
        sources.flags.extend(self.listen.clone().map(|address| ("server.listen", address)));
        sources.flags.extend(ready_file.map(|file| ("server.ready_file", file)));
        Config::load(&sources)
    }
}

impl TokenArgs {
    /// # Errors
    /// As [`Config::load`].
    pub fn config(&self) -> Result<Config, ConfigError> {
        self.place.config()
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
