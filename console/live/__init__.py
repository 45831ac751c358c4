"""A classifier watched while it judges: the arm, recorded episodes, the page."""
