"""What annotate_record.py hands back of a record: annotations, a table of beats, a summary."""
