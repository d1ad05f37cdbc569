"""LongBench's metrics: how well an answer answers, from 0 to 1.

As its `metrics.py` and `eval.py` have them (https://github.com/THUDM/LongBench), ROUGE by the
package that it uses itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rouge import Rouge

from s3_retriever.evaluate.metrics import normalise, token_f1

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from longbench_tasks import Item, Metric

_NUMBER = re.compile(r"\d+")


def score(item: Item, answer: str) -> float:
    """The best score of an answer over the item's right ones."""
    if item.task.examples:
        answer = answer.lstrip("\n").partition("\n")[0]
    if item.task.metric == "classification":
        return max(classification(answer, right, item.classes) for right in item.answers)
    measure = METRICS[item.task.metric]
    return max(measure(answer, right) for right in item.answers)


def f1(answer: str, right: str) -> float:
    """F1 of normalised words; 0 where either has none."""
    return token_f1(answer, [right]) if normalise(right) else 0.0


def rouge_l(answer: str, right: str) -> float:
    """F1 of ROUGE-L over sentences (Lin 2004); 0 for an empty answer."""
    try:
        (found,) = Rouge(metrics=["rouge-l"]).get_scores(answer, right)
    except (ValueError, RecursionError):  # empty, or one sentence without an end
        return 0.0
    return float(found["rouge-l"]["f"])


def share_of_numbers(answer: str, right: str) -> float:
    """Which share of the numbers in an answer is the one of the right answer."""
    (gold,) = _NUMBER.findall(right)[:1]
    said = _NUMBER.findall(answer)
    return said.count(gold) / len(said) if said else 0.0


def classification(answer: str, right: str, classes: Sequence[str]) -> float:
    """One over the number of classes that an answer names, if the right one is among them.

    Classes whose name is a part of the right one's do not count.
    """
    named = [name for name in classes if name in answer]
    named = [name for name in named if name == right or name not in right]
    return 1 / len(named) if right in named else 0.0


METRICS: Mapping[Metric, Callable[[str, str], float]] = {
    "f1": f1,
    "rouge": rouge_l,
    "retrieval": share_of_numbers,
    "count": share_of_numbers,
}
"""Those that compare an answer with a right one alone."""
