# Everything a newcomer or CI runs.  `make demo` and `make test` need nothing but Python 3.11+ and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
# long runs: one part after the other, and what it covered is printed when it ends (pytest would keep each logged error of
# a part, and with its traceback a whole database: -p no:logging)
PARTS := -n $(WORKERS) --maxschedchunk 1

.PHONY: setup demo pictures examples test check lint types conformance bless sim flips crashes interrupts crash-points faults kafka-kills kafka-mutations foreign-kafka kafka kafka-jars test-kafka kill-demo bench sanitize clean server-clients http-fuzz console console-tools test-console console-screenshots

setup: $(STAMP)

$(STAMP): pyproject.toml $(wildcard build_tools/*.py kernels/source/*)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,demo]"
	@touch $(STAMP)

demo: setup
	$(BIN)/python examples/flights/demo.py

pictures: setup
	$(BIN)/python docs/pictures/make.py

examples: setup
	$(BIN)/python -m pytest tests/examples -q

# without the console's tests: their browser's event loop is in the way of others in the same process (make test-console)
test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -q --ignore=tests/console

# What decides the meaning of statements, under the tests that are about it, against floors that only rise: a minute of one core
.PHONY: coverage
COVERED := grammar engine/analysis engine/expressions engine/plan
coverage: setup
	$(BIN)/python -m pytest tests/unit/grammar tests/unit/engine/analysis tests/unit/engine/expressions \
	    tests/unit/engine/queries/test_plans.py tests/unit/engine/queries/test_plan_nodes.py \
	    -n $(WORKERS) -q $(COVERED:%=--cov=%) --cov-report=
	$(BIN)/python build_tools/coverage_floor.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy -p penstock
	$(BIN)/mypy tests/typing
	$(BIN)/basedpyright

check: lint types

.PHONY: docs reference
reference: setup
	$(BIN)/python build_tools/reference_pages.py

docs: setup
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs site

conformance: setup
	$(BIN)/python tests/conformance/gate.py

bless: setup
	$(BIN)/python -m pytest tests/golden_runner.py tests/unit/engine/queries/test_plans.py tests/unit/repl/test_golden.py -q --bless

sim: setup
	PENSTOCK_SIMULATIONS=2000 $(BIN)/python -m pytest tests/simulation -q

flips: setup
	PENSTOCK_FLIPS=all $(BIN)/python -m pytest tests/simulation/test_flips.py $(PARTS) -q -p no:logging

crashes: setup
	PENSTOCK_KILLS=500 $(BIN)/python -m pytest tests/simulation/test_kill.py $(PARTS) -q

faults: setup
	PENSTOCK_FAULTS=all $(BIN)/python -m pytest tests/simulation/test_disk_faults.py $(PARTS) -q -p no:logging

interrupts: setup
	PENSTOCK_INTERRUPTS=1000 $(BIN)/python -m pytest tests/simulation/test_interrupts.py $(PARTS) -q -s

crash-points: setup
	PENSTOCK_CRASHES=all $(BIN)/python -m pytest tests/simulation/test_engine_crashes.py -k every_operation $(PARTS) -q -p no:logging

kafka-kills: setup
	PENSTOCK_KAFKA_KILLS=100 $(BIN)/python -m pytest tests/kafka_clients/test_kill.py tests/kafka_clients/test_kill_java.py -q -s

kafka-mutations: setup
	PENSTOCK_KAFKA_MUTATIONS=100000 PENSTOCK_KAFKA_DROPS=5000 $(BIN)/python -m pytest \
	    tests/kafka_clients/test_mutated_requests.py tests/kafka_clients/test_other_clients.py -k "mutated or dropped" -q -s

# Apache Kafka's tools, clients and Streams from Maven Central, kafkajs from npm, checked against the checksums that are kept here
KAFKA_CLIENTS := $(CURDIR)/tests/kafka_clients

kafka-jars:
	mkdir -p build/kafka/jars
	cd build/kafka/jars && sha256sum --quiet --status --strict --check $(KAFKA_CLIENTS)/java/jars.sha256 || \
	    mvn -q -B -C -f $(KAFKA_CLIENTS)/java/pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
	    -DoutputDirectory=$(CURDIR)/build/kafka/jars || echo "Maven Central is not to be had"
	cd build/kafka/jars && sha256sum --quiet --strict --check $(KAFKA_CLIENTS)/java/jars.sha256 || rm -r $(CURDIR)/build/kafka/jars

# a single node of Apache Kafka 4, empty, at 127.0.0.1:9092 until Ctrl-C
kafka: setup kafka-jars
	$(BIN)/python tests/support/apache_kafka.py

# what only Apache Kafka can decide: tests over a node that they share, beside those that kill nodes of their own
test-kafka: setup kafka-jars
	$(BIN)/python tests/support/apache_kafka.py $(BIN)/python -m pytest tests/contracts/test_kafka_log.py \
	    tests/kafka_shared tests/kafka_faults tests/kafka_engine -n 2 --dist loadgroup -q -rs -k "not listener"

# all golden query scripts over Apache Kafka and our listener, of which test-kafka and test have a sample (some minutes)
.PHONY: golden-kafka
golden-kafka: setup kafka-jars
	PENSTOCK_KAFKA_GOLDEN=all $(BIN)/python tests/support/apache_kafka.py $(BIN)/python -m pytest \
	    tests/kafka_engine/test_golden.py -q

# the conformance kit over Apache Kafka: all cases (half an hour), and a sample of them for CI
.PHONY: conformance-kafka conformance-kafka-sample
conformance-kafka: setup kafka-jars
	$(BIN)/python tests/support/apache_kafka.py $(BIN)/python tests/conformance/kafka_gate.py

conformance-kafka-sample: setup kafka-jars
	$(BIN)/python tests/support/apache_kafka.py $(BIN)/python tests/conformance/kafka_gate.py --sample 100

# 200 kills and pauses of processes that share queries over Apache Kafka, of its broker and of both, and faults of the network
KILLS ?= 200
.PHONY: kafka-group-kills
kafka-group-kills: setup kafka-jars
	PENSTOCK_KAFKA=own PENSTOCK_KAFKA_SHARED_KILLS=$(KILLS) $(BIN)/python -m pytest tests/kafka_shared/test_kills.py -q -s

# Throughput with 1, 2 and 4 processes, how long a dead one is missed, and how long a row takes to its reader
.PHONY: bench-kafka
bench-kafka: setup kafka-jars
	$(BIN)/python -m benchmarks.kafka_scale
	$(BIN)/python -m benchmarks.kafka_scale --guarantee at_least_once --processes 1
	$(BIN)/python -m benchmarks.kafka_scale --failover
	$(BIN)/python -m benchmarks.kafka_latency

foreign-kafka: setup kafka-jars
	mkdir -p build/kafka/npm
	cp $(KAFKA_CLIENTS)/node/package.json $(KAFKA_CLIENTS)/node/package-lock.json build/kafka/npm
	-npm --prefix build/kafka/npm ci --no-audit --no-fund --ignore-scripts
	-$(MAKE) go-clients
	$(BIN)/python -m pytest tests/kafka_clients/test_java.py tests/kafka_clients/test_java_tools.py \
	    tests/kafka_clients/test_kill_java.py \
	    tests/kafka_clients/test_node.py tests/kafka_clients/test_go.py -q -rs

# franz-go, kafka-go and sarama, checked against go.sum
.PHONY: go-clients foreign-kafka-go
go-clients:
	mkdir -p build/kafka/go
	cd $(KAFKA_CLIENTS)/go && GOTOOLCHAIN=local go build -mod=readonly -o $(CURDIR)/build/kafka/go/ ./...

foreign-kafka-go: setup
	-$(MAKE) go-clients
	$(BIN)/python -m pytest tests/kafka_clients/test_go.py -q -rs

kill-demo: setup
	$(BIN)/python benchmarks/kill_demo.py

server-clients: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[clients]"
	mkdir -p build/npm
	-npm --prefix build/npm install --no-audit --no-fund --ignore-scripts ksqldb-client@1.0.5 \
	    @cubejs-backend/ksql-driver@1.7.43 ksqldb-js@1.1.2 ksqldb@0.0.1 @kafkajs/confluent-schema-registry@4.1.0
	$(BIN)/python -m pytest tests/server_clients -q -rs

# The web console's files.  Whoever changes its sources runs this (it takes node and npm) and commits what it writes.
console: setup
	$(BIN)/python build_tools/console_build.py

console-tools: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[console]"

test-console: console-tools
	$(BIN)/python -m pytest tests/console -n $(WORKERS) --dist loadgroup -q -rs

console-screenshots: console-tools
	$(BIN)/python -m pytest tests/console/screenshots.py -q -rs

http-fuzz: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[clients]"
	PENSTOCK_HTTP_FUZZ=100000 $(BIN)/python -m pytest tests/unit/server/test_hostile.py tests/server_clients/test_schemathesis.py -q -s

bench: setup
	$(BIN)/python -m benchmarks

SANITIZED := .sanitized/libkernels.so

sanitize: setup
	$(BIN)/python build_tools/kernel_compiler.py $(SANITIZED) --sanitize
	LD_PRELOAD=$$(cc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 PENSTOCK_KERNELS=$(CURDIR)/$(SANITIZED) \
	    $(BIN)/python -m pytest tests/unit/kernels tests/unit/storage/state -q -p no:cacheprovider

clean:
	rm -rf $(VENV) build .sanitized dist *.egg-info .demo-data

# SQLAlchemy's suite for dialects: some minutes; what the dialect has not is named in tests/sqlalchemy_suite, with reasons
.PHONY: test-sqlalchemy
test-sqlalchemy: setup
	$(BIN)/python tests/sqlalchemy_suite/run.py
