//! What was recorded is found: whoever takes rows out of an index hides records that are still there.

use sluice_subscriptions::audit::{
    Damage, Index,
    contract::{audience, delivery},
};

use super::*;

/// Two boots of more than one segment each, with few and many recipients; and what is found after tampering with it.
async fn after(tampering: &str) -> Verified {
    let home = Home::new();
    for _ in 0..2 {
        let audit = open(&home).await;
        audit.append((1..=300).flat_map(records).collect()).await.unwrap();
        audit.append((301..=304).map(|number| delivery(number, &audience(1..=10))).collect()).await.unwrap();
        audit.close().await;
    }
    assert_eq!(verify(&home).await, Verified::Intact { records: 2 * 1204 });
    let mut db = database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap();
    let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let triggers: Vec<String> = sqlx::query_scalar(triggers).fetch_all(&mut db).await.unwrap();
    for trigger in triggers {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TRIGGER {trigger}"))).execute(&mut db).await.unwrap();
    }
    let done = sqlx::raw_sql(AssertSqlSafe(tampering)).execute(&mut db).await.unwrap();
    assert!(done.rows_affected() > 0, "{tampering}");
    db.close().await.unwrap();
    verify(&home).await
}

async fn assert_not_found_by(tampering: &str, at: u64, index: Index) {
    let found = after(tampering).await;
    let Verified::Broken { number, why, .. } = found else { panic!("not noticed: {tampering}") };
    assert_eq!((number, why), (at, Damage::NotFoundBy(index)), "{tampering}");
}

#[tokio::test]
async fn a_patient_whose_rows_were_removed_or_altered_is_missed() {
    assert_not_found_by("DELETE FROM segment_patients WHERE patient = 'm-7'", 25, Index::Patients).await;
    // The second record of a member in the second segment.
    assert_not_found_by("DELETE FROM segment_patients WHERE number = 1026", 1026, Index::Patients).await;
    let altered = "UPDATE segment_patients SET patient = 'm-9999' WHERE number = 2";
    assert_not_found_by(altered, 2, Index::Patients).await;
    let moved = "UPDATE segment_patients SET tenant = 'other' WHERE number = 1201";
    assert_not_found_by(moved, 1201, Index::Patients).await;
}

#[tokio::test]
async fn a_user_whose_rows_were_removed_is_missed_alone_and_in_an_audience() {
    assert_not_found_by("DELETE FROM segment_recipients WHERE user = 'u-3'", 4, Index::Users).await;
    assert_not_found_by("DELETE FROM audience_users WHERE user = 'u-10'", 1201, Index::Users).await;
    let records = "DELETE FROM audience_records WHERE number = 1203";
    assert_not_found_by(records, 1203, Index::Audiences).await;
}

#[tokio::test]
async fn a_segment_that_was_removed_or_is_of_another_is_missed() {
    assert_not_found_by("DELETE FROM segments WHERE first = 1025", 1025, Index::Users).await;
    let of_another = "UPDATE segments SET writer = 'node-1.other' WHERE id = 1";
    assert_not_found_by(of_another, 1, Index::Users).await;
}
