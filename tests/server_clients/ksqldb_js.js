// Every call of npm's ksqldb-js; prints one JSON object.
const ksqldb = require("ksqldb-js");

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return { name: error.name, type: error["@type"], code: error.error_code };
  }
  return null;
}

async function main() {
  const [url, API, secret, ca] = process.argv.slice(2);
  const settings = { ksqldbURL: url };
  if (API) Object.assign(settings, { API, secret });
  if (ca) settings.httpsAgent = { ca: require("fs").readFileSync(ca) };
  const client = new ksqldb(settings);
  const found = {};
  found.created = (await client.createStream("made", ["id INT KEY", "v INT"], "made", "json", 1)).data;
  client.createTable("made_table", ["id INT PRIMARY KEY", "v INT"], "made_table", "json", 1); // it gives no promise
  found.streamAs = await client.createStreamAs(
    "large", ["id", "v"], "made", { kafka_topic: "large", value_format: "json", partitions: 1 }, "v > 1", "PARTITION BY id "
  );
  found.tableAs = (await client.createTableAs(
    "counted", "made", ["id", "COUNT(*) AS n", "SUM(v) AS total"], { topic: "counted" },
    { WHERE: "v > 0", GROUP_BY: "id", HAVING: "COUNT(*) > 0" }
  )).data;
  found.rows = [];
  found.header = null;
  let enough;
  const pushed = new Promise((resolve) => (enough = resolve));
  const queryId = await client.push("SELECT id, v FROM made EMIT CHANGES;", (chunk) => {
    const value = JSON.parse(chunk);
    if (!found.header) found.header = value;
    else found.rows.push(value);
    if (found.rows.length === 3) enough();
  });
  found.inserted = await client.insertStream("made", [{ id: 1, v: 1 }, { id: 1, v: 2 }, { id: 2, v: 3 }]);
  await pushed;
  found.terminated = await client.terminate(queryId);
  for (let tries = 0; tries < 600; tries++) {
    found.pulled = await client.pull("SELECT * FROM counted WHERE id = 1;");
    if (found.pulled.length > 1 && found.pulled[1][1] === 2) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  found.fromTo = await client.pullFromTo("made", "Europe/Paris", ["2020-01-01", "00", "00", "00"]);
  found.listed = await client.ksql("LIST STREAMS;");
  found.failed = await failure(() => client.ksql("CREATE NONSENSE;"));
  found.notPulled = await failure(() => client.pull("SELECT * FROM nowhere;"));
  if (!ca && !API) {
    found.info = (await client.inspectServerInfo()).data;
    found.health = (await client.inspectServerHealth()).data;
    found.cluster = (await client.inspectClusterStatus()).data;
    found.valid = (await client.isValidProperty("auto.offset.reset")).data;
    found.invalid = await failure(() => client.isValidProperty("no.such.property"));
    found.status = (await client.inspectQueryStatus(found.created[0].commandId)).data;
    found.noStatus = await failure(() => client.inspectQueryStatus("stream/NOTHING/create"));
    found.ended = (await client.terminateCluster(["made_table"])).data;
  }
  console.log(JSON.stringify(found));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
