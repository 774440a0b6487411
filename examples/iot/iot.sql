-- Readings of sensors: means per minute that are final two minutes later, and how long each sensor was busy.
CREATE STREAM IF NOT EXISTS readings (sensor STRING KEY, celsius DOUBLE)
    WITH (KAFKA_TOPIC = 'readings', PARTITIONS = 2, VALUE_FORMAT = 'JSON');

CREATE TABLE IF NOT EXISTS minutely AS
    SELECT sensor, AVG(celsius) AS celsius, MIN(celsius) AS coldest, MAX(celsius) AS hottest, COUNT(*) AS readings
    FROM readings WINDOW TUMBLING (SIZE 1 MINUTE, RETENTION 1 DAY, GRACE PERIOD 2 MINUTES)
    GROUP BY sensor EMIT FINAL;

CREATE TABLE IF NOT EXISTS busy AS
    SELECT sensor, COUNT(*) AS readings
    FROM readings WINDOW SESSION (30 SECONDS, RETENTION 1 DAY, GRACE PERIOD 2 MINUTES)
    GROUP BY sensor;
