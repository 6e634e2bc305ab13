//! The roots, put together from the capabilities, and the SDL that a supergraph is composed from.

use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions, Schema, SchemaBuilder};

use crate::{
    access::{consents::ConsentsMutation, emergency::EmergencyMutation, grants::GrantsMutation, teams::TeamsMutation},
    eligibility::{mutation::EligibilityMutation, query::EligibilityQuery, subscription::EligibilitySubscription},
    events::EventsSubscription,
    members::MembersQuery,
    security::SecurityMutation,
};

// The federated SDL has no `schema { … }`, so the roots must have their usual names.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub(crate) struct QueryRoot(EligibilityQuery, MembersQuery);

#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
pub(crate) struct MutationRoot(
    EligibilityMutation,
    GrantsMutation,
    ConsentsMutation,
    TeamsMutation,
    EmergencyMutation,
    SecurityMutation,
);

#[derive(MergedSubscription, Default)]
#[graphql(name = "Subscription")]
pub(crate) struct SubscriptionRoot(EligibilitySubscription, EventsSubscription);

pub(crate) type GraphqlSchema = Schema<QueryRoot, MutationRoot, SubscriptionRoot>;

pub(crate) fn builder() -> SchemaBuilder<QueryRoot, MutationRoot, SubscriptionRoot> {
    Schema::build(QueryRoot::default(), MutationRoot::default(), SubscriptionRoot::default()).enable_federation()
}

/// The schema as a federation subgraph: what `schema.graphql` holds.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().federation().sorted_fields().sorted_arguments().sorted_enum_items();
    builder().finish().sdl_with_options(options).trim_end().to_owned() + "\n"
}
