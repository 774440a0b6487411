// npm's ksqldb: statements and sinks in one HTTP/2 session; prints one JSON object.  Its query() is not called: rows that
// have arrived together are one text for it.
import path from "path";
import { pathToFileURL } from "url";

const { Client } = await import(pathToFileURL(path.join(process.env.NODE_PATH, "ksqldb/dist/index.js")));
const found = {};
// its sinks close the stream whose acknowledgements they are still reading, which newer versions of Node take for a failure
process.on("unhandledRejection", (error) => {
  if (error.code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
});
const [url, user, password] = process.argv.slice(2);
const client = new Client(url, { user, password });

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return { code: error.error_code, status: error.headers && error.headers[":status"], message: error.message };
  }
  return null;
}

found.created = await client.execute("CREATE STREAM made (made_id INT KEY, v INT) WITH (kafka_topic='made', partitions=1, value_format='json');");
found.failed = await failure(() => client.execute("CREATE NONSENSE;"));
const sink = client.insert("made");
for (const v of [1, 2, 3]) await sink.emit({ MADE_ID: v, V: v * 10 }); // it takes what it reads at once for one
found.bad = await failure(() => sink.emit({ MADE_ID: "not a number" }));
await sink.close();
async function* more() {
  yield { MADE_ID: 4, V: 40 };
  yield { MADE_ID: 5, V: 50 };
}
await client.insert("made", more());
found.noTarget = await failure(() => client.insert("nowhere").emit({}));
await client.close();
console.log(JSON.stringify(found));
process.exit(0);
