// The npm client `graphql-ws` against a running Sluice.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "graphql-ws";
import WebSocket from "ws";

import {
  bearer, Collected, freshKey, limit, live, memberId, question, QUERY, ready, REQUEST, seen, shows, WATCH,
} from "./support.mjs";

/** A client of `viewer`, closed when the test ends. It never retries: what fails is to be seen. */
function connect(t, viewer) {
  const client = createClient({
    url: ready.subscriptions,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: bearer(viewer) },
    retryAttempts: 0,
  });
  t.after(() => client.dispose());
  return client;
}

function watch(client, variables = { memberId }) {
  const collected = new Collected();
  const stop = client.subscribe(
    { query: WATCH, variables },
    { next: (result) => collected.push(result), error: (error) => collected.fail(error), complete: () => {} },
  );
  return Object.assign(collected, { stop });
}

/** A query or mutation over the socket: one result, then the end. */
async function ask(client, query, variables) {
  const results = [];
  for await (const result of client.iterate({ query, variables })) results.push(result);
  assert.equal(results.length, 1, "a query has one result");
  return results[0];
}

async function request(client, key = freshKey()) {
  const { data, errors, extensions } = await ask(client, REQUEST, { input: question(), key });
  assert.equal(errors, undefined);
  assert.ok(extensions.cursor, "every mutation result carries a cursor");
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

/** A check that the payer has answered, asked for by the member. */
async function answered(t) {
  const { client, events } = await watchLive(t, "member");
  const { id } = await request(client);
  return (await events.first(shows(id, "ANSWERED"))).data.memberEligibility;
}

test("graphql-ws: a check is acknowledged, and its answer is pushed", limit, async (t) => {
  const { client, events } = await watchLive(t, "member");
  const check = await request(client);
  assert.equal(check.state, "ACCEPTED");

  const accepted = await events.first(shows(check.id, "ACCEPTED"));
  const answer = await events.first(shows(check.id, "ANSWERED"));
  assert.ok(events.results.indexOf(accepted) < events.results.indexOf(answer), "in order");
  for (const result of [accepted, answer]) {
    assert.equal(result.errors, undefined);
    assert.equal(typeof result.extensions.cursor, "string");
  }
  assert.notEqual(accepted.extensions.cursor, answer.extensions.cursor);
  assert.equal(accepted.data.memberEligibility.coverage, null);

  const { coverage } = answer.data.memberEligibility;
  assert.equal(coverage.active, true);
  assert.equal(coverage.planName, "Harbor PPO 1500");
  assert.ok(coverage.copays.length > 0 && coverage.deductibles.length > 0 && coverage.benefits.length > 0);
  assert.equal(answer.extensions.redacted, undefined, "the member sees all that was asked for here");
});

test("graphql-ws: a client that was away continues behind its cursor, with nothing missing and nothing twice", limit, async (t) => {
  const { client: away, events: before } = await watchLive(t, "member");
  const first = await request(away);
  const { cursor } = (await before.first(shows(first.id, "ACCEPTED"))).extensions;
  await before.first(shows(first.id, "ANSWERED"));
  await away.dispose();

  const back = connect(t, "member");
  const resumed = watch(back, { memberId, after: cursor });
  await resumed.first(shows(first.id, "ANSWERED"));
  // A later event of the same member comes after everything that was still to come.
  const second = await request(back);
  const last = await resumed.first(shows(second.id, "ANSWERED"));

  const told = seen(resumed.results);
  assert.ok(!told.includes(`${first.id} ACCEPTED`), "what is before the cursor does not come again");
  assert.deepEqual(told, [...new Set(told)], "nothing twice");
  assert.ok(told.includes(`${second.id} ACCEPTED`), "nothing missing");

  // At the end of everything, only what is new.
  resumed.stop();
  const fresh = watch(back, { memberId, after: last.extensions.cursor });
  const third = await request(back);
  await fresh.first(shows(third.id, "ANSWERED"));
  const later = seen(fresh.results);
  assert.ok(!later.some((line) => line.startsWith(first.id) || line.startsWith(second.id)), later.join(", "));
});

test("graphql-ws: the same key from the same person is the same check", limit, async (t) => {
  const client = connect(t, "member");
  const key = freshKey();
  assert.deepEqual((await request(client, key)).id, (await request(client, key)).id);

  const other = { ...question(), dateOfService: new Date().toISOString().slice(0, 10) };
  const { errors } = await ask(client, REQUEST, { input: other, key });
  assert.equal(errors[0].extensions.code, "IDEMPOTENCY_CONFLICT");
});

test("graphql-ws: queries run over the socket", limit, async (t) => {
  const check = await answered(t);
  const { data, errors } = await ask(connect(t, "member"), QUERY, { id: check.id });
  assert.equal(errors, undefined);
  assert.deepEqual(data.eligibilityCheck, check);
});

/** Of the form of an id, and nobody's. */
const unknownCheck = "0190163d-8694-739b-aea5-966c26f8ad91";

test("graphql-ws: a stranger learns nothing, not even that the member exists", limit, async (t) => {
  const { id } = await answered(t);
  const client = connect(t, "stranger");
  const [member, nobody] = await Promise.all([
    watch(client).failure(),
    watch(client, { memberId: "m-nobody-has-this-id" }).failure(),
  ]);
  assert.equal(member[0].extensions.code, "NOT_FOUND");
  assert.equal(nobody[0].extensions.code, "NOT_FOUND");
  assert.equal(member[0].message, nobody[0].message);

  // A query tells it as `null` or as an error: of a check that there is as of one that there is not.
  const [mine, none] = await Promise.all([id, unknownCheck].map((id) => ask(client, QUERY, { id })));
  assert.ok(!mine.data?.eligibilityCheck);
  assert.deepEqual(mine, none);
});

const sees = {
  guardian: { copays: true, deductibles: true, benefits: false },
  nurse: { copays: false, deductibles: false, benefits: false },
  billing: { copays: true, deductibles: true, benefits: true },
};

for (const [viewer, fields] of Object.entries(sees)) {
  test(`graphql-ws: the ${viewer} has the answer pushed with just the fields to see`, limit, async (t) => {
    const { events } = await watchLive(t, viewer);
    const check = await answered(t);
    const { data, extensions } = await events.first(shows(check.id, "ANSWERED"));
    const { coverage } = data.memberEligibility;
    assert.equal(coverage.active, true);
    assert.equal(coverage.planName, check.coverage.planName);

    const heldBack = Object.keys(fields).filter((field) => !fields[field]);
    for (const field of Object.keys(fields)) {
      if (fields[field]) assert.deepEqual(coverage[field], check.coverage[field], field);
      else assert.equal(coverage[field], null, field);
    }
    if (heldBack.length === 0) {
      assert.equal(extensions.redacted, undefined);
    } else {
      assert.equal(extensions.redacted.length, heldBack.length, JSON.stringify(extensions.redacted));
      for (const field of heldBack) assert.ok(JSON.stringify(extensions.redacted).includes(field), field);
    }
  });
}

test("graphql-ws: a token that does not hold closes the socket with 4403", limit, async (t) => {
  const closed = new Promise((resolve) => {
    const client = createClient({
      url: ready.subscriptions,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: "Bearer not-a-token" },
      retryAttempts: 0,
      lazy: false,
      onNonLazyError: () => {},
      on: { closed: resolve },
    });
    t.after(() => client.dispose());
  });
  const event = await closed;
  assert.equal(event.code, 4403);
  assert.ok(Buffer.byteLength(event.reason) <= 123);
});
