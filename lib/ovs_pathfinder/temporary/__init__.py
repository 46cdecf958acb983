"""Changes to a host or a cloud that cannot be left behind: flows, port security, mirrors.

book = journal.Journal()
with protocol.temporarily(book, flows.Flows(…), seconds=20, action="try-flows", run=run) as made:
    …
made.outcome, made.left
"""
