// What Cube's driver for ksqlDB does before rows are read from Kafka; prints one JSON object.
const { KsqlDriver } = require("@cubejs-backend/ksql-driver");

async function main() {
  const driver = new KsqlDriver({ url: process.argv[2], username: "ada", password: "secret" });
  await driver.testConnection();
  const found = {};
  found.tables = await driver.fetchTables();
  found.schema = await driver.tablesSchema();
  await driver.query("CREATE TABLE `CUBE-ROLLUP` WITH (KAFKA_TOPIC='CUBE-ROLLUP') AS SELECT item, COUNT(*) AS n FROM orders GROUP BY item");
  found.columns = await driver.tableColumnTypes("CUBE-ROLLUP");
  found.download = await driver.downloadTable("CUBE-ROLLUP", { streamOffset: "earliest" });
  found.dropped = await driver.dropTable("CUBE-ROLLUP");
  console.log(JSON.stringify(found));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
