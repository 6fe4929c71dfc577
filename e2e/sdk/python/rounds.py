"""Plays scenarios on many models one after the other, and reports all of them at once."""

import os
import traceback

from report import PROMPT, Seen, report

MODELS = os.environ["MODELS"].split()
# What to play of all there is.
CHOSEN = os.environ.get("SCENARIOS", "").split()


def prompt(scenario):
    """A prompt that tells the provider which scenario this is."""
    return f"[{scenario}] {PROMPT}"


class Round(Seen):
    """What was seen in one scenario on one model."""

    def __init__(self, model, scenario):
        super().__init__()
        self.model = model
        self.scenario = scenario
        self.prompt = prompt(scenario.partition("_")[0])
        self.form = None  # of a structured answer
        self.carried = False  # the message shows what is to come back with it

    def as_dict(self):
        return super().as_dict() | {
            "model": self.model,
            "scenario": self.scenario,
            "form": self.form,
            "carried": self.carried,
        }


def rounds(scenarios):
    """All rounds: each scenario is a function of a Round, whose name says which it is."""
    for model in MODELS:
        for scenario in scenarios:
            name = scenario.__name__
            if not CHOSEN or name in CHOSEN:
                yield Round(model, name), scenario


def fail(seen, error):
    """Keeps an exception and where it came from."""
    seen.fail(error)
    seen.error["message"] = str(error)
    seen.error["trace"] = traceback.format_exc(limit=-4)


def play(scenarios):
    played = []
    for seen, scenario in rounds(scenarios):
        try:
            scenario(seen)
        except Exception as error:  # each is a result
            fail(seen, error)
        played.append(seen.as_dict())
    report({"rounds": played})


async def play_async(scenarios):
    played = []
    for seen, scenario in rounds(scenarios):
        try:
            await scenario(seen)
        except Exception as error:  # each is a result
            fail(seen, error)
        played.append(seen.as_dict())
    report({"rounds": played})
