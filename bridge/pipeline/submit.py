"""The second stage: plan the calls of a job and put each question, with its knobs brought to what the model allows."""

from __future__ import annotations

from pathlib import Path

from bridge.job import Call, Job
from bridge.pipeline.prepare import Prepared
from bridge.providers.base import Knob, Model, Question


def plan(job: Job, model: Model) -> tuple[Call, ...]:
    """The calls that the job needs and has not yet: one a take, each with its own seed."""
    known = {(call.take, call.piece) for call in job.calls}
    steps = model.steps.nearest(job.request.steps) if model.steps and job.request.steps is not None else None
    return tuple(
        Call(take=take, seed=job.request.seed_of_take(take), estimated_usd=model.price.of(steps))
        for take in range(1, job.request.variations + 1)
        if (take, 1) not in known
    )


def question(
    job: Job, call: Call, model: Model, prepared: Prepared | None, job_dir: Path
) -> tuple[Question, list[str]]:
    """The question of one call, and what a person should know of how it differs from what was asked."""
    request, notes = job.request, []
    assert request.kind != "copy"
    strength = request.strength
    if strength < model.strength_min:
        strength = model.strength_min
        notes.append(f"{model.name} takes a strength of at least {strength:g}; that was used.")
    steps = _brought("steps", request.steps, model.steps, model, notes)
    guidance = _brought("guidance", request.guidance, model.guidance, model, notes)
    negative_prompt = request.filled_prompt(request.negative_prompt, job.clip_name)
    if negative_prompt and not model.takes_negative_prompt:
        negative_prompt = ""
        notes.append(f"{model.name} takes no negative prompt; it was left out.")
    if not model.takes_seed:
        notes.append(f"{model.name} takes no seed; this take cannot be made again.")
    return (
        Question(
            kind=request.kind,
            model=model.name,
            prompt=request.filled_prompt(request.prompt, job.clip_name),
            negative_prompt=negative_prompt,
            strength=strength,
            seed=call.seed if model.takes_seed else None,
            steps=steps,
            guidance=guidance,
            seconds=prepared.seconds if prepared is not None else request.duration or 0.0,
            audio=None if prepared is None or prepared.sent_file is None else job_dir / prepared.sent_file,
            work_dir=job_dir,
            label=f"{call.take}-{call.piece}",
            priority=job.priority,
        ),
        notes,
    )


def _brought(name: str, wanted: float | None, knob: Knob | None, model: Model, notes: list[str]) -> float | None:
    if wanted is None:
        return None
    if knob is None:
        notes.append(f"{model.name} has no {name}; it was left out.")
        return None
    nearest = knob.nearest(wanted)
    if nearest != wanted:
        notes.append(
            f"{model.name} takes {name} from {knob.minimum:g} to {knob.maximum:g}; {nearest:g} was used, not {wanted:g}."
        )
    return nearest
