//! `sluice audit`.

use sluice_adapters::{
    audit_heads::{Coverage, HeadsError, PublicKey, SigningKey, TrustedHeads},
    postgres::PostgresAuditReader,
    sqlite::{AuditReader, SqliteAudit},
};
use sluice_subscriptions::audit::{AuditUnavailable, Verified};

use super::{Failure, args::VerifyArgs, progress::Progress};
use crate::config::{Config, StoreKind};

/// Checks the audit trail; what was found, for a person to read.
///
/// # Errors
/// `Broken` where the trail or its heads are not whole, `Unverified` where that can't be told.
pub async fn audit_verify(config: &Config, args: &VerifyArgs) -> Result<String, Failure> {
    let mut heads = match args.no_heads {
        true => None,
        false => Some(heads(config, args)?),
    };
    let verified = Trail::open(config).await?.verify(heads.as_mut()).await.map_err(unverified)?;
    match verified {
        Verified::Intact { records } => Ok(whole(records, heads.map(|heads| heads.coverage()), args)),
        Verified::Broken { writer, number, why } => Err(Failure::Broken(format!(
            "the audit trail is broken at record {number} of writer {writer}: {why}; keep it as it is, and find out who wrote to it"
        ))),
    }
}

/// The public key of this installation's heads.
///
/// # Errors
/// There is none yet, or it can't be read.
pub fn audit_public_key(config: &Config) -> Result<String, Failure> {
    let key = SigningKey::read(&config.audit_signing_key_file()).map_err(super::wiring::failure)?;
    Ok(key.public().to_string())
}

/// Makes a new key to sign heads with; what was done, for a person to read.
///
/// # Errors
/// There is none yet, or it can't be written.
pub fn audit_rotate_key(config: &Config) -> Result<String, Failure> {
    let path = config.audit_signing_key_file();
    let rotated = SigningKey::rotate(&path).map_err(super::wiring::failure)?;
    Ok(format!(
        "{} holds a new key. Its public key, to be kept where the trail is not:\n{}\nHeads before are believed by the old one:\n{}\n\
         A running Sluice signs with the old one until it is started again.",
        path.display(),
        rotated.new,
        rotated.old
    ))
}

fn heads(config: &Config, args: &VerifyArgs) -> Result<TrustedHeads, Failure> {
    let keys = match args.public_key.is_empty() {
        true => PublicKey::of_signing_key(&config.audit_signing_key_file()).map_err(|why| {
            Failure::Unverified(format!(
                "{why}; name its public key with --public-key, or look at the chains alone with --no-heads"
            ))
        })?,
        false => {
            let given: Result<Vec<_>, _> =
                args.public_key.iter().map(|key| PublicKey::from_text_or_file(key)).collect();
            given.map_err(unverified)?.concat()
        }
    };
    let files = match args.heads.is_empty() {
        true => vec![config.heads_file()],
        false => args.heads.clone(),
    };
    TrustedHeads::read(&files, keys).map_err(|error| match error {
        HeadsError::Broken { .. } => Failure::Broken(error.to_string()),
        HeadsError::Io { .. } => Failure::Unverified(format!(
            "{error}; name the files of all nodes with --heads, or look at the chains alone with --no-heads"
        )),
    })
}

fn unverified(error: impl std::fmt::Display) -> Failure {
    Failure::Unverified(error.to_string())
}

fn whole(records: u64, coverage: Option<Coverage>, args: &VerifyArgs) -> String {
    let records = count(records, "record");
    let mut lines =
        vec![format!("The audit trail is whole: {records}, each chained to the one before and found by the indexes.")];
    let Some(Coverage { heads, uncovered, headless }) = coverage else {
        lines.push("That is what chains alone tell: what was cut off at an end, removed as a whole or computed anew is not found.".into());
        return lines.join("\n");
    };
    let heads = count(heads, "signed head");
    lines.push(match uncovered {
        0 => format!("By {heads} nothing is missing at the end of a chain: no record is behind the last head of its writer."),
        _ => format!(
            "By {heads} nothing is missing up to them. No head covers the last records of some writers yet, {}: more may have followed on them.",
            count(uncovered, "record")
        ),
    });
    if headless > 0 {
        let writers = count(headless, "writer");
        lines.push(format!("No head in these files is of {writers}: name the files of all nodes with --heads."));
    }
    if args.public_key.is_empty() {
        lines.push(
            "The public key is that of the signing key here, so it proves less: who can write here can sign.".into(),
        );
        lines.push("Keep what `sluice audit public-key` prints elsewhere, and give it with --public-key.".into());
    }
    lines.join("\n")
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Where the records are.
enum Trail {
    File(AuditReader),
    Database(PostgresAuditReader),
}

impl Trail {
    async fn open(config: &Config) -> Result<Self, Failure> {
        match config.parts.store {
            StoreKind::Embedded => {
                let opened = SqliteAudit::open_read_only(config.data_dir.join("audit.db")).await;
                opened.map(Self::File).map_err(unverified)
            }
            StoreKind::Postgres => {
                let connected = PostgresAuditReader::connect(&config.postgres.url.0).await;
                connected.map(Self::Database).map_err(unverified)
            }
        }
    }

    async fn verify(&self, heads: Option<&mut TrustedHeads>) -> Result<Verified, AuditUnavailable> {
        match self {
            Self::File(reader) => {
                let progress = Progress::of(reader.records().await?);
                reader.verify_against(heads, |records| progress.reached(records)).await
            }
            Self::Database(reader) => {
                let progress = Progress::of(reader.records().await?);
                reader.verify_against(heads, |records| progress.reached(records)).await
            }
        }
    }
}
