"""What both nodes tell subscribers of the same blocks."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.differential.anvil import transfer_data
from tests.differential.comparing import Comparison
from tests.differential.conversation import ALICE, BOB, mine, transaction

SECONDS_MAX = 20.0


class Subscriber:
    """One connection, its subscriptions by name."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._names: dict[str, str] = {}
        self._early: list[dict[str, Any]] = []

    def ask(self, method: str, parameters: list[Any]) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        self._socket.send(json.dumps(body))
        while True:
            message = json.loads(self._socket.recv(SECONDS_MAX))
            if "id" in message:
                return {key: message[key] for key in ("result", "error") if key in message}
            self._early.append(message)

    def subscribe(self, name: str, parameters: list[Any]) -> dict[str, Any]:
        """The answer, its subscription called by that name from now on."""
        answer = self.ask("eth_subscribe", parameters)
        if "result" in answer:
            self._names[answer["result"]] = name
            answer["result"] = name
        return answer

    def unsubscribe(self, name: str) -> dict[str, Any]:
        known = [key for key, value in self._names.items() if value == name]
        return self.ask("eth_unsubscribe", [*known, name][:1])

    def told(self, count: int) -> dict[str, list[Any]]:
        """So many notifications, by subscription, in the order in which they came."""
        found: dict[str, list[Any]] = {}
        for _ in range(count):
            early = self._early
            message = early.pop(0) if early else json.loads(self._socket.recv(SECONDS_MAX))
            what = message["params"]
            found.setdefault(self._names[what["subscription"]], []).append(what["result"])
        return found


def subscribe(talk: Comparison) -> None:
    """Heads, logs and what waits, over blocks with logs and without; then no more."""
    with contextlib.ExitStack() as stack:
        urls = (talk.pair.ghost, talk.pair.anvil)
        sockets = [connect(url.replace("http://", "ws://"), max_size=None) for url in urls]
        compare_notifications(talk, [Subscriber(stack.enter_context(one)) for one in sockets])


def compare_notifications(talk: Comparison, subscribers: list[Subscriber]) -> None:
    token = talk.pair.addresses["token"]
    talk.ask("evm_setAutomine", False)
    wanted = {
        "heads": ["newHeads"],
        "logs": ["logs", {"address": token}],
        "no logs": ["logs", {"address": token, "topics": [["0x" + "12" * 32]]}],
        "waiting": ["newPendingTransactions"],
        "nonsense": ["nonsense"],
    }
    for name, parameters in wanted.items():
        answers = [one.subscribe(name, parameters) for one in subscribers]
        talk.compare("eth_subscribe", parameters, *answers)
    sent = {"to": token, "data": transfer_data(BOB, 5), "value": "0x0"}
    for count in (2, 0, 1):
        for _ in range(count):
            talk.ask("eth_sendTransaction", transaction(ALICE, **sent))
        mine(talk)
        # A head, and of each transaction that it waits and its log.
        told = [{"result": one.told(1 + 2 * count)} for one in subscribers]
        talk.compare("eth_subscribe", ["told"], *told)
    for name in (*wanted, "heads"):
        answers = [one.unsubscribe(name) for one in subscribers]
        talk.compare("eth_unsubscribe", [name], *answers)
    talk.ask("evm_setAutomine", True)
