"""What the tests of this folder run against."""

from __future__ import annotations

from apache_kafka import ApacheKafka
from fault_proxy import FaultProxy


class Cluster:
    """The node, the proxy in front of it, and the address at which users with passwords log in."""

    def __init__(self, node: ApacheKafka, proxy: FaultProxy, sasl: str) -> None:
        self.node = node
        self.proxy = proxy
        self.address = proxy.address
        self.sasl = sasl
