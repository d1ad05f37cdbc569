"""``s3-retriever demo``: Python's own language reference, read, kept and asked."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from s3_retriever.cli import common
from s3_retriever.documents import Document

if TYPE_CHECKING:
    import argparse

    from s3_retriever.engine import EndogenousIndex

EXAMPLES = """\
  s3-retriever demo
  s3-retriever demo --index .demo/index"""

QUESTIONS = (
    "In which order are the items of a dictionary display evaluated?",
    "When are default parameter values evaluated?",
    "When is the else clause of a for loop executed?",
)


def topics() -> list[Document]:
    """Return the Python language reference that ships with the interpreter, one document each."""
    from pydoc_data.topics import topics as texts

    return [Document(id=name, text=text) for name, text in texts.items() if text.strip()]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument(
        "--index", default=".demo/index", metavar="FOLDER", help="where it is kept (%(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> int:
    """Build or open the index, and ask three questions."""
    index = _index(args)
    stats = index.stats
    saved = stats.kv_bytes / stats.index_bytes
    print(
        f"\nThe index takes {stats.bytes_per_token:.0f} bytes a token, "
        f"{stats.index_bytes / 2**20:.1f} MiB in all. A full KV cache of these "
        f"{stats.tokens:,} tokens\nwould take {stats.kv_bytes_per_token:,} bytes a token, "
        f"{stats.kv_bytes / 2**30:.2f} GiB: {saved:,.0f} times as much, on the accelerator. "
        f"The scan reads layers 0 to {stats.deepest_layer}\nof {stats.layers}.\n\n"
        "Behind each span stands how likely it holds an answer, in per cent, and how far it is "
        "above the mean\nsentence, in standard deviations: by the model's attention (S3), by words "
        "in common (BM25), by what it\nmeans, by how well the whole document fits, by the best of "
        "its document, and by what the best spans\nlead to (hop).\n"
    )
    for question in QUESTIONS:
        _ask(index, question)
    words = "ask", args.index, "What does the yield expression do?"
    print("Ask your own:", common.command_line(*words))
    return 0


def _index(args: argparse.Namespace) -> EndogenousIndex:
    from s3_retriever.engine import EndogenousIndex
    from s3_retriever.engine.resolve import resolve_backbone
    from s3_retriever.storage import check_target, is_index

    check_target(args.index)
    begun = perf_counter()
    backbone = resolve_backbone(None, None, progress=True)
    print(f"model     {perf_counter() - begun:6.1f} s   SmolLM2-135M-Instruct, {backbone.dtype}")
    begun = perf_counter()
    if is_index(args.index):
        index = EndogenousIndex.load(args.index, model=backbone)
        print(f"open      {perf_counter() - begun:6.1f} s   {args.index}, saved by an earlier run")
        return index
    documents = topics()
    size = sum(len(document.text) for document in documents)
    print(f"reading {len(documents)} documents, {size:,} characters: the Python reference")
    index = EndogenousIndex.build(documents, model=backbone, progress=not args.quiet)
    report = index.stats.scan
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.stages.items())
    print(f"scan      {report.seconds:6.1f} s   {report.tokens_per_second:,.0f} tokens/s: {stages}")
    begun = perf_counter()
    index.save(args.index)
    print(f"save      {perf_counter() - begun:6.1f} s   {args.index}")
    return index


def _ask(index: EndogenousIndex, question: str) -> None:
    answer = index.stream_answer(question, k=6, max_new_tokens=48, stop=("\n\n",))
    print(f"Q  {question}\nA  ", end="", flush=True)
    for piece in answer:
        print(piece, end="", flush=True)
    print("\n\n" + "\n".join(common.span_lines(answer.spans)))
    seconds = answer.seconds
    print(
        f"\n   question read in {seconds['read']:.2f} s, searched in {seconds['search']:.2f} s, "
        f"answered in {seconds['answer']:.1f} s from a prompt of {answer.prompt_tokens} tokens\n"
    )
