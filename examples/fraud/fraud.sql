-- Payments by card, and what was tried at the terminals: two in different countries within ten minutes is a fraud.
CREATE STREAM IF NOT EXISTS payments (card STRING KEY, id INT, country STRING, cents BIGINT)
    WITH (KAFKA_TOPIC = 'payments', PARTITIONS = 4, VALUE_FORMAT = 'JSON');
CREATE STREAM IF NOT EXISTS terminals (card STRING KEY, terminal STRING, country STRING)
    WITH (KAFKA_TOPIC = 'terminals', PARTITIONS = 4, VALUE_FORMAT = 'JSON');

CREATE STREAM IF NOT EXISTS suspicious AS
    SELECT p.card AS card, p.id AS payment, p.country AS paid_in, t.country AS used_in, t.terminal AS terminal, p.cents AS cents
    FROM payments p INNER JOIN terminals t WITHIN 10 MINUTES GRACE PERIOD 1 MINUTE ON p.card = t.card
    WHERE p.country <> t.country;

CREATE TABLE IF NOT EXISTS alarms AS
    SELECT card, COUNT(*) AS alarms, SUM(cents) AS cents
    FROM suspicious WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 5 MINUTES)
    GROUP BY card;
