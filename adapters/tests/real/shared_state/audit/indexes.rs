//! What was recorded is found, and who looks whether it is has the rights to.

use sluice_subscriptions::audit::{Damage, Index, contract::tried};

use super::*;

const READ: &str = "sluice.schema_version, sluice.audit_records, sluice.audit_recipients, sluice.audit_patients, \
                    sluice.audit_audiences, sluice.audit_audience_users, sluice.audit_audience_records";

/// As docs/operate.md has it: one who verifies, and may do no more.
pub(super) async fn auditor(database: &Database) -> PostgresAuditReader {
    reader_of(database, READ).await
}

async fn reader_of(database: &Database, tables: &str) -> PostgresAuditReader {
    let role = format!("{}_auditor", database.role);
    let mut db = database.superuser().await;
    for statement in [
        format!("CREATE ROLE {role} LOGIN"),
        format!("GRANT USAGE ON SCHEMA sluice TO {role}"),
        format!("GRANT SELECT ON {tables} TO {role}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut db).await.unwrap();
    }
    let url = database.url.replacen("postgres@", &format!("{role}@"), 1);
    PostgresAuditReader::connect(&url).await.unwrap()
}

#[tokio::test]
async fn who_verifies_needs_to_read_the_trail_and_nothing_else() {
    let database = Database::new().await;
    let audit = open(&database, "node-1").await;
    audit.append(records(1)).await.unwrap();
    audit.append(vec![delivery(2, &audience(1..=10))]).await.unwrap();
    assert_eq!(auditor(&database).await.verify().await.unwrap(), Verified::Intact { records: 5 });
}

#[tokio::test]
async fn who_may_not_read_the_indexes_is_told_which() {
    let database = Database::new().await;
    let tables = "sluice.schema_version, sluice.audit_records, sluice.audit_recipients, sluice.audit_audiences, \
                  sluice.audit_audience_users";
    let error = reader_of(&database, tables).await.verify().await.unwrap_err().to_string();
    let told = "may not read sluice.audit_patients, sluice.audit_audience_records: grant it SELECT there";
    assert!(error.contains(told), "{error}");
}

#[tokio::test]
async fn who_tried_to_see_whom_and_for_whom_she_acted_can_be_looked_up() {
    let database = Database::new().await;
    open(&database, "node-1").await.append(tried(7)).await.unwrap();
    let mut db = database.superuser().await;
    let denied = "SELECT r.body::json #>> '{recipient,user}', r.body::json #>> '{recipient,actor}'
                  FROM sluice.audit_patients p JOIN sluice.audit_records r USING (writer, number)
                  WHERE p.tenant = 'acme' AND p.patient = 'm-7' AND r.body::json ->> 'action' = 'deny'";
    let denied: Vec<(String, String)> = sqlx::query_as(denied).fetch_all(&mut db).await.unwrap();
    assert_eq!(denied, [("u-2".into(), "u-agent".into())]);
    for (user, numbers) in [("u-2", &[1][..]), ("u-agent", &[1]), ("u-1", &[2, 3])] {
        let query = "SELECT number FROM sluice.audit_received WHERE tenant = 'acme' AND user_id = $1 ORDER BY number";
        let found: Vec<i64> = sqlx::query_scalar(query).bind(user).fetch_all(&mut db).await.unwrap();
        assert_eq!(found, numbers, "{user}");
    }
}

#[tokio::test]
async fn what_an_index_does_not_find_is_told() {
    for (tampering, at, index) in [
        ("DELETE FROM sluice.audit_patients WHERE patient = 'm-2'", 5, Index::Patients),
        ("UPDATE sluice.audit_patients SET tenant = 'other' WHERE number = 6", 6, Index::Patients),
        ("DELETE FROM sluice.audit_recipients WHERE user_id = 'u-3'", 4, Index::Users),
        ("UPDATE sluice.audit_recipients SET writer = 'node-1.other' WHERE number = 7", 7, Index::Users),
        ("DELETE FROM sluice.audit_audience_users WHERE user_id = 'u-10'", 9, Index::Users),
        ("UPDATE sluice.audit_audience_records SET number = 11 WHERE number = 10", 10, Index::Audiences),
    ] {
        let database = Database::new().await;
        let audit = open(&database, "node-1").await;
        audit.append((1..=2).flat_map(records).collect()).await.unwrap();
        audit.append((3..=4).map(|number| delivery(number, &audience(1..=10))).collect()).await.unwrap();
        assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 10 });
        for (table, _) in TABLES {
            let disable = format!("ALTER TABLE sluice.{table} DISABLE TRIGGER append_only");
            sqlx::raw_sql(AssertSqlSafe(disable)).execute(&mut database.superuser().await).await.unwrap();
        }
        database.execute(tampering).await.unwrap();
        let Verified::Broken { number, why, .. } = audit.verify().await.unwrap() else { panic!("{tampering}") };
        assert_eq!((number, why), (at, Damage::NotFoundBy(index)), "{tampering}");
    }
}
