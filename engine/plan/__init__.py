"""Plans: what a query means (`logical`), how it is run (`physical`), and the way from one to the other (`optimise`)."""
