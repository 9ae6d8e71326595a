"""The main job from start to finish: train, approve, compose, audit. Run by `make demo`.

__main__  the run: arguments, order, exit status, summary
story     who, what and where: the example concepts, their consent and licence, the scenes
studio    where it happens: services, and people with profiles
opening   the steps that make that place
steps     the other steps, one function each; each checks that what should happen happened
demo      what the steps share
stage     numbering, timing and printing of steps
page      what demo-out/index.html shows; page.html is how it looks
"""
