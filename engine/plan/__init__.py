"""Plans: what a query means (`logical`), how it runs (`physical`), and how one becomes the other (`optimise`)."""
