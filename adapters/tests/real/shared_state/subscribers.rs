use std::sync::Arc;

use sluice_adapters::postgres::PostgresSubscribers;
use sluice_subscriptions::subscribers::SubscriberState;

use super::Database;

async fn two_nodes() -> ([Arc<dyn SubscriberState>; 2], Database) {
    let database = Database::new().await;
    let one: Arc<dyn SubscriberState> = Arc::new(PostgresSubscribers::new(&database.node().await));
    let other: Arc<dyn SubscriberState> = Arc::new(PostgresSubscribers::new(&database.node().await));
    ([one, other], database)
}

sluice_subscriptions::subscriber_state_contract!(two_nodes);
