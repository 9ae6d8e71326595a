"""The main job from start to finish: train, approve, compose, audit. Run by `make demo`.

__main__  the run: arguments, order, exit status
story     who, what and where: the example concepts, their consent and licence, the scenes
steps     one function a step; each checks that what should happen happened
stage     numbering, timing and printing of steps
page      what demo-out/index.html shows
gallery   how it looks
"""
