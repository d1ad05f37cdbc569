"""The default model in LlamaIndex, where what it writes matters."""

from __future__ import annotations

import pytest
from llama_index.core import Document
from llama_index.core.output_parsers.base import StructuredOutput
from llama_index.core.query_engine import RetrieverQueryEngine, SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.question_gen.types import SubQuestion
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.tools import QueryEngineTool
from llama_index.core.types import BaseOutputParser

from llama_index.retrievers.s3 import EndogenousRetriever
from s3_retriever.errors import ModelMismatchError
from small_corpus import QUESTIONS, small_index

pytestmark = pytest.mark.slow

DAM = QUESTIONS[2]


@pytest.fixture(scope="module")
def retriever(default_backbone):
    return EndogenousRetriever(small_index(default_backbone), similarity_top_k=1)


@pytest.fixture(scope="module")
def llm(retriever):
    return retriever.as_llm(max_new_tokens=4)


def key(results):
    return [(result.node.node_id, result.score) for result in results]


def test_a_query_engine_answers_from_what_it_found(retriever):
    engine = RetrieverQueryEngine.from_args(retriever, llm=retriever.as_llm(max_new_tokens=16))
    response = engine.query(DAM)
    assert key(response.source_nodes) == key(retriever.retrieve(DAM))
    assert "1934" in response.source_nodes[0].text
    assert "1934" in response.response


class Lines(BaseOutputParser):
    """Each line of what the model writes is a question for the next tool."""

    def __init__(self):
        self.parsed = []

    def parse(self, output):
        lines = output.strip().splitlines()
        tools = ("lighthouse", "river")
        parts = [
            SubQuestion(sub_question=line, tool_name=tool)
            for line, tool in zip(lines, tools, strict=False)
        ]
        self.parsed.append(parts)
        return StructuredOutput(raw_output=output, parsed_output=parts)


PARTS = """\
Question: Who wrote Hamlet, and when was Paris founded?
Parts:
Who wrote Hamlet?
When was Paris founded?

Question: How tall is the tower, and where does the road end?
Parts:
How tall is the tower?
Where does the road end?

Question: {query_str}
Parts:
"""


def test_sub_questions(retriever, llm):
    """A small model goes on with a pattern, where JSON would be asked of a large one."""
    plain = retriever.as_llm(
        max_new_tokens=32, stop=["\n\n"], messages_to_prompt=lambda messages: messages[0].content
    )
    lines = Lines()
    asks = LLMQuestionGenerator.from_defaults(
        llm=plain, prompt_template_str=PARTS, output_parser=lines
    )
    engine = retriever.as_query_engine(llm=llm)
    tools = [
        QueryEngineTool.from_defaults(engine, name=name, description=name)
        for name in ("lighthouse", "river")
    ]
    parts = SubQuestionQueryEngine.from_defaults(
        tools,
        llm=llm,
        question_gen=asks,
        response_synthesizer=get_response_synthesizer(llm=llm),
        use_async=False,
        verbose=False,
    )
    whole = "Who was the last keeper of the lighthouse, and when was the dam on the river finished?"
    response = parts.query(whole)
    assert response.response.strip()
    (asked,) = lines.parsed
    assert len(asked) == 2
    ids = {source.node.node_id for source in response.source_nodes}
    for part in asked:
        assert {id for id, _ in key(retriever.retrieve(part.sub_question))} <= ids
    assert {"lighthouse", "river"} <= {id.partition(":")[0] for id in ids}


def test_the_tokenizer_of_another_model_is_refused(retriever, tiny_tokenizer):
    model = retriever.index.backbone.model
    with pytest.raises(ModelMismatchError, match="belongs to the model"):
        EndogenousRetriever.from_documents(
            [Document(text="Text.")], model=model, tokenizer=tiny_tokenizer
        )
