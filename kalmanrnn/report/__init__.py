"""Reports of an evaluation: HTML, Markdown, JSON, CSV, and their figures."""
