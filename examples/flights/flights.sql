-- New York's departures of 2013 and the weather at its three airports, as streams.
-- Event time is the scheduled departure; for the weather, the time of the observation.
SET 'auto.offset.reset' = 'earliest';

CREATE STREAM flights (
    origin STRING KEY, dest STRING, carrier STRING, flight INT, tailnum STRING,
    dep_delay INT, arr_delay INT, air_time INT, distance INT
) WITH (KAFKA_TOPIC = 'flights', PARTITIONS = 2);

CREATE STREAM weather (
    origin STRING KEY, temp DOUBLE, wind_speed DOUBLE, precip DOUBLE, visib DOUBLE
) WITH (KAFKA_TOPIC = 'weather', PARTITIONS = 2);

CREATE TABLE airlines (carrier STRING PRIMARY KEY, name STRING) WITH (KAFKA_TOPIC = 'airlines', PARTITIONS = 2);
CREATE TABLE airports (faa STRING PRIMARY KEY, name STRING, lat DOUBLE, lon DOUBLE)
    WITH (KAFKA_TOPIC = 'airports', PARTITIONS = 2);
CREATE TABLE planes (tailnum STRING PRIMARY KEY, manufacturer STRING, model STRING, seats INT)
    WITH (KAFKA_TOPIC = 'planes', PARTITIONS = 2);

-- Tables that pull queries can ask.
CREATE TABLE airport_names AS SELECT faa, name FROM airports;
CREATE TABLE plane_models AS SELECT tailnum, manufacturer, model, seats FROM planes;

-- Stream-table join: every flight with the name of its airline.
CREATE STREAM named_flights AS
    SELECT f.carrier AS carrier, a.name AS airline, f.origin AS origin, f.dest AS dest, f.flight AS flight,
           f.dep_delay AS dep_delay
    FROM flights f JOIN airlines a ON f.carrier = a.carrier;

-- Tumbling windows: departures and delays per airline and hour.
CREATE TABLE airline_hours AS
    SELECT airline, COUNT(*) AS departures, COUNT(dep_delay) AS departed, SUM(dep_delay) AS delay, MAX(dep_delay) AS worst
    FROM named_flights
    WINDOW TUMBLING (SIZE 1 HOUR, RETENTION 400 DAYS, GRACE PERIOD 10 MINUTES)
    GROUP BY airline;

-- Stream-stream join: every flight with the observation at its airport in the hour up to its departure.
CREATE STREAM weather_flights AS
    SELECT f.origin AS origin, f.carrier AS carrier, f.flight AS flight, f.dep_delay AS dep_delay,
           w.temp AS temp, w.wind_speed AS wind_speed,
           CASE WHEN w.precip > 0 THEN 'rain or snow' WHEN w.visib < 3 THEN 'fog' ELSE 'dry' END AS sky
    FROM flights f JOIN weather w WITHIN (1 HOUR, 0 SECONDS) GRACE PERIOD 10 MINUTES ON f.origin = w.origin;

CREATE TABLE sky_delays AS
    SELECT sky, COUNT(*) AS departures, AVG(dep_delay) AS delay FROM weather_flights GROUP BY sky;

-- Session windows: an aircraft's working day ends when it has not left New York for eight hours.
CREATE TABLE aircraft_days AS
    SELECT tailnum, COUNT(*) AS departures, SUM(distance) AS miles, MAX(air_time) AS longest_minutes
    FROM flights
    WINDOW SESSION (8 HOURS, RETENTION 400 DAYS, GRACE PERIOD 10 MINUTES)
    WHERE tailnum IS NOT NULL
    GROUP BY tailnum;

-- A maintained table: one row per destination.
CREATE TABLE destinations AS
    SELECT dest, COUNT(*) AS departures, COUNT(*) - COUNT(dep_delay) AS cancelled, AVG(arr_delay) AS delay,
           MAX(distance) AS distance
    FROM flights
    GROUP BY dest;
