"""Pictures for people: plots with axes in mm."""
