"""Runs side by side: what differs, how sure, what each choice is worth, and whether a gate opens."""
