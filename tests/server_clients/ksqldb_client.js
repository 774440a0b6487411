// Every call of npm's ksqldb-client; prints one JSON object.
const KsqldbClient = require("ksqldb-client");

async function main() {
  const [host, port] = [process.argv[2], Number(process.argv[3])];
  const client = new KsqldbClient({ host: `http://${host}`, port });
  await client.connect();
  const found = {};
  found.created = await client.executeStatement(
    "CREATE STREAM made (v INT) WITH (kafka_topic='made', partitions=1, value_format='json');"
  );
  found.failed = await client.executeStatement("CREATE NONSENSE;");
  found.streams = await client.listStreams();
  found.tables = await client.listTables();
  found.topics = await client.listTopics();
  found.queries = await client.listQueries();
  found.described = await client.describeSource("orders");
  found.pulled = await client.query("SELECT * FROM spend WHERE item = 'tea';");
  found.inserted = await client.insertInto("orders", { ID: 5, ITEM: "fig", EUROS: 1.5 });
  found.pushed = [];
  let queryId;
  const rows = new Promise((resolve) => {
    client.streamQuery(
      "SELECT * FROM orders EMIT CHANGES;",
      (data) => {
        if (data.metadata && data.metadata.queryId) queryId = data.metadata.queryId;
        for (const row of data.rows || []) found.pushed.push(row);
        if (found.pushed.length >= 3) resolve();
      },
      { streamsProperties: { "auto.offset.reset": "earliest" }, properties: { "auto.offset.reset": "earliest" } }
    );
  });
  await rows;
  found.closed = await client.terminatePushQuery(queryId);
  await client.disconnect();
  console.log(JSON.stringify(found));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
