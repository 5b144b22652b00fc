"""Scenes: their grammar, drawing, reading back, prompts and questions."""
