"""Rules of PROTOCOL.md, each with the function that checks it."""

from dataclasses import dataclass
from typing import Callable


@dataclass
class Rule:
    section: str
    text: str
    run: Callable
    within: float


class Rules:
    def __init__(self):
        self.all = []

    def __call__(self, section, text, within=60):
        def add(run):
            self.all.append(Rule(section, text, run, within))
            return run
        return add
