//! `sluice erase-member`.

use jiff::Timestamp;
use sluice_adapters::{
    audit_heads::{HeadsFileError, Signed},
    postgres::{Postgres, PostgresAudit, PostgresKeyring},
    sqlite::{DataDir, SqliteAudit, SqliteKeyring},
};
use sluice_domain::keyring::{Keyring, KeyringUnavailable};
use sluice_schema::proto::header::{RoutingKey, routing_key::Kind};
use sluice_subscriptions::audit::{Action, AuditRecord, AuditTrail};

use super::{Failure, args::EraseMemberArgs, operator::operator, wiring::failure};
use crate::{
    app,
    config::{Config, StoreKind},
};

/// As the audit trail names it.
const OPERATION: &str = "erase_member";

/// Destroys a member's key; what was done, for a person to read.
///
/// # Errors
/// It was not confirmed, the data directory is in use, a part can't be reached, or it can't be recorded: then nothing was erased.
pub async fn erase_member(config: &Config, args: &EraseMemberArgs) -> Result<String, Failure> {
    let EraseMemberArgs { tenant, member, yes, .. } = args;
    if !yes {
        return Err(Failure::Unconfirmed(format!(
            "this would destroy the key of member {member} of tenant {tenant}: nobody could read her events any more, and only a \
             backup of the keys could bring it back. Nothing was done; say --yes to do it"
        )));
    }
    let was_there = match config.parts.store {
        StoreKind::Embedded => from_files(config, args).await?,
        StoreKind::Postgres => from_database(config, args).await?,
    };
    Ok(match was_there {
        true => format!(
            "The key of member {member} of tenant {tenant} is destroyed: her events can't be read any more. Repeat this after a \
             restore, which brings the key back."
        ),
        false => format!(
            "Member {member} of tenant {tenant} has no key: it was erased before, or there never were events of hers."
        ),
    })
}

async fn from_files(config: &Config, args: &EraseMemberArgs) -> Result<bool, Failure> {
    // A directory that is not there would be made.
    if !config.data_dir.join("keys.db").exists() {
        let dir = config.data_dir.display();
        return Err(Failure::App(
            format!("there are no keys in {dir}: name the data directory with --data-dir, or --config FILE").into(),
        ));
    }
    let directory = DataDir::open(&config.data_dir).map_err(failure)?;
    let trail = SqliteAudit::open(&directory, &app::node(config)).await.map_err(failure)?;
    let keyring = SqliteKeyring::open(&directory).await.map_err(failure)?;
    let heads = app::sign_heads(config, trail.end()).await.map_err(failure)?;
    let key = key_of(args);
    let erased = erase(args, &trail, &keyring, || keyring.erase(&args.tenant, &key)).await;
    keyring.close().await;
    trail.close().await;
    signed(heads.close().await, erased)
}

async fn from_database(config: &Config, args: &EraseMemberArgs) -> Result<bool, Failure> {
    app::make_data_dir(config).map_err(failure)?;
    let master = app::master_key(config).map_err(failure)?;
    let db = Postgres::connect(&app::postgres_options(config)).await.map_err(failure)?;
    let trail = PostgresAudit::open(&db, &app::node(config)).await.map_err(failure)?;
    let keyring = PostgresKeyring::open(&db, master).await.map_err(failure)?;
    let heads = app::sign_heads(config, trail.end()).await.map_err(failure)?;
    let key = key_of(args);
    let erased = erase(args, &trail, &keyring, || keyring.erase(&args.tenant, &key)).await;
    trail.close().await;
    let closed = heads.close().await;
    db.close().await;
    signed(closed, erased)
}

/// What was done, unless the end of its record's chain could not be signed.
fn signed(closed: Result<Signed, HeadsFileError>, erased: Result<bool, Failure>) -> Result<bool, Failure> {
    let was_there = erased?;
    closed.map_err(|error| Failure::App(format!("{error}; the key is destroyed, and that is recorded").into()))?;
    Ok(was_there)
}

/// Whether there was a key. It is recorded first: what can't be recorded is not done.
async fn erase<F>(
    args: &EraseMemberArgs,
    trail: &dyn AuditTrail,
    keyring: &dyn Keyring,
    erase: impl FnOnce() -> F,
) -> Result<bool, Failure>
where
    F: Future<Output = Result<(), KeyringUnavailable>>,
{
    let was_there = keyring.get(&args.tenant, &key_of(args)).await.map_err(failure)?.is_some();
    let action = Action::Administer {
        actor: operator(),
        operation: OPERATION.into(),
        patient: Some(args.member.clone()),
        subject: format!("Member/{}", args.member),
    };
    let record = AuditRecord { at: Timestamp::now(), tenant: args.tenant.clone(), action };
    trail.append(vec![record]).await.map_err(failure)?;
    erase().await.map_err(failure)?;
    Ok(was_there)
}

fn key_of(args: &EraseMemberArgs) -> RoutingKey {
    RoutingKey { kind: Kind::Member.into(), id: args.member.to_string() }
}
