use sluice_schema::{
    event::RecordedEvent,
    proto::header::{RoutingKey, Subject, routing_key::Kind},
};

use super::{
    appending::stored_places,
    world::{
        Store, append, append_as, list, load, member, payload, payloads, places, repeated, subject, tenant, with_key,
    },
};

async fn current(store: &Store, tenant_id: &str, ids: &[&str]) -> Vec<Option<String>> {
    let wanted: Vec<_> = ids.iter().map(|id| subject(id)).collect();
    let found = store.current(&tenant(tenant_id), &wanted).await.unwrap();
    found.iter().map(|event| event.as_deref().map(|event: &RecordedEvent| payload(event).to_owned())).collect()
}

pub async fn a_stream_loads_as_it_was_written(store: Store) {
    let written = append("c-1", 0, &["a", "=b"]);
    let mut expected = places(store.append(written.clone()).await);
    expected.extend(places(store.append(append("c-1", 2, &["c"])).await));
    let events = load(&store, "acme", "c-1").await;
    assert_eq!(payloads(&events), ["a", "=b", "c"]);
    assert_eq!(stored_places(&events), expected);
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3]);
    for (event, new) in events.iter().zip(&written.events) {
        let mut header = event.header.clone();
        assert!(header.published_at.take().is_some_and(|at| at.seconds > 0), "the store sets the time of publication");
        assert_eq!(header, new.header);
    }
    assert!(load(&store, "acme", "c-2").await.is_empty());
}

pub async fn current_is_the_last_whole_state(store: Store) {
    places(store.append(append("c-1", 0, &["a"])).await);
    assert_eq!(current(&store, "acme", &["c-1"]).await, [None]);
    places(store.append(append("c-1", 1, &["=b", "=c", "d"])).await);
    assert_eq!(current(&store, "acme", &["c-1"]).await, [Some("=c".into())]);
    places(store.append(append("c-1", 4, &["e"])).await);
    assert_eq!(current(&store, "acme", &["c-1"]).await, [Some("=c".into())]);
    places(store.append(append("c-1", 5, &["=f"])).await);
    assert_eq!(current(&store, "acme", &["c-1"]).await, [Some("=f".into())]);
}

pub async fn current_answers_in_the_order_asked(store: Store) {
    for id in ["c-1", "c-2"] {
        places(store.append(append(id, 0, &[&format!("={id}")])).await);
    }
    let found = current(&store, "acme", &["c-2", "c-9", "c-1", "c-2"]).await;
    assert_eq!(found, [Some("=c-2".into()), None, Some("=c-1".into()), Some("=c-2".into())]);
    assert_eq!(current(&store, "acme", &[]).await, Vec::<Option<String>>::new());
    let other_type = Subject { r#type: "Visit".into(), id: "c-1".into() };
    assert!(store.current(&tenant("acme"), &[other_type]).await.unwrap()[0].is_none());
}

pub async fn a_list_is_paged_newest_id_first(store: Store) {
    for id in ["c-3", "c-1", "c-5", "c-2", "c-4"] {
        places(store.append(append(id, 0, &["=a"])).await);
    }
    places(store.append(append("c-1", 1, &["=b"])).await);
    let key = member("m-1");
    assert_eq!(list(&store, "acme", &key, None, 9).await, ["c-5", "c-4", "c-3", "c-2", "c-1"]);
    assert_eq!(list(&store, "acme", &key, None, 2).await, ["c-5", "c-4"]);
    assert_eq!(list(&store, "acme", &key, Some("c-4"), 2).await, ["c-3", "c-2"]);
    assert_eq!(list(&store, "acme", &key, Some("c-2"), 2).await, ["c-1"]);
    assert_eq!(list(&store, "acme", &key, Some("c-1"), 2).await, Vec::<String>::new());
    assert_eq!(list(&store, "acme", &key, Some("c-35"), 1).await, ["c-3"], "the id need not be one of them");
}

pub async fn a_list_is_of_one_type_and_routing_key(store: Store) {
    let team = RoutingKey { kind: Kind::Team.into(), id: "m-1".into() };
    let visit = Subject { r#type: "Visit".into(), id: "v-1".into() };
    places(store.append(append("c-1", 0, &["=a"])).await);
    places(store.append(append("c-2", 0, &["no state"])).await);
    places(store.append(append_as("acme", subject("c-3"), member("m-2"), 0, &["=a"])).await);
    places(store.append(append_as("acme", subject("c-4"), team.clone(), 0, &["=a"])).await);
    places(store.append(append_as("acme", visit, member("m-1"), 0, &["=a"])).await);
    assert_eq!(list(&store, "acme", &member("m-1"), None, 9).await, ["c-1"]);
    assert_eq!(list(&store, "acme", &member("m-2"), None, 9).await, ["c-3"]);
    assert_eq!(list(&store, "acme", &team, None, 9).await, ["c-4"]);
}

pub async fn tenants_with_equal_ids_never_meet(store: Store) {
    let request = |tenant_id, payload: &str| {
        let request = append_as(tenant_id, subject("c-1"), member("m-1"), 0, &[payload]);
        with_key(request, "u-1/request", "k-1", 1, tenant_id)
    };
    places(store.append(request("acme", "=of acme")).await);
    assert!(load(&store, "birch", "c-1").await.is_empty());
    assert_eq!(current(&store, "birch", &["c-1"]).await, [None]);
    assert!(list(&store, "birch", &member("m-1"), None, 9).await.is_empty());
    places(store.append(request("birch", "=of birch")).await);
    for tenant_id in ["acme", "birch"] {
        let state = format!("=of {tenant_id}");
        assert_eq!(payloads(&load(&store, tenant_id, "c-1").await), [&state]);
        assert_eq!(current(&store, tenant_id, &["c-1"]).await, [Some(state.clone())]);
        assert_eq!(list(&store, tenant_id, &member("m-1"), None, 9).await, ["c-1"]);
        assert_eq!(repeated(store.append(request(tenant_id, "=x")).await).0, tenant_id);
    }
}
