"""Why a generation was permitted, and what its pictures attended to.

explanation   from the registry's records, and the attention that was kept beside the images
page          one self-contained page of it

explanation = explain(client, trust, generation, attention)
write_page(explanation, images)
"""
