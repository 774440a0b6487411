-- Lines of a web server's access log, taken apart by SQL.
SET 'auto.offset.reset' = 'earliest';
DEFINE pattern = '^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) ([^ ?"]+)\S* [^"]*" (\d{3}) (\d+|-)';

CREATE STREAM lines (line STRING) WITH (KAFKA_TOPIC = 'lines', PARTITIONS = 1);

-- A request happened at the time its line says, not when we read it.
CREATE STREAM requests WITH (TIMESTAMP = 'happened') AS
    SELECT REGEXP_EXTRACT('${pattern}', line, 1) AS host,
           PARSE_TIMESTAMP(REGEXP_EXTRACT('${pattern}', line, 2), 'dd/MMM/yyyy:HH:mm:ss Z') AS happened,
           REGEXP_EXTRACT('${pattern}', line, 3) AS verb,
           REGEXP_EXTRACT('${pattern}', line, 4) AS path,
           CAST(REGEXP_EXTRACT('${pattern}', line, 5) AS INT) AS status,
           CAST(REPLACE(REGEXP_EXTRACT('${pattern}', line, 6), '-', '0') AS BIGINT) AS bytes
    FROM lines
    WHERE REGEXP_EXTRACT('${pattern}', line) IS NOT NULL;

-- Nothing is lost: what cannot be taken apart is kept as it is.
CREATE STREAM other_lines AS
    SELECT line FROM lines WHERE REGEXP_EXTRACT('${pattern}', line) IS NULL;

CREATE TABLE errors_per_minute AS
    SELECT status, COUNT(*) AS errors, LATEST_BY_OFFSET(path) AS last_path
    FROM requests
    WINDOW TUMBLING (SIZE 1 MINUTE, RETENTION 7 DAYS, GRACE PERIOD 1 DAY)
    WHERE status >= 500
    GROUP BY status;

CREATE TABLE paths AS
    SELECT path, COUNT(*) AS requests, SUM(bytes) AS bytes, COUNT_DISTINCT(host) AS hosts
    FROM requests GROUP BY path;
