"""Every step of an investigation by hand as a question of its own: a query, an answer, a page of text.

Each module is one question: `Query` is what is asked, an `answer.Answer` what was found out, and
`run(query, context)` finds it out. None changes anything on a host or in a cloud but by `temporary`.
"""
