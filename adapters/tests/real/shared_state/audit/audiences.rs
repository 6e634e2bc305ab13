//! Audiences are kept once for all nodes, and are as hard to alter unnoticed as the records that name them.

use sluice_subscriptions::audit::{
    Damage,
    contract::{RECEIVED_BY_THE_FIRST, received},
};

use super::*;

async fn count(db: &mut PgConnection, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM sluice.{table}");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn an_audience_is_written_once_whoever_writes_it_and_however_often() {
    let database = Database::new().await;
    let nodes = [open(&database, "node-1").await, open(&database, "node-2").await];
    for node in &nodes {
        let same = audience(1..=1000);
        node.append((0..3).map(|number| delivery(number, &same)).collect()).await.unwrap();
        node.append(vec![delivery(3, &same), delivery(4, &audience((1..=1000).rev()))]).await.unwrap();
    }
    assert_eq!(nodes[0].verify().await.unwrap(), Verified::Intact { records: 10 });
    let mut db = database.superuser().await;
    let mut rows = Vec::new();
    for (table, _) in TABLES {
        rows.push(count(&mut db, table).await);
    }
    assert_eq!(rows, [10, 0, 10, 1, 1000, 10], "{TABLES:?}");
}

/// Whoever came second waits for the first; in one order, so that nobody waits for one who waits for her.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_write_the_same_audiences_at_once_both_go_on() {
    let database = Database::new().await;
    let nodes = [open(&database, "node-1").await, open(&database, "node-2").await];
    for round in 0..20 {
        let mut deliveries: Vec<_> =
            (0..40).map(|size| delivery(size, &audience(round * 100..round * 100 + 5 + size))).collect();
        let forth = deliveries.clone();
        deliveries.reverse();
        let (one, other) = tokio::join!(nodes[0].append(forth), nodes[1].append(deliveries));
        one.unwrap();
        other.unwrap();
    }
    assert_eq!(nodes[0].verify().await.unwrap(), Verified::Intact { records: 2 * 20 * 40 });
    assert_eq!(count(&mut database.superuser().await, "audit_audiences").await, 20 * 40);
}

/// What a node knows is durable costs no more than its row, until it has connected anew; `DO NOTHING` would be seen here.
#[tokio::test]
async fn a_node_does_not_write_again_what_it_knows_is_durable() {
    let database = Database::new().await;
    let audit = open(&database, "node-1").await;
    let same = audience(1..=10);
    audit.append(vec![delivery(1, &same)]).await.unwrap();
    let forget = "ALTER TABLE sluice.audit_audiences DISABLE TRIGGER append_only; DELETE FROM sluice.audit_audiences";
    database.execute(forget).await.unwrap();
    audit.append(vec![delivery(2, &same)]).await.unwrap();
    let mut db = database.superuser().await;
    assert_eq!(count(&mut db, "audit_audiences").await, 0);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
                 AND query LIKE '%INSERT INTO sluice.audit_records%' AND pid <> pg_backend_pid()";
    sqlx::query(end).execute(&mut db).await.unwrap();
    audit.append(vec![delivery(3, &same)]).await.unwrap();
    assert_eq!(count(&mut db, "audit_audiences").await, 1, "a standby might have lacked it");
    assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 3 });
}

/// A trail with two audiences: records 1 and 2 have the first, 3 and 4 the second. What is found after tampering with it.
async fn after(tampering: &'static str) -> (u64, Damage) {
    let database = Database::new().await;
    let audit = open(&database, "node-1").await;
    let [first, second] = [audience(1..=10), audience(1..=11)];
    let deliveries = [&first, &first, &second, &second].into_iter().zip(1..).map(|(to, number)| delivery(number, to));
    audit.append(deliveries.collect()).await.unwrap();
    audit.close().await;
    let reader = PostgresAuditReader::connect(&database.url).await.unwrap();
    assert_eq!(reader.verify().await.unwrap(), Verified::Intact { records: 4 });
    database.execute("ALTER TABLE sluice.audit_audiences DISABLE TRIGGER append_only").await.unwrap();
    database.execute(tampering).await.unwrap();
    match reader.verify().await.unwrap() {
        Verified::Broken { number, why, .. } => (number, why),
        Verified::Intact { .. } => panic!("not found: {tampering}"),
    }
}

#[tokio::test]
async fn an_audience_that_was_altered_or_removed_or_that_changed_places_is_found() {
    let [first, second] = [audience(1..=10).digest(), audience(1..=11).digest()];
    let altered = "UPDATE sluice.audit_audiences SET body = replace(body, 'u-11', 'u-12')";
    assert_eq!(after(altered).await, (3, Damage::AudienceAltered(second)));
    let removed = "DELETE FROM sluice.audit_audiences WHERE body LIKE '%u-11%'";
    assert_eq!(after(removed).await, (3, Damage::AudienceMissing(second)));
    let swapped = "UPDATE sluice.audit_audiences AS one SET body = other.body
                   FROM sluice.audit_audiences AS other WHERE one.digest <> other.digest";
    assert_eq!(after(swapped).await, (1, Damage::AudienceAltered(first)));
}

#[tokio::test]
async fn what_one_received_alone_and_among_many_can_be_looked_up_and_no_other_tenants() {
    let database = Database::new().await;
    let audit = open(&database, "node-1").await;
    let (many, records) = received();
    audit.append(records).await.unwrap();
    let mut db = database.superuser().await;
    for (tenant, numbers) in RECEIVED_BY_THE_FIRST {
        let query = "SELECT number FROM sluice.audit_received JOIN sluice.audit_records USING (writer, number)
                     WHERE audit_received.tenant = $1 AND user_id = 'u-1' ORDER BY number";
        let found: Vec<i64> = sqlx::query_scalar(query).bind(tenant).fetch_all(&mut db).await.unwrap();
        assert_eq!(found, numbers, "{tenant}");
    }
    let body = "SELECT a.body FROM sluice.audit_records r
                JOIN sluice.audit_audiences a ON digest = decode(r.body::json ->> 'audience', 'hex') WHERE number = 1";
    assert_eq!(sqlx::query_scalar::<_, String>(body).fetch_one(&mut db).await.unwrap(), many.canonical());
}
