"""Scorers are tested too: saboteurs, lawful strangers and cheats, and the table of what each reading makes of them."""
