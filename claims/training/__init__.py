"""Training claims: the arms, their runs, and the rules that decide."""
