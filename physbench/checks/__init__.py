"""Is a task fit to be measured with? Small checks of its declaration, its clips, and what scorers read from them."""
