"""Agents: models that are asked, tools that are called, messages that grow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, Field

import perdure
from perdure import step, workflow

from .outside import tell


class Message(TypedDict):
    role: Literal["user", "assistant", "tool"]
    content: str


class ToolCall(BaseModel):
    kind: Literal["tool"] = "tool"
    name: str
    arguments: dict[str, int]


class Answer(BaseModel):
    kind: Literal["answer"] = "answer"
    text: str


Reply = Annotated[ToolCall | Answer, Field(discriminator="kind")]


@step
def ask_model(messages: list[Message]) -> Reply:
    tell("model", len(messages))
    if len(messages) < 3:
        return ToolCall(name="add", arguments={"a": len(messages), "b": 2})
    return Answer(text=f"it is {messages[-1]['content']}")


@step
def add(a: int, b: int) -> int:
    tell("add", (a, b))
    return a + b


TOOLS: dict[str, Callable[..., int]] = {"add": add}


@workflow
def agent(question: str) -> list[Message]:
    messages: list[Message] = [{"role": "user", "content": question}]
    for _ in range(10):
        reply = ask_model(messages)
        match reply:
            case Answer(text=text):
                messages.append({"role": "assistant", "content": text})
                return messages
            case ToolCall(name=name, arguments=arguments):
                messages.append({"role": "assistant", "content": reply.model_dump_json()})
                messages.append({"role": "tool", "content": json.dumps(TOOLS[name](**arguments))})
    raise RuntimeError("the agent does not come to an end")


@step
async def complete(prompt: str) -> str:
    await asyncio.sleep(0.001)
    tell("complete", prompt)
    return f"({prompt})"


@workflow
async def debate(topic: str, rounds: int) -> list[str]:
    history: list[str] = [topic]
    for _ in range(rounds):
        said = await asyncio.gather(*(complete(f"{who}: {history[-1]}") for who in ("pro", "con")))
        history.extend(said)
    history.append(await complete(f"judge {len(history)}"))
    return history


@step
async def embed(text: str) -> list[float]:
    tell("embed", text)
    return [len(text) / 2, text.count("a") / 4]


@workflow
async def retrieval(question: str, documents: list[str]) -> str:
    wanted, *vectors = await asyncio.gather(*(embed(text) for text in (question, *documents)))
    scored = sorted(
        zip(documents, vectors, strict=True), key=lambda pair: -sum(x * y for x, y in zip(wanted, pair[1], strict=True))
    )
    return await complete(f"{question} {[document for document, _ in scored[:2]]}")


class Plan(BaseModel):
    steps: list[str]
    budget: float = 1.5


@step
async def plan(goal: str) -> Plan:
    tell("plan", goal)
    return Plan(steps=[f"{goal} {n}" for n in range(2)], budget=2.5)


@workflow
async def plan_and_act(goal: str) -> dict[str, str | float]:
    made = await plan(goal)
    done: dict[str, str | float] = {}
    for one in made.steps:
        async with asyncio.timeout(5):
            done[one] = await complete(one)
    done["left"] = made.budget - len(done)
    return done


@step
def grade(answer: str) -> float:
    tell("grade", answer)
    return len(answer) % 5 / 4


@workflow
def evaluation(questions: list[str]) -> float:
    with perdure.ThreadPoolExecutor(4) as pool:
        grades = list(pool.map(grade, questions))
    best = max(zip(grades, questions, strict=True))
    return sum(grades) / len(grades) + grade(best[1])


PROGRAMS = [
    (agent, ("what is it?",)),
    (debate, ("tea", 2)),
    (retrieval, ("where is a cat", ["a cat sat", "dog", "a car"])),
    (plan_and_act, ("clean",)),
    (evaluation, (["one", "three", "five5"],)),
]
