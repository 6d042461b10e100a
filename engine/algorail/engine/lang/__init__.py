"""Languages for user text: CEL, operator expressions, the transform sandbox, behind one interface."""
