"""What a person does with the pages, in Debian's Chromium."""
