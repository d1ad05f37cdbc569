"""`as_tool`: what a model sees of it, what it may choose, and what it gets back."""

from __future__ import annotations

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tracers.base import BaseTracer
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field

from langchain_s3_retriever import EndogenousRetriever
from langchain_s3_retriever.chat import EndogenousChat
from s3_retriever.errors import InputError
from scripted import Scripted
from small_corpus import QUESTIONS

KEEPER, DOUGH, DAM = QUESTIONS


class Search(BaseModel):
    """Looks into the library."""

    question: str = Field(description="What to ask the library")
    k: int = Field(default=2, description="How many passages")
    filter: dict | None = Field(default=None, description="Which documents")


@pytest.fixture(scope="module")
def retriever(tiny_index):
    return EndogenousRetriever(index=tiny_index, k=3)


def schema_of(tool):
    return convert_to_openai_tool(tool)["function"]


def call(**arguments):
    return {"type": "tool_call", "id": "1", "name": "any", "args": arguments}


def texts_of(documents):
    return "\n\n".join(document.page_content for document in documents)


async def test_by_default_it_takes_a_question(retriever):
    tool = retriever.as_tool()
    schema = schema_of(tool)
    assert schema["name"] == "search_documents"
    assert schema["description"].startswith("Finds the passages")
    assert schema["parameters"]["required"] == list(schema["parameters"]["properties"]) == ["query"]
    assert schema["parameters"]["properties"]["query"]["type"] == "string"
    found = retriever.invoke(KEEPER)
    assert tool.invoke(KEEPER) == tool.invoke({"query": KEEPER}) == texts_of(found)
    message = await tool.ainvoke(call(query=KEEPER))
    assert (message.content, message.artifact) == (texts_of(found), found)


def test_name_and_description(retriever):
    tool = retriever.as_tool(name="library", description="Everything about lighthouses.")
    assert (tool.name, tool.description) == ("library", "Everything about lighthouses.")
    named = EndogenousRetriever(index=retriever.index, name="my_notes")
    assert named.as_tool().name == "my_notes"


async def test_a_schema_lets_a_model_choose_settings(retriever):
    tool = retriever.as_tool(Search, name="library")
    assert list(schema_of(tool)["parameters"]["properties"]) == ["question", "k", "filter"]
    assert tool.invoke(call(question=KEEPER)).artifact == retriever.invoke(KEEPER, k=2)
    food = {"topic": {"$eq": "food"}}
    message = tool.invoke(call(question=KEEPER, k=1, filter=food))
    assert message.artifact == retriever.invoke(KEEPER, k=1, filter=food)
    assert (await tool.ainvoke(call(question=KEEPER, k=1, filter=food))) == message


def test_what_a_model_leaves_out_is_the_retrievers_own(retriever):
    own = EndogenousRetriever(index=retriever.index, k=3, filter={"topic": "food"})
    for arguments in ({"question": KEEPER}, {"question": KEEPER, "filter": None}):
        found = own.as_tool(Search).invoke(call(**arguments)).artifact
        assert {document.metadata["source_id"] for document in found} == {"bread"}


def test_types_in_the_place_of_a_schema(retriever):
    tool = retriever.as_tool(arg_types={"words": str, "k": int})
    parameters = schema_of(tool)["parameters"]
    assert parameters["required"] == ["words", "k"]
    assert parameters["properties"]["k"]["type"] == "integer"
    assert tool.invoke({"words": DAM, "k": 1}) == texts_of(retriever.invoke(DAM, k=1))


@pytest.mark.parametrize(
    ("types", "given"), [({"k": int}, "none"), ({"query": str, "top_k": int}, "query, top_k")]
)
def test_arguments_that_no_search_has_are_refused(retriever, types, given):
    with pytest.raises(InputError, match=f"one argument for the question.*given: {given}"):
        retriever.as_tool(arg_types=types)


def test_what_is_wrong_with_a_call_is_told_to_the_model(retriever):
    tool = retriever.as_tool(Search)
    for arguments, said in (
        ({"question": " "}, "the question is empty"),
        ({"question": KEEPER, "k": 0}, "k=0 is invalid"),
        ({"question": KEEPER, "filter": {"topic": {"$near": 1}}}, r"unknown operator '$near'"),
    ):
        message = tool.invoke(call(**arguments))
        assert message.status == "error"
        assert said in message.content


class Retrievals(BaseTracer):
    """Keeps the retrievals below other runs."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def _persist_run(self, run):
        self.seen += [child.inputs for child in run.child_runs if child.run_type == "retriever"]


def test_a_tracer_sees_the_search_below_the_tool(retriever):
    tracer = Retrievals()
    retriever.as_tool().invoke({"query": DAM}, {"callbacks": [tracer]})
    assert tracer.seen == [{"query": DAM}]


async def test_in_an_agent_of_another_model(retriever):
    """Its turns are scripted: two calls at once, a bad one, and an answer."""

    class Other(GenericFakeChatModel):
        bound: list = []  # noqa: RUF012  # a pydantic field

        def bind_tools(self, tools, **kwargs):
            self.bound.extend(schema_of(tool)["name"] for tool in tools)
            return self

    calls = [
        {"type": "tool_call", "id": f"{n}", "name": "library", "args": arguments}
        for n, arguments in enumerate(
            [{"question": KEEPER}, {"question": DAM, "k": 1}, {"question": ""}]
        )
    ]
    model = Other(messages=iter([AIMessage("", tool_calls=calls), AIMessage("Done.")]))
    agent = create_agent(model, [retriever.as_tool(Search, name="library")])
    messages = (await agent.ainvoke({"messages": [HumanMessage("Go.")]}))["messages"]
    first, second, bad = (message for message in messages if isinstance(message, ToolMessage))
    assert model.bound and set(model.bound) == {"library"}
    assert first.artifact == retriever.invoke(KEEPER, k=2)
    assert second.content == texts_of(retriever.invoke(DAM, k=1))
    assert (bad.status, bad.artifact) == ("error", None)
    assert messages[-1].content == "Done."


def test_in_an_agent_of_the_retrievers_own_model(retriever):
    """What it writes is scripted; how its calls are read is not."""
    generator = Scripted(
        retriever.index.backbone,
        f'<tool_call>{{"name": "library", "arguments": {{"query": "{KEEPER}"}}}}</tool_call>',
        "Tomas Ferreira.",
    )
    agent = create_agent(EndogenousChat(generator=generator), [retriever.as_tool(name="library")])
    messages = agent.invoke({"messages": [HumanMessage("Who kept the light last?")]})["messages"]
    (result,) = (message for message in messages if isinstance(message, ToolMessage))
    assert result.artifact == retriever.invoke(KEEPER)
    assert messages[-1].content == "Tomas Ferreira."
    assert texts_of(result.artifact) in generator.prompts[-1]
