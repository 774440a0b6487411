// @platformatic/kafka against a broker: `node platformatic.mjs HOST:PORT MODULES`. Prints what it has read as JSON.
const kafka = await import(process.argv[3] + "/@platformatic/kafka/dist/index.js");
const { Admin, Consumer, Producer, stringDeserializers, stringSerializers } = kafka;

const options = { clientId: "test", bootstrapBrokers: [process.argv[2]], timeout: 20000, retries: 1 };
const admin = new Admin(options);
const [made] = await admin.createTopics({ topics: ["t"], partitions: 2, replicas: 1 });

const producer = new Producer({ ...options, serializers: stringSerializers });
const messages = Array.from({ length: 50 }, (_, n) => ({ topic: "t", key: `k${n}`, value: `v${n}`, headers: { n: `${n}` } }));
await producer.send({ messages });
await producer.close();

const consumer = new Consumer({ ...options, groupId: "g", deserializers: stringDeserializers, maxWaitTime: 200 });
const stream = await consumer.consume({ topics: ["t"], mode: "earliest", autocommit: false, sessionTimeout: 10000 });
const found = [];
for await (const message of stream) {
  found.push([message.key, message.value, message.headers.get("n")]);
  await message.commit();
  if (found.length === messages.length) {
    break;
  }
}
const groups = await admin.describeGroups({ groups: ["g"] });
await consumer.close(true);
await admin.deleteGroups({ groups: ["g"] });
const listed = await admin.listTopics();
await admin.deleteTopics({ topics: ["t"] });
await admin.close();
console.log(JSON.stringify({ id: made.id, found, state: groups.get("g").state, listed }));
process.exit(0);
