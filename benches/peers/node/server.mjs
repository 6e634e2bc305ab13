// graphql-ws on ws, as their documentation shows it: a schema, an async iterator for each subscription, and an emitter by
// channel. Nobody is asked who may see what. It is told what to publish on its standard input, as the servers in Rust are.

import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { buildSchema } from 'graphql';
import { Kafka, logLevel } from 'kafkajs';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';

const schema = buildSchema(`
  scalar Channel
  type CostShare { amount: String remaining: String }
  type Coverage { active: Boolean planName: String deductibles: [CostShare!] }
  type EligibilityCheck {
    id: ID! memberId: ID! state: String! payerId: ID completedAt: String coverage: Coverage
  }
  type EligibilityCheckChanged { after: EligibilityCheck }
  type CoverageChanged {
    coverageId: ID! memberId: ID! status: String planName: String terminationDate: String
  }
  union EventPayload = EligibilityCheckChanged | CoverageChanged
  type Event { payload: EventPayload! }
  type Query { nothing: Boolean }
  type Subscription { events(channel: Channel!): Event! }
`);

const events = new EventEmitter();
events.setMaxListeners(0);

// What waits for one subscription; unbounded, as in the libraries that people take.
function listen(channel) {
  const queue = [];
  let wake = null;
  const push = (event) => {
    queue.push(event);
    wake?.();
  };
  events.on(channel, push);
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      while (queue.length === 0) {
        await new Promise((resolve) => (wake = resolve));
        wake = null;
      }
      return { value: { events: queue.shift() }, done: false };
    },
    async return() {
      events.off(channel, push);
      return { value: undefined, done: true };
    },
  };
}

const roots = { subscription: { events: ({ channel }) => listen(channel) } };

const http = createServer();
useServer({ schema, roots }, new WebSocketServer({ server: http, path: '/graphql', perMessageDeflate: false }));
http.on('connection', (socket) => socket.setNoDelay(true));

// Another service's events, in the mapping that Sluice is configured with.
async function consume(brokers, topic) {
  const kafka = new Kafka({ clientId: 'node', brokers: brokers.split(','), logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: `${topic}-node`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      const data = JSON.parse(message.value.toString());
      const status = data.status.replace('COVERAGE_STATUS_', '');
      events.emit(`/members/${data.memberId}/**`, { payload: { __typename: 'CoverageChanged', ...data, status } });
    },
  });
}
if (process.env.KAFKA_TOPIC) await consume(process.env.KAFKA_BROKERS, process.env.KAFKA_TOPIC);

http.listen(0, '127.0.0.1', 1024, () => say({ address: `127.0.0.1:${http.address().port}` }));

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const now = () => process.hrtime.bigint();
const last = new Map();

function publish(number, { channels, first = 0 }, due) {
  const channel = first + ((number * 7919) % channels);
  const seq = (last.get(channel) ?? 0) + 1;
  last.set(channel, seq);
  const memberId = `m-${String(channel).padStart(5, '0')}`;
  events.emit(`/members/${memberId}/**`, {
    payload: {
      __typename: 'EligibilityCheckChanged',
      after: {
        id: `ec-${String(seq).padStart(8, '0')}-${due.toString(16).padStart(16, '0')}`,
        memberId,
        state: 'ANSWERED',
        payerId: '60054',
        completedAt: '2026-11-24T08:30:00.125Z',
        coverage: {
          active: true,
          planName: 'Harbor PPO 1500',
          deductibles: [{ amount: '1500.00', remaining: '250.00' }],
        },
      },
    },
  });
}

async function paced(command) {
  const begin = now() + 1_000_000n;
  const due = (number) => begin + BigInt(Math.trunc((number * 1e9) / command.rate));
  let latest = 0n;
  for (let number = 0; number < command.events; ) {
    const ahead = Number(due(number) - now()) / 1e6;
    if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead));
    else await new Promise(setImmediate);
    for (const at = now(); number < command.events && due(number) <= at; number += 1) {
      if (at - due(number) > latest) latest = at - due(number);
      publish(number, command, due(number));
    }
  }
  return Number(latest / 1000n);
}

// A loop that publishes without a pause would let nobody write.
async function burst(command) {
  const due = now();
  for (let number = 0; number < command.events; number += 1) {
    publish(number, command, due);
    if (number % 1000 === 999) await new Promise(setImmediate);
  }
  return 0;
}

let queue = Promise.resolve();
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = JSON.parse(line);
    queue = queue.then(async () => {
      const late = command.paced ? await paced(command.paced) : command.burst ? await burst(command.burst) : 0;
      say({ done: { late_us: late } });
    });
  })
  .on('close', () => process.exit(0));
