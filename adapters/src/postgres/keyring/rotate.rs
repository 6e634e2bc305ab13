//! Another master key.

use super::{
    PostgresKeyring,
    master::{MasterKey, Wrapper},
    no_random, rows,
};
use crate::postgres::{OpenError, Postgres, error::Failed};

impl PostgresKeyring {
    /// Wraps the secrets of all tenants with `new` instead of `old`, in one transaction, and gives how many. Where `new`
    /// counts already nothing is done, so after an error call again. The role needs `UPDATE` on `sluice.tenant_secrets`
    /// and `sluice.master_key`, which the gateway's has not.
    ///
    /// Nodes that run with `old` go on with the tenants that they know, and can't read others: restart them with `new`.
    ///
    /// # Errors
    /// `OtherMasterKey` where `old` is not the one that counts.
    pub async fn rotate_master(db: &Postgres, old: &MasterKey, new: &MasterKey) -> Result<u64, OpenError> {
        let random = || db.failed(Failed(no_random()));
        let (old, new) = (old.wrapper().ok_or_else(random)?, new.wrapper().ok_or_else(random)?);
        match db.within(rewrap(db, &old, &new)).await.map_err(|why| db.failed(why))? {
            Rotation::Done(tenants) => Ok(tenants),
            Rotation::OtherKey => Err(OpenError::OtherMasterKey { at: db.at().to_owned() }),
            Rotation::Damaged => Err(OpenError::Damaged {
                at: db.at().to_owned(),
                what: "the secrets of a tenant do not open with the master key".into(),
            }),
        }
    }
}

enum Rotation {
    Done(u64),
    OtherKey,
    Damaged,
}

async fn rewrap(db: &Postgres, old: &Wrapper, new: &Wrapper) -> Result<Rotation, sqlx::Error> {
    let mut transaction = db.pool().begin().await?;
    match rows::lock_master(&mut transaction).await? {
        Some(counts) if counts == new.check_value => return Ok(Rotation::Done(0)),
        Some(counts) if counts == old.check_value => {}
        _ => return Ok(Rotation::OtherKey),
    }
    let tenants = rows::all_tenants(&mut transaction).await?;
    let count = tenants.len() as u64;
    let rewrapped = tenants.into_iter().map(|(tenant, wrapped)| {
        let secrets = old.unwrap(&tenant, &wrapped)?;
        let wrapped = new.wrap(&tenant, &secrets)?;
        Some((tenant, wrapped))
    });
    let Some(rewrapped) = rewrapped.collect() else { return Ok(Rotation::Damaged) };
    rows::rewrite(&mut transaction, rewrapped, &new.check_value).await?;
    transaction.commit().await?;
    Ok(Rotation::Done(count))
}
