"""What all pages share: templates, figures, and the door of a server."""
