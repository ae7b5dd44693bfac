"""Fine-tuning: training rows by the template of inference, checked, priced, trained on; a tuned model is a Model."""

TRAINERS: dict[str, str] = {
    "command": "promptlab.tune.command:Command",
    "given": "promptlab.tune.given:Given",
    "lora": "promptlab.tune.adapter:adapter",
    "none": "promptlab.tune.none:Nothing",
    "openai": "promptlab.tune.jobs:Jobs",
}
"""Trainers by name, as "module:attribute"; one's own is package.module:name."""
