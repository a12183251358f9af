"""What people prefer: a web page that shows videos in pairs, and what their answers say."""

from vid2vid.preference.conduct import open_study, study, write_results
from vid2vid.preference.results import markdown_table
from vid2vid.preference.server import StudyServer

__all__ = ["StudyServer", "markdown_table", "open_study", "study", "write_results"]
