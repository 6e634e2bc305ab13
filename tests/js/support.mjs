// What both client tests need: where the server is, a question to ask, and a subscription that can be waited on.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

const file = process.env.SLUICE_READY_FILE;
if (!file) throw new Error("SLUICE_READY_FILE is not set: run these tests with `cargo xtask test`");

/** The ready file: { url, graphql, subscriptions, viewers: { member: { id, token }, … } }. */
export const ready = JSON.parse(readFileSync(file, "utf8"));

export const memberId = ready.viewers.member.id;

export const bearer = (viewer) => `Bearer ${ready.viewers[viewer].token}`;

/** A test that hangs fails with its name, not with the whole run. */
export const limit = { timeout: 30_000 };

/** Input that the simulated clearinghouse answers with everything that people look for; see docs/clearinghouse.md. */
export const question = () => ({
  memberId,
  payerId: "60054",
  provider: { npi: "1234567893", organizationName: "Harbor Family Clinic" },
  subscriber: { memberId: "AETNA12345", firstName: "Ada", lastName: "Quill", dateOfBirth: "1984-02-29" },
});

export const freshKey = () => randomUUID();

export const REQUEST = `
  mutation Request($input: RequestEligibilityCheckInput!, $key: String!) {
    requestEligibilityCheck(input: $input, idempotencyKey: $key) { id state }
  }`;

const CHECK = `
  id
  state
  coverage {
    active
    planName
    copays { amount }
    deductibles { amount remaining }
    benefits { code }
  }`;

export const WATCH = `
  subscription Watch($memberId: ID!, $after: Cursor) {
    memberEligibility(memberId: $memberId, after: $after) { ${CHECK} }
  }`;

export const QUERY = `query Check($id: ID!) { eligibilityCheck(id: $id) { ${CHECK} } }`;

/** Collects what a subscription brings, for tests to wait on. */
export class Collected {
  results = [];
  #failure;
  #waiting = new Set();

  push(result) {
    this.results.push(result);
    this.#wake();
  }

  fail(error) {
    this.#failure = error;
    this.#wake();
  }

  /** The first result, of those that came and those to come, that `wanted` accepts. */
  first(wanted) {
    return this.#until(() => {
      const found = this.results.find(wanted);
      if (found) return { value: found };
      if (this.#failure) throw this.#failure;
    });
  }

  /** How the subscription failed. */
  failure() {
    return this.#until(() => (this.#failure ? { value: this.#failure } : undefined));
  }

  #until(look) {
    return new Promise((resolve, reject) => {
      const attempt = () => {
        try {
          const found = look();
          if (!found) return;
          resolve(found.value);
        } catch (error) {
          reject(error);
        }
        this.#waiting.delete(attempt);
      };
      this.#waiting.add(attempt);
      attempt();
    });
  }

  #wake() {
    for (const attempt of [...this.#waiting]) attempt();
  }
}

/** Accepts the result that shows the check `id` in `state`. */
export const shows = (id, state) => (result) => {
  const check = result.data?.memberEligibility;
  return check?.id === id && check.state === state;
};

/**
 * Waits until a subscription without `after` is live. It begins with the current state, so that there must be one: a
 * check that was asked for before.
 */
export const live = (events) => events.first(() => true);

/** `id state` of each result, to see what came and how often. */
export const seen = (results) => results.map(({ data }) => `${data.memberEligibility.id} ${data.memberEligibility.state}`);
