"""What an LLM judge's word is worth beside people's."""
