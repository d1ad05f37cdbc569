"""`evaluate`: every ranker on every set, question by question."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from s3_retriever.codec import JoinedCodes
from s3_retriever.engine.resolve import resolve_backbone
from s3_retriever.errors import InputError
from s3_retriever.evaluate.about import about
from s3_retriever.evaluate.answers import read_answers
from s3_retriever.evaluate.metrics import evidence_precision, evidence_recall, reciprocal_rank
from s3_retriever.evaluate.rankers.bench import Bench
from s3_retriever.evaluate.rankers.contenders import chosen
from s3_retriever.evaluate.rankers.hits import within
from s3_retriever.evaluate.results import BUDGETS, Cost, Evaluation, Run
from s3_retriever.searching.heat import HeatMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from s3_retriever.config import AnswerConfig, ScanConfig
    from s3_retriever.evaluate.rankers.contenders import Contender, Variant
    from s3_retriever.evaluate.rankers.hits import Hit
    from s3_retriever.fitting.depth import Depth
    from s3_retriever.labelled.sets import LabelledQuestion, LabelledSet
    from s3_retriever.searching.heat import Heat


def evaluate(
    sets: Sequence[LabelledSet],
    rankers: Iterable[str | Contender] | None = None,
    *,
    budgets: Sequence[int] = BUDGETS,
    model: Any = None,
    tokenizer: Any = None,
    bank: Any = None,
    depth: Depth | None = None,
    scan: ScanConfig | None = None,
    answers: bool | AnswerConfig = False,
    limit: int | None = None,
    heat: int = 0,
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Compare rankers on labelled questions.

    Every set is indexed once for all rankers; nothing is written to disk.

    Args:
        sets: See `s3_retriever.fitting.load_set` and `load_folder`.
        rankers: Names (see `contenders`) and contenders; None for the default ones.
        budgets: Characters of retrieved text at which recall and precision are measured.
        model: As for `EndogenousIndex.build`.
        tokenizer: Likewise.
        bank: Likewise.
        depth: Likewise.
        scan: How the model reads.
        answers: Let the model answer from what each ranker found; slow. True for the defaults of
            `AnswerConfig` with 32 new tokens.
        limit: At most so many questions of each set, evenly spread.
        heat: Keep the attention of tokens for so many questions of each set.
        seed: Of the bootstrap.
        progress: Show bars on standard error.

    Raises:
        InputError: no sets, an unknown ranker, a budget or a limit below 1.
        MissingExtraError: a ranker needs a package that is not installed.
    """
    sets, budgets = _checked(sets, budgets, limit)
    taking_part = chosen(rankers)
    backbone = resolve_backbone(model, tokenizer, progress)
    runs: list[Run] = []
    for labelled in sets:
        bench = Bench(labelled.documents, backbone, bank, scan, progress, depth)
        total = sum(len(contender.variants) for contender in taking_part)
        with tqdm(total=total, desc=labelled.name, unit="ranker", disable=not progress) as bar:
            for contender in taking_part:
                for variant in contender.variants:
                    bar.set_postfix_str(f"{contender.name} {variant.label}".strip())
                    run = _run(bench, labelled, contender, variant, budgets)
                    runs.append(
                        _with_token_attention(run, bench, labelled, heat) if contender.heat else run
                    )
                    bar.update()
    found = Evaluation(
        sets=sets,
        contenders=taking_part,
        runs=tuple(runs),
        budgets=budgets,
        seed=seed,
        about=about(backbone, bench.bank if _uses_bank(taking_part) else None),
    )
    return read_answers(found, backbone, answers, progress) if answers else found


def _uses_bank(contenders: Sequence[Contender]) -> bool:
    return any(contender.role != "baseline" for contender in contenders)


def _checked(
    sets: Sequence[LabelledSet], budgets: Sequence[int], limit: int | None
) -> tuple[tuple[LabelledSet, ...], tuple[int, ...]]:
    names = [labelled.name for labelled in sets]
    if not names or len(set(names)) < len(names):
        raise InputError("give at least one set, and each of them a name of its own")
    if not budgets or min(budgets) < 1:
        raise InputError(f"budgets={tuple(budgets)} is invalid: sizes in characters, 1 or more")
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit} is invalid: at least one question of each set")
    return tuple(_limited(labelled, limit) for labelled in sets), tuple(sorted(set(budgets)))


def _limited(labelled: LabelledSet, limit: int | None) -> LabelledSet:
    count = len(labelled.questions)
    if limit is None or count <= limit:
        return labelled
    kept = (labelled.questions[place * count // limit] for place in range(limit))
    return replace(labelled, questions=tuple(kept))


def _run(
    bench: Bench,
    labelled: LabelledSet,
    contender: Contender,
    variant: Variant,
    budgets: tuple[int, ...],
) -> Run:
    clock = bench.memo.clock
    begun = clock()
    ranker = variant.build(bench)
    ranker.rank(labelled.questions[0].question)
    ready = clock()
    found = [ranker.rank(question.question) for question in labelled.questions]
    cost = Cost(
        index_seconds=ready - begun,
        search_seconds=(clock() - ready) / len(found),
        bytes_per_token=ranker.nbytes / max(bench.tokens, 1),
    )
    return Run(
        ranker=contender.name,
        variant=variant.label,
        set=labelled.name,
        values=_measure(labelled.questions, found, budgets),
        hits=tuple(within(hits, max(budgets)) for hits in found),
        cost=cost,
    )


def _measure(
    questions: Sequence[LabelledQuestion],
    found: Sequence[Sequence[Hit]],
    budgets: tuple[int, ...],
) -> dict[str, np.ndarray]:
    pairs = [(hits, q.evidence) for hits, q in zip(found, questions, strict=True)]
    values = {
        f"{name}@{budget}": np.array([measure(*pair, budget) for pair in pairs])
        for name, measure in (("recall", evidence_recall), ("precision", evidence_precision))
        for budget in budgets
    }
    return {**values, "mrr": np.array([reciprocal_rank(*pair) for pair in pairs])}


def _with_token_attention(run: Run, bench: Bench, labelled: LabelledSet, most: int) -> Run:
    """Add the attention of each token in the hits of the first `most` questions."""
    asked = [question.question for question in labelled.questions[:most]]
    if not asked:
        return run
    heat_map = HeatMap(bench.documents, JoinedCodes(bench.codes()), bench.bank)
    heat: dict[int, tuple[Heat, ...]] = {
        number: heat_map.of(question.whole.queries, run.hits[number])
        for number, question in enumerate(bench.reader.questions(asked))
    }
    return replace(run, heat=heat)
