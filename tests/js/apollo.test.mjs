// Apollo Client 4 against a running Sluice: subscriptions over GraphQLWsLink, the rest over HttpLink.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { getMainDefinition } from "@apollo/client/utilities";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

import {
  bearer, Collected, freshKey, limit, live, memberId, question, QUERY, ready, REQUEST, seen, shows, WATCH,
} from "./support.mjs";

// Apollo's link looks at the global when a subscription fails, as browsers and Node.js 22 have it.
globalThis.WebSocket ??= WebSocket;

function connect(t, viewer) {
  const socket = createClient({
    url: ready.subscriptions,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: bearer(viewer) },
    retryAttempts: 0,
  });
  const http = new HttpLink({ uri: ready.graphql, headers: { authorization: bearer(viewer) } });
  const isSubscription = ({ query }) => getMainDefinition(query).operation === "subscription";
  const client = new ApolloClient({
    link: ApolloLink.split(isSubscription, new GraphQLWsLink(socket), http),
    cache: new InMemoryCache(),
    defaultOptions: { query: { fetchPolicy: "no-cache" } },
  });
  t.after(async () => {
    client.stop();
    await socket.dispose();
  });
  return client;
}

/** Apollo gives the errors of a subscription as `error` of a result, or ends the observable with them. */
function watch(client, variables = { memberId }) {
  const collected = new Collected();
  const subscription = client.subscribe({ query: gql(WATCH), variables, fetchPolicy: "no-cache" }).subscribe({
    next: (result) => (result.error ? collected.fail(result.error) : collected.push(result)),
    error: (error) => collected.fail(error),
  });
  return Object.assign(collected, { stop: () => subscription.unsubscribe() });
}

async function request(client) {
  const { data } = await client.mutate({ mutation: gql(REQUEST), variables: { input: question(), key: freshKey() } });
  return data.requestEligibilityCheck;
}

/** Watches as `viewer`, and is sure to see what happens from now on. */
async function watchLive(t, viewer) {
  await request(connect(t, "member"));
  const client = connect(t, viewer);
  const events = watch(client);
  await live(events);
  return { client, events };
}

test("Apollo Client: a check is asked for by HTTP, and its answer is pushed over the WebSocket", limit, async (t) => {
  const { client, events } = await watchLive(t, "member");
  const check = await request(client);
  assert.equal(check.state, "ACCEPTED");

  const answer = await events.first(shows(check.id, "ANSWERED"));
  assert.equal(typeof answer.extensions.cursor, "string");
  assert.equal(answer.data.memberEligibility.coverage.active, true);
  assert.ok(answer.data.memberEligibility.coverage.deductibles.length > 0);

  const { data } = await client.query({ query: gql(QUERY), variables: { id: check.id } });
  assert.deepEqual(data.eligibilityCheck, answer.data.memberEligibility, "a query and an event tell the same");
});

test("Apollo Client: what the nurse may not see is null and named, and the rest is there", limit, async (t) => {
  const { events } = await watchLive(t, "nurse");
  const check = await request(connect(t, "member"));
  const { data, extensions } = await events.first(shows(check.id, "ANSWERED"));
  assert.equal(data.memberEligibility.coverage.active, true);
  assert.equal(data.memberEligibility.coverage.deductibles, null);
  assert.ok(extensions.redacted.length > 0);
});

test("Apollo Client: a subscription continues behind its cursor", limit, async (t) => {
  const { client, events: before } = await watchLive(t, "member");
  const first = await request(client);
  const { cursor } = (await before.first(shows(first.id, "ACCEPTED"))).extensions;
  before.stop();

  const resumed = watch(client, { memberId, after: cursor });
  await resumed.first(shows(first.id, "ANSWERED"));
  const second = await request(client);
  await resumed.first(shows(second.id, "ANSWERED"));
  const told = seen(resumed.results);
  assert.ok(!told.includes(`${first.id} ACCEPTED`));
  assert.deepEqual(told, [...new Set(told)], "nothing twice");
});

test("Apollo Client: a refusal is a GraphQL error with a code", limit, async (t) => {
  const error = await watch(connect(t, "stranger")).failure();
  assert.ok(CombinedGraphQLErrors.is(error), String(error));
  assert.equal(error.errors[0].extensions.code, "NOT_FOUND");

  const input = { ...question(), provider: { npi: "1234567890", organizationName: "Harbor Family Clinic" } };
  const refused = connect(t, "member").mutate({ mutation: gql(REQUEST), variables: { input, key: freshKey() } });
  await assert.rejects(refused, (refusal) => refusal.errors[0].extensions.code === "INVALID_NPI");
});
