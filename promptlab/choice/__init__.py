"""Prompting, retrieval or fine-tuning: the arms behind one experiment, the rule that chooses among them, and why."""
