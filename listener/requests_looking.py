"""Handles requests about producers and open transactions: DescribeProducers, DescribeTransactions, ListTransactions."""

from __future__ import annotations

from typing import Any

from .broker import Body, Broker, Client, handles
from .protocol import ErrorCode, Request


@handles("describe_producers")
async def describe_producers(broker: Broker, client: Client, request: Request) -> Body:
    """DescribeProducers: the producers with an id that have written to partitions."""
    answers = []
    for topic in request.body.topics:
        name, items = str(topic.name), []
        config = broker.access.topic(name)
        for partition in map(int, topic.partition_indexes):
            code, producers = ErrorCode.none, []
            if not broker.may(client, "read", "topic", name):
                code = ErrorCode.topic_authorization_failed
            elif config is None or not 0 <= partition < config.partitions:
                code = ErrorCode.unknown_topic_or_partition
            else:
                producers = [
                    {
                        "producer_id": producer_id,
                        "producer_epoch": epoch,
                        "last_sequence": last,
                        "last_timestamp": -1,
                        "coordinator_epoch": -1,
                        "current_txn_start_offset": -1,  # what is open is not in the log yet
                    }
                    for producer_id, epoch, last in broker.producers.of((name, partition))
                ]
            items.append(
                {"partition_index": partition, "error_code": code, "error_message": None, "active_producers": producers}
            )
        answers.append({"name": name, "partitions": items})
    return {"topics": answers}


@handles("list_transactions")
async def list_transactions(broker: Broker, client: Client, request: Request) -> Body:
    """ListTransactions: transactional ids with their states."""
    wanted = {str(s) for s in request.body.state_filters}
    producers = {int(p) for p in request.body.producer_id_filters}
    found = [
        {"transactional_id": seen.name, "producer_id": seen.producer_id, "transaction_state": seen.state}
        for seen in broker.transactions.all()
        if broker.may(client, "read", "transactional_id", seen.name)
        and (not wanted or seen.state in wanted)
        and (not producers or seen.producer_id in producers)
    ]
    states = {"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"}
    return {
        "error_code": ErrorCode.none,
        "unknown_state_filters": sorted(wanted - states),
        "transaction_states": found,
    }


@handles("describe_transactions")
async def describe_transactions(broker: Broker, client: Client, request: Request) -> Body:
    """DescribeTransactions: transactional ids with the partitions of their transactions."""
    known = {seen.name: seen for seen in broker.transactions.all()}
    answers = []
    for name in map(str, request.body.transactional_ids):
        seen = known.get(name)
        answer: dict[str, Any] = {
            "error_code": ErrorCode.none,
            "transactional_id": name,
            "transaction_state": "",
            "transaction_timeout": 0,
            "transaction_start_time": -1,
            "producer_id": -1,
            "producer_epoch": -1,
            "topics": (),
        }
        if not broker.may(client, "read", "transactional_id", name):
            answer["error_code"] = ErrorCode.transactional_id_authorization_failed
        elif seen is None:
            answer["error_code"] = ErrorCode.transactional_id_not_found
        else:
            topics: dict[str, list[int]] = {}
            for topic, partition in sorted(seen.places):
                if broker.may(client, "read", "topic", topic):
                    topics.setdefault(topic, []).append(partition)
            answer.update(
                transaction_state=seen.state,
                transaction_timeout=seen.timeout_ms,
                transaction_start_time=seen.began_ms,
                producer_id=seen.producer_id,
                producer_epoch=seen.epoch,
                topics=[{"topic": topic, "partitions": partitions} for topic, partitions in topics.items()],
            )
        answers.append(answer)
    return {"transaction_states": answers}
