//! Reading one state must not cost more for every other that is stored.

use sqlx::Row;

use super::super::{CURRENT, LIST, SqliteStore, StoreOptions};
use crate::sqlite::test_support::Home;

async fn plan(store: &SqliteStore, query: &'static str) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
    let steps = sqlx::query(explain).fetch_all(&store.readers).await.unwrap();
    steps.iter().map(|step| step.get::<String, _>("detail")).filter(|step| step.contains(" c ")).collect()
}

#[tokio::test]
async fn states_are_found_by_their_whole_key() {
    let home = Home::new();
    let store = SqliteStore::open(&home.data, StoreOptions::default()).await.unwrap();
    let current = plan(&store, CURRENT).await;
    assert_eq!(current, ["SEARCH c USING PRIMARY KEY (tenant=? AND entity_type=? AND entity_id=?)"]);
    let list = plan(&store, LIST).await;
    assert_eq!(list.len(), 1, "{list:?}");
    assert!(
        list[0]
            .contains("current_states_by_routing_key (tenant=? AND entity_type=? AND routing_kind=? AND routing_id=?"),
        "{list:?}"
    );
}
