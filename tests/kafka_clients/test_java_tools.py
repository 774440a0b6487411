"""Apache Kafka's command line tools, as they are, in one JVM: each works, or is refused by name.  None waits for ever."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import penstock

from .test_java import HERE, JARS, command

pytestmark = [
    pytest.mark.skipif(
        shutil.which("javac") is None or not JARS.is_dir(),
        reason="javac or build/kafka/jars is missing: `make foreign-kafka` fetches them where Maven Central is to be had",
    ),
    pytest.mark.xdist_group("java"),
]

PATIENCE_S = 200
CONFIG, TOOLS = "kafka.admin.ConfigCommand", "org.apache.kafka.tools"
ROUND_ROBIN = "org.apache.kafka.clients.producer.RoundRobinPartitioner"
GROUPS = f"{TOOLS}.consumer.group.ConsumerGroupCommand"


class Call(NamedTuple):
    """A tool with its arguments, and what it must print.  `refused` tools end with an error."""

    tool: str
    arguments: str
    printed: str
    refused: bool = False


WORKING = [
    Call(f"{TOOLS}.TopicCommand", "--create --topic t --partitions 2", r"Created topic t"),
    Call(
        f"{TOOLS}.ProducerPerformance", "--topic t --num-records 500 --record-size 10 --throughput -1", r"500 records sent"
    ),
    Call(f"{TOOLS}.GetOffsetShell", "--topic t", r"t:0:\d+\nt:1:\d+"),
    Call(f"{TOOLS}.GetOffsetShell", "--topic t --time earliest", r"t:0:0\nt:1:0"),
    Call(f"{TOOLS}.GetOffsetShell", "--topic t --time max-timestamp", r"t:\d:\d+"),
    Call(CONFIG, "--alter --entity-type topics --entity-name t --add-config retention.ms=100000", r"Completed updating"),
    Call(CONFIG, "--describe --entity-type topics --entity-name t", r"retention\.ms=100000"),
    Call(CONFIG, "--alter --entity-type topics --entity-name t --delete-config retention.ms", r"Completed updating"),
    Call(CONFIG, "--describe --entity-type topics --entity-name t --all", r"retention\.ms=-1 "),
    Call(CONFIG, "--describe --entity-type brokers --entity-name 1 --all", r"All configs for broker 1"),
    Call(CONFIG, "--alter --entity-type topics --entity-name t --add-config min.insync.replicas=2", r"InvalidConfig", True),
    Call(CONFIG, "--alter --entity-type brokers --entity-name 1 --add-config a=2", r"InvalidRequestException", True),
    Call(f"{TOOLS}.DeleteRecordsCommand", "--offset-json-file DELETIONS", r"partition: t-0\s+low_watermark: 1"),
    Call(f"{TOOLS}.LogDirsCommand", "--describe --topic-list t", r'"partition":"t-0"'),
    Call(f"{TOOLS}.TransactionsCommand", "list", r"TransactionalId"),
    Call(f"{TOOLS}.TransactionsCommand", "describe-producers --topic t --partition 0", r"ProducerId"),
    Call(f"{TOOLS}.TransactionsCommand", "describe --transactional-id nothing", r"could not be found", True),
    Call(f"{TOOLS}.TransactionsCommand", "find-hanging --broker-id 1", r"ProducerId"),
    Call(f"{TOOLS}.BrokerApiVersionsCommand", "", r"Produce\(0\): 3 to 11"),
    Call(f"{TOOLS}.ClusterTool", "cluster-id", r"Cluster ID: \S{22}"),
    Call(f"{TOOLS}.ClusterTool", "list-endpoints", r"1\s+127\.0\.0\.1"),
    Call(f"{TOOLS}.FeatureCommand", "describe", r""),
    Call(
        f"{TOOLS}.consumer.ConsoleConsumer",
        "--topic t --group g --from-beginning --max-messages 20",
        r"total of 20 messages",
    ),
    Call(f"{TOOLS}.ConsumerPerformance", "--topic t --messages 100 --timeout 60000", r"data\.consumed\.in\.MB"),
    Call(f"{TOOLS}.GroupsCommand", "--list", r"g\s+Classic"),
    Call(GROUPS, "--describe --all-groups", r"g\s+t\s+\d\s+\d+"),
    Call(GROUPS, "--list --state", r"g\s+\(?(Empty|Dead)"),
    Call(f"{TOOLS}.StreamsResetter", "--application-id g --input-topics t --force", r"Topic: t Partition: 0 Offset: 1"),
    Call(f"{TOOLS}.TopicCommand", "--delete --topic t", r""),
]
"""What an administrator does with topics, configs, transactions, groups and offsets."""
REFUSED = [
    (CONFIG, "--describe --entity-type users", "DESCRIBE_CLIENT_QUOTAS"),
    (CONFIG, "--alter --entity-type users --entity-name x --add-config SCRAM-SHA-256=[password=x]", "ALTER_USER_SCRAM"),
    (f"{TOOLS}.AclCommand", "--list", "DESCRIBE_ACLS"),
    (f"{TOOLS}.LeaderElectionCommand", "--election-type preferred --all-topic-partitions", "ELECT_LEADERS"),
    (f"{TOOLS}.reassign.ReassignPartitionsCommand", "--list", "LIST_PARTITION_REASSIGNMENTS"),
    (f"{TOOLS}.FeatureCommand", "upgrade --feature transaction.version=2", "UPDATE_FEATURES"),
    (f"{TOOLS}.MetadataQuorumCommand", "describe --status", "DESCRIBE_QUORUM"),
    (f"{TOOLS}.ClientMetricsCommand", "--list", "LIST_CONFIG_RESOURCES"),
    (f"{TOOLS}.DelegationTokenCommand", "--create --max-life-time-period -1 --command-config NOTHING", "DELEGATION_TOKEN"),
]
"""What is not spoken, with the request that the tool then names."""


@contextmanager
def one_jvm(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A JVM that runs tools one after the other."""
    subprocess.run(["javac", "-cp", f"{JARS}/*", "-d", str(folder), str(HERE / "java" / "Tools.java")], check=True)
    run = command("Tools", str(PATIENCE_S), classes=folder)
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def printed_by(process: subprocess.Popen[str], tool: str, arguments: list[str]) -> tuple[int, str]:
    """The exit code of a tool, and what it prints."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\t".join([tool, *arguments]) + "\n")
    process.stdin.flush()
    code, lines = map(int, process.stdout.readline().split())
    return code, "".join(process.stdout.readline() for _ in range(lines))


def test_every_tool_works_or_is_refused(address: str, database: penstock.Database, tmp_path: Path) -> None:
    """Topics, configs, records, transactions, groups; and what the broker does not speak is named."""
    deletions, nothing = tmp_path / "deletions.json", tmp_path / "nothing.properties"
    deletions.write_text(json.dumps({"version": 1, "partitions": [{"topic": "t", "partition": 0, "offset": 1}]}))
    nothing.write_text("")
    calls = WORKING + [Call(tool, arguments, pattern, True) for tool, arguments, pattern in REFUSED]
    with one_jvm(tmp_path / "classes") as process:
        for call in calls:
            words = [{"DELETIONS": str(deletions), "NOTHING": str(nothing)}.get(w, w) for w in call.arguments.split()]
            if "ProducerPerformance" in call.tool:
                words += ["--producer-props", f"bootstrap.servers={address}", "partitioner.class=" + ROUND_ROBIN]
            elif "ClusterTool" in call.tool:
                words += ["--bootstrap-server", address]
            else:
                words = ["--bootstrap-server", address, *words]
            code, printed = printed_by(process, call.tool, words)
            assert (code == 0) is not call.refused, f"{call}: {code}\n{printed}"
            assert re.search(call.printed, printed), f"{call}:\n{printed}"
    assert "t" not in database.log.topics()
