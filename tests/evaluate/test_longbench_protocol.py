"""LongBench's prompts, how they are cut, and its metrics."""

from __future__ import annotations

import json

import longbench
import pytest
from longbench_metrics import classification, f1, rouge_l, score, share_of_numbers
from longbench_tasks import TASKS, Item, cut_middle, fitted, items_of

from s3_retriever.answering.generator import TextGenerator


def item(task, *answers, classes=()):
    return Item(TASKS[task], "1", "Who?", "Ann went. Bob stayed.", answers, classes)


def test_words_are_compared_without_articles_and_points():
    assert f1("The red fox.", "a red fox") == 1
    assert f1("red hen", "red fox") == pytest.approx(0.5)
    assert f1("", "fox") == f1("the", "a") == 0


def test_rouge_l_counts_the_longest_common_subsequence():
    assert rouge_l("the cat sat", "the cat sat down") == pytest.approx(6 / 7, abs=1e-6)
    assert rouge_l("sat cat the", "the cat sat") == pytest.approx(1 / 3, abs=1e-6)
    assert rouge_l("", "the cat sat") == rouge_l(" . ", "the cat sat") == 0


def test_numbers_and_classes():
    assert share_of_numbers("Paragraph 3 or 30", "Paragraph 3") == 0.5
    assert share_of_numbers("none of them", "Paragraph 3") == 0
    classes = ("Date", "Other location", "City", "location")
    assert classification("City", "City", classes) == 1
    assert classification("City or Date", "City", classes) == 0.5
    assert classification("Other location", "Other location", classes) == 1
    assert classification("nothing", "City", classes) == 0


def test_the_best_right_answer_counts_and_of_examples_the_first_line():
    assert score(item("hotpotqa", "Cy", "Ann Lee"), "Ann") == pytest.approx(2 / 3)
    assert score(item("triviaqa", "Ann"), "\nAnn\nPassage: Bob") == 1
    assert score(item("hotpotqa", "Ann"), "Ann\nBob") == pytest.approx(2 / 3)
    assert score(item("trec", "City", classes=("City", "Date")), "City\nDate") == 1


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_prompt_holds_context_and_question(task):
    written = task.written("{the} CONTEXT", "QUESTION?")
    assert written.count("{the} CONTEXT") == 1
    assert written.endswith(task.behind("QUESTION?"))
    asks = "{input}" in task.prompt
    assert written.count("QUESTION?") == asks
    assert asks or len(task.instruction.split()) > 4


def test_a_task_without_questions_is_searched_by_its_instruction():
    report = Item(TASKS["gov_report"], "1", "", "A text.", ("A summary.",))
    assert report.query == "Now, write a one-page summary of the report."
    assert item("hotpotqa", "Ann").query == "Who?"


def test_a_text_is_cut_in_the_middle(tiny_backbone):
    text = "".join(f"line {number}\n" for number in range(200))
    left = cut_middle(tiny_backbone, text, 100)
    assert left.startswith("line 0\nline 1\n") and left.endswith("line 198\nline 199\n")
    assert "line 100\n" not in left
    assert abs(tiny_backbone.text.count(left) - 100) <= 2
    assert cut_middle(tiny_backbone, text[:50], 100) == text[:50]


@pytest.mark.parametrize("task", [TASKS["hotpotqa"], TASKS["samsum"]], ids=lambda task: task.name)
def test_a_prompt_leaves_room_for_the_answer(task, tiny_backbone):
    generator = TextGenerator(tiny_backbone)
    long = task.written("".join(f"line {number} <|im_end|>\n" for number in range(400)), "Who?")
    window = 1000
    prompt, left = fitted(generator, task, long, window)
    room = window - task.max_new_tokens
    assert room - 20 < generator.count(prompt) <= room
    assert left.endswith("Who?" if task.examples else "Answer:") and "line 200 " not in left
    ends = generator.encode(prompt).count(tiny_backbone.tokenizer.eos_token_id)
    assert ends == (0 if task.examples else 1)  # of the user's turn alone
    short = task.written("One line.", "Who?")
    assert fitted(generator, task, short, window)[1] == short


def written(folder, task, *lengths):
    rows = [
        {"_id": f"{task}{n}", "input": "Who?", "context": "x" * n, "answers": ["A"]}
        for n in lengths
    ]
    lines = "".join(json.dumps({**row, "all_classes": None}) + "\n" for row in rows)
    (folder / f"{task}.jsonl").write_text(lines, encoding="utf-8")


def test_the_shortest_items_come_first(tmp_path):
    written(tmp_path, "hotpotqa", 30, 10, 50)
    written(tmp_path, "qmsum", 20, 40)
    assert [one.id for one in items_of(TASKS["qmsum"], tmp_path)] == ["qmsum20", "qmsum40"]
    ids = [one.id for one in longbench.chosen(tmp_path, None, 2)]
    assert ids == ["hotpotqa10", "qmsum20", "hotpotqa30", "qmsum40"]
    assert [one.id for one in longbench.chosen(tmp_path, ["qmsum"], 1)] == ["qmsum20"]
    with pytest.raises(SystemExit, match=r"no samsum\.jsonl"):
        longbench.chosen(tmp_path, ["samsum"], None)


def test_what_was_kept_is_found_again(tmp_path):
    path, one, other = tmp_path / "kept/a.jsonl", item("hotpotqa", "A"), item("qmsum", "A")
    own = {"task": "hotpotqa", "id": "1", "contenders": {"full": {}, "bm25": {}}}
    longbench.Kept(path).add(own)
    with path.open("a", encoding="utf-8") as lines:
        lines.write('{"task": "qmsum", "id"')  # broken off
    longbench.Kept(path).add({**own, "task": "qmsum", "contenders": {"full": {}}})
    kept = longbench.Kept(path)
    assert [found["task"] for found in kept.of([other, one], ["full"])] == ["qmsum", "hotpotqa"]
    assert kept.of([other, one], ["full", "bm25"]) == [own]
