// kafkajs against a broker: `node clients.js HOST:PORT MODULES`. Prints what it has read as JSON.
"use strict";

const { Kafka, logLevel } = require(process.argv[3] + "/kafkajs");

async function main() {
  const kafka = new Kafka({ clientId: "test", brokers: [process.argv[2]], logLevel: logLevel.ERROR });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "t", numPartitions: 2, replicationFactor: 1 }] });

  const producer = kafka.producer({ transactionalId: "tx", idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const send = async (words, end) => {
    const transaction = await producer.transaction();
    await transaction.send({
      topic: "t",
      messages: words.map((word, number) => ({ key: word, value: word, headers: { number: String(number) } })),
    });
    await transaction[end]();
  };
  await send(["aborted"], "abort");
  await send(Array.from({ length: 50 }, (_, number) => "first " + number), "commit");

  const members = [0, 1].map(() => kafka.consumer({ groupId: "g", sessionTimeout: 10000 }));
  const found = [];
  const joined = new Set();
  for (const [number, member] of members.entries()) {
    await member.connect();
    await member.subscribe({ topic: "t", fromBeginning: true });
    member.on(member.events.GROUP_JOIN, (event) => {
      if ((event.payload.memberAssignment.t || []).length === 1) {
        joined.add(number);
      } else {
        joined.delete(number);
      }
    });
    await member.run({
      eachMessage: async ({ message }) => {
        found.push([String(message.key), String(message.value), String(message.headers.number)]);
      },
    });
  }
  const until = async (condition) => {
    for (let tries = 0; !condition(); tries += 1) {
      if (tries > 600) {
        throw new Error("it takes too long: " + found.length + " records, " + joined.size + " members");
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await until(() => joined.size === 2 && found.length >= 50);
  await send(Array.from({ length: 50 }, (_, number) => "second " + number), "commit");
  await until(() => found.length >= 100);
  await Promise.all(members.map((member) => member.disconnect()));

  const offsets = await admin.fetchOffsets({ groupId: "g", topics: ["t"] });
  await admin.deleteGroups(["g"]);
  await admin.deleteTopics({ topics: ["t"] });
  await Promise.all([producer.disconnect(), admin.disconnect()]);
  const committed = offsets[0].partitions.reduce((sum, partition) => sum + Number(partition.offset), 0);
  console.log(JSON.stringify({ found, committed }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
