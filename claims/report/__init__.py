"""What is drawn and written from the verdicts: the README's table and its picture."""
