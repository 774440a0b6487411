-- Order validation as streams, after the example that runs through Ben Stopford's "Designing Event-Driven Systems":
-- orders are events; three services look at each of them; the order is confirmed when all three have passed it.
SET 'auto.offset.reset' = 'earliest';

CREATE STREAM orders (id STRING KEY, customer STRING, product STRING, quantity INT, price_cents INT)
    WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 2);
CREATE STREAM payments (id STRING KEY, order_id STRING, amount_cents INT, approved BOOLEAN)
    WITH (KAFKA_TOPIC = 'payments', PARTITIONS = 2);
CREATE TABLE customers (id STRING PRIMARY KEY, name STRING, email STRING, level STRING)
    WITH (KAFKA_TOPIC = 'customers', PARTITIONS = 2);
CREATE TABLE stock (product STRING PRIMARY KEY, units INT) WITH (KAFKA_TOPIC = 'stock', PARTITIONS = 2);

-- What each service thinks of an order: one stream, written by three queries.
CREATE STREAM validations (order_id STRING KEY, service STRING, passed BOOLEAN)
    WITH (KAFKA_TOPIC = 'validations', PARTITIONS = 2);

INSERT INTO validations WITH (QUERY_ID = 'inventory_service')
    SELECT o.id AS order_id, 'inventory' AS service,
           CASE WHEN s.units IS NULL THEN false ELSE o.quantity <= s.units END AS passed
    FROM orders o LEFT JOIN stock s ON o.product = s.product
    PARTITION BY o.id;

INSERT INTO validations WITH (QUERY_ID = 'fraud_service')
    SELECT id AS order_id, 'fraud' AS service, quantity * price_cents < 200000 AS passed
    FROM orders;

INSERT INTO validations WITH (QUERY_ID = 'payment_service')
    SELECT order_id, 'payment' AS service, approved AS passed
    FROM payments
    PARTITION BY order_id;

-- The state of every order: what it is, and how far its validation has come.
CREATE TABLE order_details AS
    SELECT id, LATEST_BY_OFFSET(customer) AS customer, LATEST_BY_OFFSET(product) AS product,
           LATEST_BY_OFFSET(quantity) AS quantity, LATEST_BY_OFFSET(quantity * price_cents) AS total_cents
    FROM orders GROUP BY id;

CREATE TABLE verdicts AS
    SELECT order_id, SUM(CASE WHEN passed THEN 1 ELSE 0 END) AS passed, SUM(CASE WHEN passed THEN 0 ELSE 1 END) AS failed
    FROM validations GROUP BY order_id;

CREATE TABLE order_status AS
    SELECT d.id AS id, d.customer AS customer, d.product AS product, d.quantity AS quantity, d.total_cents AS total_cents,
           CASE WHEN v.failed > 0 THEN 'REJECTED' WHEN v.passed = 3 THEN 'CONFIRMED' ELSE 'PENDING' END AS status
    FROM order_details d LEFT JOIN verdicts v ON d.id = v.order_id;

-- Who is written to: orders, their payments and the customers, joined.
CREATE STREAM emails AS
    SELECT o.customer AS customer, o.id AS order_id, c.email AS email,
           'Dear ' || c.name || ', your payment for ' || o.product ||
               CASE WHEN p.approved THEN ' has arrived.' ELSE ' was declined.' END AS message
    FROM orders o
    JOIN payments p WITHIN 1 HOUR GRACE PERIOD 10 MINUTES ON o.id = p.order_id
    JOIN customers c ON o.customer = c.id;
