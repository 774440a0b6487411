-- A script as it runs on ksqlDB: topics that are on Kafka already, a table, a join, aggregates.
SET 'auto.offset.reset' = 'earliest';

CREATE TABLE customers (
    id VARCHAR PRIMARY KEY,
    name VARCHAR,
    country VARCHAR
) WITH (KAFKA_TOPIC = 'customers', VALUE_FORMAT = 'JSON');

CREATE STREAM orders (
    customer_id VARCHAR KEY,
    order_id BIGINT,
    amount DOUBLE,
    ordered_at BIGINT
) WITH (KAFKA_TOPIC = 'orders', VALUE_FORMAT = 'JSON', TIMESTAMP = 'ordered_at');

CREATE STREAM orders_enriched WITH (KAFKA_TOPIC = 'orders_enriched', VALUE_FORMAT = 'JSON') AS
    SELECT o.customer_id AS customer_id, o.order_id AS order_id, o.amount AS amount, c.name AS name, c.country AS country
    FROM orders o LEFT JOIN customers c ON o.customer_id = c.id
    EMIT CHANGES;

CREATE TABLE spend_per_customer WITH (KAFKA_TOPIC = 'spend_per_customer', VALUE_FORMAT = 'JSON') AS
    SELECT customer_id, COUNT(*) AS orders, SUM(amount) AS total
    FROM orders_enriched
    GROUP BY customer_id
    EMIT CHANGES;

CREATE TABLE orders_per_hour WITH (KAFKA_TOPIC = 'orders_per_hour', VALUE_FORMAT = 'JSON') AS
    SELECT country, COUNT(*) AS orders
    FROM orders_enriched WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 10 MINUTES)
    GROUP BY country
    EMIT CHANGES;
