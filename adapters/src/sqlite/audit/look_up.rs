//! What the indexes have, of whichever version of the schema: a file is verified as it lies.

use serde_json::json;
use sluice_subscriptions::audit::{AuditUnavailable, Index};
use sqlx::{AssertSqlSafe, SqlitePool};

use super::unavailable;
use crate::audit_chain::{Member, Wanted};

/// The first version with an index for each segment of a chain. What there was before got another name then.
const SEGMENTS: i64 = 2;

/// The places in `wanted` of what an index does not have.
pub(super) async fn missing(
    pool: &SqlitePool,
    version: i64,
    index: Index,
    wanted: &[Wanted<'_>],
) -> Result<Vec<usize>, AuditUnavailable> {
    let statement = match index {
        Index::Users if version < SEGMENTS => without(&whole("audit_recipients", "user")),
        Index::Users => without(&format!("{} UNION ALL {}", of_segment("recipients", "user"), whole("early_recipients", "user"))),
        Index::Patients if version < SEGMENTS => without(&whole("audit_patients", "patient")),
        Index::Patients => {
            without(&format!("{} UNION ALL {}", of_segment("patients", "patient"), whole("early_patients", "patient")))
        }
        Index::Audiences => without(
            "SELECT 1 FROM audience_records
             WHERE tenant = w.value ->> 0 AND digest = unhex(w.value ->> 1) AND writer = w.value ->> 2 AND number = w.value ->> 3",
        ),
    };
    let rows: Vec<_> = wanted.iter().map(|row| json!([row.tenant, row.id, row.writer, row.number])).collect();
    ask(pool, statement, rows).await
}

/// The places in `members` of those who are not found in their audiences.
pub(super) async fn missing_members(pool: &SqlitePool, members: &[Member<'_>]) -> Result<Vec<usize>, AuditUnavailable> {
    let statement = without(
        "SELECT 1 FROM audience_users
         WHERE tenant = w.value ->> 0 AND user = w.value ->> 1 AND digest = unhex(w.value ->> 2)",
    );
    let rows: Vec<_> = members.iter().map(|row| json!([row.tenant, row.user, row.digest])).collect();
    ask(pool, statement, rows).await
}

/// The one segment in which a record of its writer can be.
fn of_segment(table: &str, id: &str) -> String {
    format!(
        "SELECT 1 FROM segment_{table}
         WHERE segment = (SELECT s.id FROM segments AS s WHERE s.writer = w.value ->> 2 AND s.first <= w.value ->> 3
                          ORDER BY s.first DESC LIMIT 1)
           AND tenant = w.value ->> 0 AND {id} = w.value ->> 1 AND number = w.value ->> 3"
    )
}

fn whole(table: &str, id: &str) -> String {
    format!(
        "SELECT 1 FROM {table}
         WHERE tenant = w.value ->> 0 AND {id} = w.value ->> 1 AND writer = w.value ->> 2 AND number = w.value ->> 3"
    )
}

fn without(found: &str) -> String {
    format!("SELECT w.key FROM json_each(?1) AS w WHERE NOT EXISTS ({found})")
}

async fn ask(
    pool: &SqlitePool,
    statement: String,
    rows: Vec<serde_json::Value>,
) -> Result<Vec<usize>, AuditUnavailable> {
    let rows = serde_json::Value::Array(rows).to_string();
    // The text is made of ours alone.
    let places: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(statement)).bind(rows).fetch_all(pool).await.map_err(unavailable)?;
    Ok(places.into_iter().filter_map(|place| usize::try_from(place).ok()).collect())
}
