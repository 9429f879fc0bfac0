"""What commands print: text, JSON or YAML, and a live table of steps."""
