"""A process that serves a directory to Kafka clients, ``serving.py DIRECTORY PORT``.  It prints a line when it does."""

from __future__ import annotations

import sys
import threading

import penstock

if __name__ == "__main__":
    with penstock.connect(sys.argv[1]) as database, penstock.broker(database, port=int(sys.argv[2])):
        print("ready", flush=True)
        threading.Event().wait()
