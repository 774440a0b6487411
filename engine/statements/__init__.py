"""What each kind of statement does.  There is one file for each family; `dispatch` chooses the file."""
