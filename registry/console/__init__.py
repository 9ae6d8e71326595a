"""The console: web pages for reviewers and auditors, rendered here, without scripts. Everything is read through the
services that the API uses; nothing is decided or signed here.

    tables      signed-in browsers
    sessions    opening, recognising and closing a session; form tokens
    language    Japanese or English
    words       what the pages say, in both; consent_words, origin_words and renewal_words are parts of it
    pages       templates, and the headers on everything that leaves
    view        one page request: who looks, in which language, with which navigation
    filters     what people type into the filter of a list
    chart       the geometry of a bar chart
    heat        maps of attention as cells
    contracts   who approved a version, under which terms
    changes     what differs between two versions
    sign_in     /console/sign-in, /console/sign-out
    concepts    concepts and their versions
    consents    what was consented to, the receipt, withdrawing: for the person too
    review      a version, its pictures and report
    work        the review queue; putting up, assigning, commenting
    renewals    other terms for a version, on its page; asking for them
    generations who generated what, and what was refused
    origins     from a picture to its contract; why a generation's pictures look as they do
    accounts    usage, what is due, refused attempts
    log         entries, proofs, checkpoint
    app         the pages together, with their error page
"""
