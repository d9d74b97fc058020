"""export-tags: tags to where people use them, beside pictures or in them; changes are noted first, and undone."""
