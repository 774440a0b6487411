"""Plans: what a query means (`logical`), how it runs (`physical`), and how a logical plan becomes a physical one
(`optimise`).
"""
