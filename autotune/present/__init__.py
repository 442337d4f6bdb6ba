"""Results as people read them: from records to tables and sentences, as plain text or HTML."""
