"""C99: a program as readable source with static memory, and its self-test."""
