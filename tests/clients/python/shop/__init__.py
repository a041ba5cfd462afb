"""A small shop: just enough of a program to go wrong in believable ways."""
