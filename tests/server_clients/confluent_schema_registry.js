// Every call of npm's @kafkajs/confluent-schema-registry, for all kinds of schemas; prints one JSON object.
const { SchemaRegistry, SchemaType, COMPATIBILITY } = require("@kafkajs/confluent-schema-registry");

const AVRO = { type: "record", name: "Order", namespace: "shop", fields: [{ name: "ID", type: "long" }, { name: "ITEM", type: "string" }] };
const WIDER = { ...AVRO, fields: [...AVRO.fields, { name: "NOTE", type: ["null", "string"], default: null }] };
const BROKEN = { ...AVRO, fields: [...AVRO.fields, { name: "NOTE", type: "string" }] };
const JSON_SCHEMA = { type: "object", properties: { ID: { type: "integer" }, ITEM: { type: "string" } }, required: ["ID"], additionalProperties: false };
const PROTO = 'syntax = "proto3"; package shop; message Order { int64 ID = 1; string ITEM = 2; }';
const ROW = { ID: 7, ITEM: "tea" };

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return { name: error.name, status: error.status, message: error.message };
  }
  return null;
}

async function main() {
  const [host, username, password] = process.argv.slice(2);
  const settings = username ? { host, auth: { username, password } } : { host };
  const registry = new SchemaRegistry({ ...settings, retry: { retries: 0 } });
  const found = {};
  const avro = await registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(AVRO) }, { subject: "orders-avro-value" });
  found.again = (await registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(AVRO) }, { subject: "orders-avro-value" })).id === avro.id;
  const json = await registry.register({ type: SchemaType.JSON, schema: JSON.stringify(JSON_SCHEMA) }, { subject: "orders-json-value", compatibility: COMPATIBILITY.FULL });
  const proto = await registry.register({ type: SchemaType.PROTOBUF, schema: PROTO }, { subject: "orders-proto-value" });
  const wider = await registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(WIDER) }, { subject: "orders-avro-value" });
  found.incompatible = await failure(() => registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(BROKEN) }, { subject: "orders-avro-value" }));
  found.otherLevel = await failure(() => registry.register({ type: SchemaType.JSON, schema: JSON.stringify(JSON_SCHEMA) }, { subject: "orders-json-value", compatibility: COMPATIBILITY.NONE }));
  found.latest = (await registry.getLatestSchemaId("orders-avro-value")) === wider.id;
  found.first = (await registry.getRegistryId("orders-avro-value", 1)) === avro.id;
  found.bySchema = (await registry.getRegistryIdBySchema("orders-avro-value", { type: SchemaType.AVRO, schema: JSON.stringify(AVRO) })) === avro.id;
  found.noSubject = await failure(() => registry.getLatestSchemaId("nothing-value"));
  found.noSchema = await failure(() => new SchemaRegistry({ ...settings, retry: { retries: 0 } }).getSchema(999999));
  const reader = new SchemaRegistry(settings); // knows nothing yet, so it asks
  found.read = [];
  found.data = {};
  for (const [name, id] of [["avro", avro.id], ["json", json.id], ["proto", proto.id]]) {
    const data = await registry.encode(id, ROW);
    found.data[name] = data.toString("base64");
    const row = await reader.decode(data);
    found.read.push({ ID: Number(row.ID), ITEM: row.ITEM });
  }
  console.log(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
