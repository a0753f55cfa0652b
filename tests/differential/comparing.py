"""Questions put to both nodes, answers compared member by member."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.differential.anvil import Pair, post
from tests.differential.reasons import DIFFERENCES, Difference, Refused, reason_for

ABSENT = "absent"


def named(value: Any, names: Mapping[str, str]) -> Any:
    """The value, strings that have a name replaced by it."""
    if isinstance(value, dict):
        return {names.get(key, key): named(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [named(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def differences(ghost: Any, anvil: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, ghostd's, anvil's) for each member that is not the same."""
    if isinstance(ghost, dict) and isinstance(anvil, dict):
        for key in sorted(ghost.keys() | anvil.keys()):
            yield from differences(
                ghost.get(key, ABSENT), anvil.get(key, ABSENT), f"{path}.{key}".lstrip(".")
            )
    elif isinstance(ghost, list) and isinstance(anvil, list) and len(ghost) == len(anvil):
        for index, pair in enumerate(zip(ghost, anvil, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif ghost != anvil:
        yield path, ghost, anvil


def answers_differ(ghost: Any, anvil: Any) -> Iterator[tuple[str, Any, Any]]:
    """As `differences` of two answers; one at `refusal` where only one of them is an error."""
    if ("error" in ghost) is ("error" in anvil):
        yield from differences(ghost, anvil)
    else:
        yield (
            "refusal",
            Refused(ghost["error"]) if "error" in ghost else ghost["result"],
            Refused(anvil["error"]) if "error" in anvil else anvil["result"],
        )


@dataclass(slots=True)
class Comparison:
    """What was asked of a pair, and what of it has no reason to differ. entries: the reasons that
    count. told: chapters of a story that this process has told."""

    pair: Pair
    entries: Sequence[Difference] = DIFFERENCES
    count: int = 0
    asked: set[str] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    unexplained: list[str] = field(default_factory=list)
    ghost_names: dict[str, str] = field(default_factory=dict)  # hash of a block -> its name
    anvil_names: dict[str, str] = field(default_factory=dict)

    def learn_blocks(self) -> None:
        """Both nodes' hashes of blocks have names from now on."""
        ghost_names, anvil_names = self.pair.block_hashes(
            self.ghost_names.keys() | self.anvil_names.keys()
        )
        self.ghost_names |= ghost_names
        self.anvil_names |= anvil_names

    def ask(self, method: str, *parameters: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both answers, compared; `hash of block N` stands for each node's own."""
        pair = self.pair
        answers = (
            post(pair.ghost, method, named(parameters, reverse(self.ghost_names))),
            post(pair.anvil, method, named(parameters, reverse(self.anvil_names))),
        )
        self.compare(method, parameters, *answers)
        return answers

    def compare(self, method: str, parameters: Any, ghost: Any, anvil: Any) -> None:
        """Takes note of each member that differs, and of its reason."""
        self.count += 1
        self.asked.add(method)
        own, other = named(ghost, self.ghost_names), named(anvil, self.anvil_names)
        for path, ours, theirs in answers_differ(own, other):
            index = reason_for(method, path, ours, theirs, parameters, self.entries)
            if index is None:
                self.unexplained.append(
                    f"{method}{tuple(parameters)!r:.300}: {path}: "
                    f"{ours!r:.200} is not {theirs!r:.200}"
                )
            else:
                self.used.add(index)

    def require_same(self) -> None:
        """Raises: AssertionError that lists what differs without a reason."""
        unexplained, self.unexplained = self.unexplained, []
        assert not unexplained, f"{len(unexplained)} differ:\n" + "\n".join(unexplained[:200])

    def idle(self) -> list[str]:
        """The reasons that nothing needed, but for the rare ones."""
        return [
            f"{entry.methods} {entry.paths}: {entry.why}"
            for index, entry in enumerate(DIFFERENCES)
            if index not in self.used and not entry.is_rare
        ]


def reverse(names: Mapping[str, str]) -> dict[str, str]:
    return {name: value for value, name in names.items()}
